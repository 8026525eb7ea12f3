"""Shared size, palette and file output of all figures."""

from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from seqhub.io import write_atomically

# Okabe & Ito (2008), "Color Universal Design": distinguishable with any common colour blindness, in this order
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GREY = "#6b6b6b"  # reference lines; contrast 5 : 1 against white

WIDTH = 8.0  # inches: 800 pixels at the 100 pixels an inch that the font sizes are meant for
_PIXELS_PER_INCH = 200  # twice that, for dense screens

_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei",
    "Noto Sans Thai", "Noto Sans Devanagari", "Arial Unicode MS",
)  # fmt: skip
"""Fonts for scripts that DejaVu Sans does not have, by preference."""

TITLE, LABEL, SMALL = 12, 10, 9  # font sizes in points


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, `height` inches high and by default as wide as a card."""
    figure = Figure(figsize=(width, height), dpi=_PIXELS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """Remove the lines of the axes that do not help a reader."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, colors="#333333")
    if grid:
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)


def shorten(name: str, letters: int = 16) -> str:
    """Return a name of a class for a legend or an axis, cut off with a mark if it is long.

    >>> shorten("not recommended at all", 10)
    'not recom…'
    """
    name = " ".join(name.split())
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def class_names(names: Sequence[str], letters: int = 16) -> list[str]:
    """Return names of classes for a legend or an axis: short, different, and in characters that a font has.

    A name in a script for which no font is installed is replaced by LABEL_ and its number, as transformers names
    classes; names that are equal after `shorten` get their number.

    >>> class_names(["good", "not recommended at all", "not recommended yet"], 10)
    ['good', 'not reco…1', 'not reco…2']
    """
    shown = [shorten(name, letters) if has_glyphs(name) else f"LABEL_{n}" for n, name in enumerate(names)]
    return [
        f"{name[: letters - 1 - len(str(n))].rstrip('…')}…{n}" if shown.count(name) > 1 else name
        for n, name in enumerate(shown)
    ]


def legible(text: str) -> str:
    """Return a text with an empty square for each character that no installed font has."""
    return "".join(character if has_glyphs(character) else "□" for character in text)


def has_glyphs(text: str) -> bool:
    """Return whether the fonts of the figures have all characters of a text."""
    return all(ord(character) in _characters() or character.isspace() for character in text)


@cache
def _families() -> tuple[str, ...]:
    """Return the fonts of the figures: DejaVu Sans, and those for other scripts that are installed."""
    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed))


@cache
def _characters() -> frozenset[int]:
    paths = [findfont(FontProperties(family=name)) for name in _families()]
    return frozenset(code for path in paths for code in get_font(path).get_charmap())


def draw_chance(axes: Axes, chance: float | None) -> None:
    """Draw and name a line at the chance level; nothing if it is None."""
    if chance is None:
        return
    axes.axhline(chance, color=GREY, linewidth=1, linestyle=(0, (1, 2)))
    axes.annotate(
        "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
        va="center", color=GREY, fontsize=SMALL,
    )  # fmt: skip


def save(figure: Figure, path: Path, source: str | None = None) -> None:
    """Write a PNG or SVG with bytes that depend on the figure only: without date or software version.

    Args:
        figure: The figure.
        path: The PNG or SVG.
        source: Text on the source of the figure, stored in the file; None for none.

    Raises:
        SaveError: The file cannot be written; an earlier file stays unchanged.
    """
    if len(_families()) > 1:
        for text in figure.findobj(Text):
            if text.get_fontfamily() == ["sans-serif"]:
                text.set_fontfamily(list(_families()))
    buffer = BytesIO()
    if path.suffix == ".svg":
        with rc_context({"svg.hashsalt": "seqhub"}):  # otherwise ids are random
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Source": source})
    else:
        figure.savefig(buffer, format="png", metadata={"Software": None, "Source": source})
    write_atomically(path, buffer.getvalue())


def save_animation(figure: Figure, draw: Callable[[Figure, int], None], frames: int, path: Path) -> None:
    """Write a GIF that repeats endlessly, at 12 frames a second.

    Args:
        figure: The figure, redrawn for each frame.
        draw: Function that draws one frame, given its number from 0 on.
        frames: Number of frames.
        path: The GIF to write.

    Raises:
        SaveError: The file cannot be written; an earlier file stays unchanged.
    """
    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=12)
    with TemporaryDirectory() as scratch:  # the writer accepts only a path
        file = Path(scratch) / "animation.gif"
        with writer.saving(figure, str(file), dpi=_PIXELS_PER_INCH // 2):
            for frame in range(frames):
                draw(figure, frame)
                writer.grab_frame()
        write_atomically(path, file.read_bytes())
