"""Syntax highlighting on the server, with CSS classes."""

from functools import cache
from html import escape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_CHARACTERS: Final = 20_000  # longer code is shown without colours; Pygments needs 3 ms for 1000 characters
_MAX_LINE: Final = 2000

_ALIASES: Final = {  # name or suffix -> lexer of Pygments; others are shown as plain text
    **{name: "python" for name in ("python", "py", "python3", "pyi")},
    **{name: "pycon" for name in ("pycon", "doctest")},
    **{name: "bash" for name in ("bash", "sh", "shell", "zsh")},
    **{name: "console" for name in ("console", "shell-session")},
    **{name: "yaml" for name in ("yaml", "yml")},
    **{name: "json" for name in ("json", "jsonl", "ipynb")},
    **{name: "c" for name in ("c", "h")},
    **{name: "cpp" for name in ("cpp", "c++", "cc", "hpp", "cu", "cuh")},
    **{name: "javascript" for name in ("javascript", "js", "mjs")},
    **{name: "typescript" for name in ("typescript", "ts")},
    **{name: "rust" for name in ("rust", "rs")},
    **{name: "julia" for name in ("julia", "jl")},
    **{name: "markdown" for name in ("markdown", "md")},
    **{name: "ini" for name in ("ini", "cfg")},
    **{name: "diff" for name in ("diff", "patch")},
    **{name: "tex" for name in ("tex", "latex", "bib")},
    **{name: name for name in ("toml", "html", "xml", "css", "sql", "go", "java", "r", "lua", "make", "docker")},
}
_NAMES: Final = {"makefile": "make", "dockerfile": "docker"}


def language_of(path: str) -> str:
    """Return the language of a file by its name; "" if it is not known.

    >>> language_of("src/model.py"), language_of("Makefile"), language_of("weights.bin")
    ('py', 'make', '')
    """
    name = PurePosixPath(path)
    found = _NAMES.get(name.name.lower(), name.suffix[1:].lower())
    return found if found in _ALIASES else ""


def highlight(code: str, language: str) -> str:
    """Return code as HTML, in which no element spans two lines.

    >>> highlight("x < 1", "")
    'x &lt; 1'
    >>> highlight("return", "python")
    '<span class="k">return</span>'
    """
    lexer = _lexer(language.lower())
    if lexer is None or len(code) > MAX_CHARACTERS or any(len(line) > _MAX_LINE for line in code.split("\n")):
        return escape(code)
    from pygments import highlight as colour
    from pygments.formatters.html import HtmlFormatter

    html: str = colour(code, lexer, HtmlFormatter(nowrap=True))
    return html.removesuffix("\n")


@cache
def _lexer(language: str) -> "Lexer | None":
    if language not in _ALIASES:
        return None
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(_ALIASES[language], stripnl=False, ensurenl=True)
