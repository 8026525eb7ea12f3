"""Pictures of the first test rows of a config, for the reference of the site.

Symbols are cells, in strong colours if they are rare in these rows; real values are lines, or a heat map from five
values at a step on. Below the inputs are the targets of the steps, and on the right the target of the sequence.
"""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seqhub.data.arrow import rows_table
from seqhub.plots.style import CYCLE
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import Split

ROWS = 3
COLUMNS = 64  # symbols in a line
MOST = 128  # steps that are drawn
WIDTH, MARGIN = 720, 8
CELL, HEIGHT = WIDTH / COLUMNS, 18
LINES, HEAT = 70.0, 96.0  # heights of real values
RARE = 0.1  # share of the symbols of the rows below which a colour is strong
IGNORED = -100  # a step without a target


def first_rows(ref: TaskRef) -> list[dict[str, Any]]:
    """Return the first test rows of a config."""
    split = Split(ref, "test")
    found: list[dict[str, Any]] = rows_table(split, 0, min(ROWS, split.size or ROWS)).to_pylist()
    return found


def draw(ref: TaskRef) -> str:
    """Return an SVG with the first test rows of a config."""
    schema, rows = ref.schema, first_rows(ref)
    colours = _colours(schema, rows)
    parts: list[str] = []
    y = float(MARGIN)
    for row in rows:
        if "text" in row and schema.vocabulary:
            y = _symbols(parts, y, schema.vocabulary.split(row["text"]), colours, _step_targets(schema, row))
        else:
            y = _values(parts, y, np.array(row["input_values"], np.float64))
        note = _target(schema, row)
        if note:
            parts.append(_text(MARGIN, y + 11, f"→ {note}", "#333333"))
            y += 16
        y += 10
    size = f'width="{WIDTH + 2 * MARGIN}" height="{y:.0f}" viewBox="0 0 {WIDTH + 2 * MARGIN} {y:.0f}"'
    style = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><rect width="100%" height="100%" fill="#ffffff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _colours(schema: TaskSchema, rows: Sequence[dict[str, Any]]) -> dict[str, tuple[str, float]]:
    """Return colour and opacity of each symbol in the rows, by its order in the vocabulary."""
    if schema.vocabulary is None:
        return {}
    counts = Counter(symbol for row in rows for symbol in schema.vocabulary.split(row["text"]))
    known = sorted(counts, key=lambda symbol: schema.vocabulary.ids.get(symbol, 0) if schema.vocabulary else 0)
    total = sum(counts.values())
    return {
        symbol: (CYCLE[number % len(CYCLE)], 0.7 if counts[symbol] / total < RARE else 0.25)
        for number, symbol in enumerate(known)
    }


def _symbols(
    parts: list[str], y: float, symbols: Sequence[str], colours: dict[str, tuple[str, float]], targets: Sequence[str]
) -> float:
    """Draw symbols as lines of cells, each with its target below; return the next free height."""
    width = CELL if all(len(symbol) == 1 for symbol in symbols) else 4 * CELL
    columns = int(WIDTH / width)
    shown = symbols[:MOST]
    for start in range(0, len(shown), columns):
        line = shown[start : start + columns]
        cells: dict[tuple[str, float], str] = {}
        for column, symbol in enumerate(line):
            corner = f"M{MARGIN + column * width:g} {y:g}"
            cells[colours[symbol]] = (
                cells.get(colours[symbol], "") + f"{corner}h{width - 1:g}v{HEIGHT - 1:g}h{1 - width:g}z"
            )
        parts += [
            f'<path d="{path}" fill="{colour}" fill-opacity="{opacity}"/>' for (colour, opacity), path in cells.items()
        ]
        places = [MARGIN + (column + 0.5) * width for column in range(len(line))]
        parts.append(_cells(places, y + 13, line, "#111111"))
        if targets:
            parts.append(_cells(places, y + 13 + HEIGHT, targets[start : start + columns], "#a63a00"))
        y += 2 * HEIGHT if targets else HEIGHT
    if len(symbols) > MOST:
        parts.append(_text(MARGIN, y + 11, f"… {len(symbols):,} steps", "#6b6b6b"))
        y += 16
    return y


def _values(parts: list[str], y: float, values: NDArray[np.float64]) -> float:
    """Draw real values (steps, features) as lines, or as a heat map; return the next free height."""
    values = values.reshape(len(values), -1)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / ((high - low) or 1)
    steps, features = values.shape
    if features > 4:
        picture = scaled if steps == features else scaled.T[::-1]  # images upright; otherwise time to the right
        height = HEAT
        width = min(WIDTH, height * picture.shape[1] / picture.shape[0] if steps == features else WIDTH)
        pixels = Image.fromarray((255 * (1 - picture)).astype(np.uint8), "L")
        stream = io.BytesIO()
        pixels.save(stream, "png", optimize=True)
        data = base64.b64encode(stream.getvalue()).decode()
        parts.append(
            f'<image x="{MARGIN}" y="{y:.1f}" width="{width:.1f}" height="{height}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )
        way = "time runs down" if steps == features else "time runs to the right"
        note = f"{steps} steps of {features} values, {way}"
    else:
        height = LINES
        for feature in range(features):
            places = MARGIN + np.arange(steps) * (WIDTH / max(steps - 1, 1))
            heights = y + 2 + (height - 4) * (1 - scaled[:, feature])
            points = " ".join(f"{x:.1f},{at:.1f}" for x, at in zip(places, heights, strict=True))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{CYCLE[feature]}" stroke-width="1.2"/>')
        note = f"{steps} steps, values from {low:.3g} to {high:.3g}"
    parts.append(_text(MARGIN, y + height + 12, note, "#6b6b6b"))
    return y + height + 18


def _step_targets(schema: TaskSchema, row: dict[str, Any]) -> list[str]:
    """Return the target of each step as a text, empty where there is none; no list without targets of steps."""
    if schema.target != "step_class":
        return []
    return ["" if label == IGNORED else schema.labels[label] for label in row["labels"]]


def _target(schema: TaskSchema, row: dict[str, Any]) -> str:
    """Return the target of a whole row as a text; empty if each step has one or the inputs are the target."""
    if "target" in row:
        return str(row["target"])
    if "label" not in row:
        return "the next symbol at each step" if schema.target == "next_symbol" else ""
    return schema.labels[row["label"]] if schema.labels else f"{row['label']:.4g}"


def _cells(places: Sequence[float], y: float, texts: Sequence[str], colour: str) -> str:
    """Return texts in the middle of cells."""
    spans = "".join(
        f'<tspan x="{x:g}" y="{y:g}">{escape(text[:6])}</tspan>' for x, text in zip(places, texts, strict=True) if text
    )
    return f'<text fill="{colour}" text-anchor="middle">{spans}</text>'


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}">{escape(text)}</text>'
