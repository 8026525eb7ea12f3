"""Pictures of web pages in the README: `python -m docs.screenshots` runs `seqhub demo` and photographs its Hub.

It needs Chromium and `pip install playwright`.
"""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from seqhub.cli.demo import demo_command
from seqhub.cli.errors import script
from seqhub.errors import InvalidInputError
from seqhub.io import write_atomically
from seqhub.server.serve import DEFAULT_USER, running

IMAGES = Path(__file__).parent / "images"
WIDTH = 1060
COLORS = 128  # of a picture; pages have few, so that files stay small


@dataclass(frozen=True)
class Picture:
    """Picture of the top of a page.

    Args:
        path: Path of the page on the Hub of a demo.
        height: Height in pixels.
        ready: Selector of an element that the browser draws last.
    """

    path: str
    height: int
    ready: str = "main"


PICTURES = {
    "hub-viewer": Picture(f"/datasets/{DEFAULT_USER}/qrsu/-/viewer/main?split=test", 700),
    "hub-explorer": Picture(f"/{DEFAULT_USER}/qrsu-hard-lstm/-/explorer/main", 1050, ready="canvas"),
}


def make(folder: Path | None = None) -> None:
    """Make all pictures.

    Args:
        folder: Folder of an earlier demo, which is not run again.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise InvalidInputError("Chromium is not installed; the command chromium is needed")
    with tempfile.TemporaryDirectory(prefix="seqhub-screenshots-") as scratch:
        if folder is None:
            folder = Path(scratch) / "demo"
            demo_command(folder)
        with running(folder / "hub") as hub, _browser(chromium) as browser:
            for name, picture in PICTURES.items():
                write_atomically(IMAGES / f"{name}.png", _small(_photograph(browser, hub.url, picture)))


@contextmanager
def _browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
        yield launched
        launched.close()


def _photograph(browser: Any, url: str, picture: Picture) -> bytes:
    page = browser.new_page(viewport={"width": WIDTH, "height": picture.height}, color_scheme="light")
    page.goto(url + picture.path, wait_until="networkidle")
    page.wait_for_selector(picture.ready)
    found: bytes = page.screenshot()
    page.close()
    return found


def _small(png: bytes) -> bytes:
    """Return a picture with few colours as PNG."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    script(make)
