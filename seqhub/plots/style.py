"""Shared size, palette and file output of all figures."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqhub.io import write_atomically

# Okabe & Ito (2008), "Color Universal Design": distinguishable with any common colour blindness, in this order
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GREY = "#6b6b6b"  # reference lines; contrast 5 : 1 against white

WIDTH = 8.0  # inches: 800 pixels at the 100 pixels an inch that the font sizes are meant for
_PIXELS_PER_INCH = 200  # twice that, for dense screens

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
