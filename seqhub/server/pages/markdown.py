"""Markdown of repositories as sanitised HTML.

Text of a repository is untrusted. It is parsed by markdown-it, and its HTML, also raw HTML in the text, passes an
allow-list (nh3) last. Relative links lead to pages of the same revision, relative images to its files. Images of other
sites are replaced by their description, so that a reader sends no request to another site.
"""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape, unescape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

import nh3

from seqhub.server.pages.highlight import highlight

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

VERSION: Final = 1  # of the renderer; increased when its output changes
MAX_CHARACTERS: Final = 100_000  # of a text; the rest is not rendered
_MAX_DEPTH: Final = 256  # of elements in a text; time to parse is quadratic in it
ID_PREFIX: Final = "card-"  # of the anchors in a text, so that they do not collide with those of the page

_TAG_NAMES: Final = (
    "a abbr b blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure "
    "h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td "
    "tfoot th thead tr u ul var"
)
_TAGS: Final = frozenset(_TAG_NAMES.split())
_ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": {"id", "title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "code": {"class"},
    "span": {"class"},
    "details": {"open"},
    "ol": {"start"},
    "th": {"colspan", "rowspan", "align", "scope"},
    "td": {"colspan", "rowspan", "align"},
    **{tag: {"align"} for tag in ("div", "p", "h1", "h2", "h3", "h4", "h5", "h6")},
}
_SCHEMES: Final = {"http", "https", "mailto"}
_TOKEN_CLASS: Final = re.compile(r"[a-z][a-z0-9]{0,2}")  # of Pygments; those of the page are longer
_IGNORED_IN_URLS: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_TASK: Final = re.compile(r"\[([ xX])\] ")
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_CLOSED_BY_NEXT: Final = frozenset(
    [
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "br",
        "hr",
        "img",
        "input",
        "meta",
        "link",
        "col",
        "area",
        "wbr",
        "source",
    ]
)
_PARTS: Final = re.compile(r'<(/?)(img|a|table|pre)((?: [a-z-]+="[^"]*")*)>')
_ATTRIBUTE: Final = re.compile(r' ([a-z-]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Base:
    """URLs to which relative links of a text refer.

    Args:
        pages: URL of the pages of files, with a slash at its end.
        files: URL of the files, with a slash at its end.
        folder: Folder of the text in the repository; "" for its root.
    """

    pages: str
    files: str
    folder: str = ""


def render(text: str, base: Base) -> str:
    r"""Return Markdown as HTML.

    Args:
        text: The text, without front matter.
        base: URLs for relative links.

    >>> render("**a** <script>b</script>", Base("/x/blob/main/", "/x/resolve/main/"))
    '<p><strong>a</strong> </p>\n'
    """
    return sanitise(_parser().render(text), base)


def shortened(text: str) -> tuple[str, bool]:
    """Return the beginning of a text, up to a whole line within `MAX_CHARACTERS`, and whether that is all of it."""
    if len(text) <= MAX_CHARACTERS:
        return text, True
    return text[: text.rfind("\n", 0, MAX_CHARACTERS) + 1 or MAX_CHARACTERS], False


def sanitise(html: str, base: Base) -> str:
    """Return the allowed part of HTML; HTML that is nested too deeply is shown as its source."""
    if _depth(html) > _MAX_DEPTH:
        return f'<pre tabindex="0">{escape(html)}</pre>'

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return _link(value, base)
        if name == "src":
            return _image(value, base)
        if name == "id":
            return ID_PREFIX + value if re.fullmatch(r"[\w.:-]{1,100}", value) else None
        if name == "class":
            names = [item for item in value.split() if _TOKEN_CLASS.fullmatch(item)]
            return " ".join(names) or None
        if name == "align":
            return value if value in ("left", "center", "right") else None
        if name == "dir":
            return value if value in ("ltr", "rtl", "auto") else None
        if name in ("width", "height", "colspan", "rowspan", "start"):
            return value if re.fullmatch(r"[0-9]{1,4}%?", value) else None
        return value

    cleaned = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=attribute,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )
    return _finish(cleaned)


def _depth(html: str) -> int:
    """Return an upper bound of the depth of elements."""
    depth = deepest = 0
    for closing, tag in _TAG.findall(html):
        if tag.lower() in _CLOSED_BY_NEXT:
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _link(value: str, base: Base) -> str | None:
    """Return the target of a link: an anchor, a page of the repository, a path of this Hub, or another site."""
    value = _IGNORED_IN_URLS.sub("", value)
    if value.startswith("#"):
        return f"#{ID_PREFIX}{quote(unquote(value[1:]), safe='')}"
    try:
        parts = urlsplit(value.replace("\\", "/"))
    except ValueError:
        return None
    if parts.scheme:
        return value if parts.scheme.lower() in _SCHEMES else None
    if parts.netloc or value.startswith(("//", "/\\", "\\")):
        return None
    if parts.path.startswith("/"):
        return quote(unquote(parts.path), safe="/@:") + (f"?{parts.query}" if parts.query else "")
    path = _below(parts.path, base.folder)
    if path is None:
        return None
    anchor = f"#{ID_PREFIX}{quote(unquote(parts.fragment), safe='')}" if parts.fragment else ""
    return base.pages + quote(path) + anchor


