"""Preparation for the first pages, which would otherwise wait for imports and for the compilation of templates."""

from typing import Final

from seqhub.server.pages.markdown import Base, render
from seqhub.server.pages.static import digest
from seqhub.server.pages.templating import environment

LANGUAGES: Final = ("python", "bash", "json", "yaml", "markdown", "console", "pycon")  # of most cards and files
_CARD: Final = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n" + "".join(f"```{name}\nx\n```\n" for name in LANGUAGES)


def warm() -> None:
    """Read the static files, compile all templates, and load the renderer of Markdown with common lexers."""
    digest()
    for name in environment().list_templates():
        environment().get_template(name)
    render(_CARD, Base("/a/b/blob/main/", "/a/b/resolve/main/", ""))
