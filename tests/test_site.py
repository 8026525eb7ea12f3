"""The documentation site: all pages are in it, and what `make site` builds shows no page without a place."""

from pathlib import Path

import pytest

import seqhub
from docs import site
from seqhub.models.registry import model_classes

ROOT = Path(__file__).parent.parent
LISTS = (site.TUTORIALS, site.GUIDES, site.REFERENCE, site.EXPLANATIONS)


def test_every_page_has_one_place() -> None:
    listed = [site.HOME, *(path for pages in LISTS for path in pages.values())]
    assert len(listed) == len(set(listed))
    assert all((ROOT / path).is_file() for path in listed)
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(site.linked(listed))


def test_every_public_name_is_in_the_reference() -> None:
    listed = [name for names in site.GROUPS.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert {*listed, *model_classes(), "__version__"} == set(seqhub.__all__)


def test_links_of_pages_are_followed() -> None:
    found = set(site.linked(["docs/hub-for-colleagues.md"]))
    assert {"examples/hub/nginx.conf", "docs/hub.md", "docs/hub-suite.md"} <= found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings", reason="needs the extra docs: make site")
    if not site.SHIM.exists():
        pytest.skip("needs npm: make site")
    site.build(tmp_path)
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "https://unpkg.com" not in home
    assert (tmp_path / "reference/tasks/qrsu.html").exists()
    assert "seqhub.training.train.train" in (tmp_path / "reference/training-and-evaluation.html").read_text()
