"""Jupyter notebooks, rendered on the server. Of outputs, text and raster images are shown, neither HTML nor SVG."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from seqhub.server import strict_json
from seqhub.server.pages.highlight import highlight
from seqhub.server.pages.markdown import Base, render

MAX_BYTES: Final = 4 * 2**20
PAGE_CHARACTERS: Final = 30_000  # of the sources and texts on one page
MAX_OUTPUT: Final = 4000  # characters of one output
MAX_IMAGE: Final = 2**20  # bytes of base64
_IMAGES: Final = {"image/png": (b"\x89PNG",), "image/jpeg": (b"\xff\xd8\xff",), "image/gif": (b"GIF8",)}
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f]")


@dataclass(slots=True)
class Cell:
    """Cell of a notebook."""

    kind: str  # "markdown", "code" or "raw"
    html: Markup
    count: str = ""  # execution count
    outputs: list[tuple[str, str]] = field(default_factory=list)  # "text" or "image", and its content


@dataclass(frozen=True, slots=True)
class Notebook:
    """Part of a notebook."""

    cells: list[Cell]
    next_cell: int | None  # first cell of the next part


def parse(raw: bytes, base: Base, first: int = 0) -> Notebook:
    """Render the cells of a notebook from number `first` on, as many as are shown on one page.

    Args:
        raw: Content of the file.
        base: URLs for relative links.
        first: Number of the first cell.

    Raises:
        ValueError: It is not a notebook of format 4.
    """
    content = strict_json.parse_content(raw)
    found = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError("there is no list of cells, as in notebooks of format 4")
    language = _language(content)
    cells: list[Cell] = []
    characters = 0
    for number, fields in enumerate(found[first:], first):
        if not isinstance(fields, dict):
            continue
        source = _text(fields.get("source"))[:PAGE_CHARACTERS]
        kind = fields.get("cell_type")
        characters += len(source)
        if kind == "markdown":
            cell = Cell("markdown", Markup(render(source, base)))
        elif kind == "code":
            cell = Cell("code", Markup(highlight(source, language)), _count(fields.get("execution_count")))
            outputs = fields.get("outputs")
            for output in outputs if isinstance(outputs, list) else []:
                shown = _output(output) if isinstance(output, dict) else None
                if shown is not None:
                    cell.outputs.append(shown)
                    characters += len(shown[1]) if shown[0] == "text" else 0
        else:
            cell = Cell("raw", Markup(highlight(source, "")))
        cells.append(cell)
        if characters > PAGE_CHARACTERS and number + 1 < len(found):
            return Notebook(cells, number + 1)
    return Notebook(cells, None)


def _language(content: dict[str, Any]) -> str:
    metadata = content.get("metadata")
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    name = info.get("name") if isinstance(info, dict) else None
    return name if isinstance(name, str) else "python"


def _output(output: dict[str, Any]) -> tuple[str, str] | None:
    """Return an output as ("text", text) or ("image", URL); None for a type that is not shown."""
    kind = output.get("output_type")
    if kind == "stream":
        return "text", _plain(output.get("text"))
    if kind == "error":
        traceback = output.get("traceback")
        lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
        return "text", _plain("\n".join(lines) or f"{output.get('ename')}: {output.get('evalue')}")
    data = output.get("data")
    if not isinstance(data, dict):
        return None
    for media_type, signatures in _IMAGES.items():
        url = _image(media_type, signatures, _text(data.get(media_type)))
        if url is not None:
            return "image", url
    return ("text", _plain(data["text/plain"])) if "text/plain" in data else None


def _image(media_type: str, signatures: tuple[bytes, ...], text: str) -> str | None:
    """Return an image as a data URL, if it is valid base64 and begins like an image of its type."""
    text = re.sub(r"\s", "", text)
    if not text or len(text) > MAX_IMAGE:
        return None
    try:
        start = base64.b64decode(text, validate=True)[:8]
    except (binascii.Error, ValueError):
        return None
    return f"data:{media_type};base64,{text}" if start.startswith(signatures) else None


def _plain(value: object) -> str:
    """Return the text of an output without escape sequences of a terminal."""
    text = _ESCAPES.sub("", _text(value))
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n…"


def _text(value: object) -> str:
    """Return a text, or a list of lines, as one text; "" for anything else."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _count(value: object) -> str:
    return str(value) if type(value) is int and 0 <= value < 10**6 else ""
