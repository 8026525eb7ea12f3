"""Template rendering. A variable that a template uses and that is not given is an error."""

import json
import re
import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from seqhub.errors import InvalidInputError
from seqhub.hub.naming import literal

_LONGEST_VALUE = 400  # characters of a setting


def fill(template: str, **values: Any) -> str:
    """Render `templates/<template>.md.jinja`."""
    environment = Environment(
        loader=PackageLoader("seqhub.cards"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; text from outside is put into code spans or table cells
    )
    environment.filters |= {"count": count, "share": share, "value": value, "span": span, "bytes": file_size}
    environment.filters |= {"literal": literal, "shell": shlex.quote}
    text = environment.get_template(f"{template}.md.jinja").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"  # omitted sections leave blank lines


def split_repo_id(repo_id: str) -> tuple[str, str]:
    """Return namespace and name of a repository.

    >>> split_repo_id("seqhub/qrsu")
    ('seqhub', 'qrsu')

    Raises:
        InvalidInputError: It is not `namespace/name`.
    """
    namespace, _, name = repo_id.partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInputError(f"repository {repo_id!r}; need namespace/name")
    return namespace, name


def place(repo_id: str | None, folder: str | None, name: str) -> str:
    """Return the source that the code on a card loads: a repository, or the path of a folder.

    >>> place("me/qrsu", None, "qrsu"), place(None, "build/datasets/qrsu", "qrsu"), place(None, None, "qrsu")
    ('me/qrsu', 'build/datasets/qrsu', './qrsu')

    Raises:
        InvalidInputError: `repo_id` is not `namespace/name`.
    """
    if repo_id is not None:
        split_repo_id(repo_id)
        return repo_id
    return folder or f"./{name}"


def count(number: int) -> str:
    """Return an integer with thousands separators.

    >>> count(31390)
    '31,390'
    """
    return f"{number:,}"


def share(number: float) -> str:
    """Return a proportion with four decimals, or more where four would round it to 1.

    >>> share(0.25), share(0.99996), share(1.0)
    ('0.2500', '0.99996', '1.0000')
    """
    digits = 4
    while number < 1 and float(f"{number:.{digits}f}") == 1:
        digits += 1
    return f"{number:.{digits}f}"


def file_size(number: int) -> str:
    """Return a number of bytes in the largest decimal unit that is not larger.

    >>> file_size(999), file_size(1_234_567)
    ('999 B', '1.2 MB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def value(given: Any) -> str:
    r"""Return a setting as JSON that is safe inside a table cell.

    >>> value(0.01), value(None), value("a|b")
    ('`0.01`', '`null`', '`"a\\|b"`')
    """
    text = json.dumps(given, ensure_ascii=False)
    return span(text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…")


def span(text: str) -> str:
    """Return text from outside as a code span that cannot break a table cell."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