def _image(value: str, base: Base) -> str | None:
    """Return the URL of an image of the repository; the URL of another site unchanged, for `_finish`."""
    value = _IGNORED_IN_URLS.sub("", value)
    try:
        parts = urlsplit(value.replace("\\", "/"))
    except ValueError:
        return None
    if parts.scheme or parts.netloc:
        return value if parts.scheme else f"https://{parts.netloc}{parts.path}"
    path = _below(parts.path.lstrip("/"), base.folder if not parts.path.startswith("/") else "")
    return base.files + quote(path) if path else None


def _below(path: str, folder: str) -> str | None:
    """Return a relative path from the root of the repository; None if it leaves it."""
    joined = posixpath.normpath(posixpath.join(folder, unquote(path)))
    if joined == "..":
        return None
    return None if joined.startswith(("../", "/")) else "" if joined == "." else joined


def _finish(html: str) -> str:
    """Replace images of other sites by their description, and make wide blocks scrollable by keyboard."""
    links = 0

    def replaced(part: re.Match[str]) -> str:
        nonlocal links
        closing, tag, attributes = part.groups()
        if tag == "a":
            links += -1 if closing else 1
            return part[0]
        if tag == "pre":
            return part[0] if closing else '<pre tabindex="0">'
        if tag == "table":
            return "</table></div>" if closing else f'<div class="scroll-box" tabindex="0"><table{attributes}>'
        found = {name: unescape(value) for name, value in _ATTRIBUTE.findall(attributes)}
        source = found.get("src")
        if source is not None and re.match(r"/[^/\\]", source):
            alt = "" if "alt" in found else ' alt=""'
            return f'<img{attributes}{alt} loading="lazy">'
        text = escape(found.get("alt") or "image")
        try:
            parts = urlsplit(source or "")
            host, is_web = parts.hostname or "", parts.scheme in ("http", "https")
        except ValueError:
            host, is_web = "", False
        if source is None or not is_web:
            return f'<span class="outside-image">{text}</span>'
        note = f'<span class="outside-image" title="Image from {escape(host)}, not loaded">{text}</span>'
        return note if links else f'<a href="{escape(source)}" rel="nofollow noopener noreferrer">{note}</a>'

    return _PARTS.sub(replaced, html)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True, "linkify": True, "highlight": _highlighted, "maxNesting": 20})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.core.ruler.push("seqhub", _adjust)
    return parser


def _highlighted(code: str, language: str, attributes: str) -> str:
    return highlight(code, language)


def _adjust(state: "StateCore") -> None:
    """Lower headings by one level, give them anchors, and convert the alignment of columns and lists of tasks."""
    anchors: dict[str, int] = {}
    tokens = state.tokens
    for place, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.type == "heading_open":
            token.attrs["id"] = _anchor(tokens[place + 1].content, anchors)
        elif token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", ""))
            if style:
                token.attrs["align"] = style.removeprefix("text-align:")
        elif token.type == "inline" and place > 1 and tokens[place - 2].type == "list_item_open":
            _mark_task(token.children or [])


def _anchor(heading: str, used: dict[str, int]) -> str:
    """Return the anchor of a heading as on GitHub: words in lower case, joined by hyphens, then a number."""
    name = re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")[:80] or "section"
    used[name] = used.get(name, -1) + 1
    return f"{name}-{used[name]}" if used[name] else name


def _mark_task(children: "Sequence[Token]") -> None:
    if children and children[0].type == "text" and (found := _TASK.match(children[0].content)):
        box = "☐" if found[1] == " " else "☑"
        children[0].content = f"{box} {children[0].content[found.end() :]}"


def split_front_matter(text: str) -> tuple[str | None, str]:
    r"""Return the YAML at the beginning of a card, None if there is none, and the text below it.

    >>> split_front_matter("---\nlicense: mit\n---\n# Title")
    ('license: mit', '# Title')
    """
    lines = text.lstrip("\ufeff").lstrip().splitlines(keepends=True)
    if lines and lines[0].rstrip() == "---":
        for number, line in enumerate(lines[1:], 1):
            if line.rstrip() == "---":
                return "".join(lines[1:number]).rstrip("\r\n"), "".join(lines[number + 1 :])
    return None, text


def plain(value: Any) -> str:
    """Return a value of a card as one short line of text."""
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else f"{text[:299]}…"
