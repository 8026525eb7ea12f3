"""The notebooks of the documentation: made from their scripts, with outputs, and without errors."""

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs.notebooks import build

SCRIPTS = build.scripts()
README = build.HERE / "README.md"
TEACHING = build.HERE.parent / "teaching.md"
_MOST_BYTES, _MOST_PICTURE_BYTES = 300_000, 40_000
_PATH = re.compile(rf"/tmp/|/home/|{re.escape(str(Path.home()))}|site-packages|[A-Z]:\\\\")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def test_every_notebook_has_a_script() -> None:
    assert SCRIPTS
    assert {path.stem for path in build.HERE.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@each_script
def test_a_notebook_has_the_cells_of_its_script_with_their_outputs(script: Path) -> None:
    file = script.with_suffix(".ipynb")
    notebook, expected = nbformat.read(file, as_version=4), build.read(script)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in expected.cells
    ]
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            data = dict(output.get("data", {}))
            picture = data.pop("image/png", "")
            assert len(base64.b64decode(picture)) <= _MOST_PICTURE_BYTES
            assert not _PATH.search(str(data) + output.get("text", ""))
    assert file.stat().st_size < _MOST_BYTES


@each_script
def test_exercises_have_hidden_solutions(script: Path) -> None:
    cells = nbformat.read(script.with_suffix(".ipynb"), as_version=4).cells
    solutions = [cell for cell in cells if build.SOLUTION in cell.metadata.get("tags", [])]
    exercises = [int(number) for cell in cells for number in re.findall(r"^\*\*(\d)\.\*\*", cell.source, re.M)]
    assert exercises == list(range(1, len(solutions) + 1))
    assert 3 <= len(solutions) <= 5
    assert all(cell.metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True} for cell in solutions)
    assert all("jupyter" not in cell.metadata for cell in cells if cell not in solutions)


@each_script
def test_links_of_a_notebook_lead_to_files(script: Path) -> None:
    texts = [cell.source for cell in build.read(script).cells if cell.cell_type == "markdown"]
    links = [link for text in texts for link in _LINK.findall(text)]
    assert all((build.HERE / link).is_file() for link in links), links


def test_every_notebook_is_in_the_list_and_in_the_course() -> None:
    for page in (README, TEACHING):
        linked = {Path(link).stem for link in _LINK.findall(page.read_text(encoding="utf-8")) if link.endswith("ipynb")}
        assert linked == {script.stem for script in SCRIPTS}, page


def test_notebooks_without_solutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", TEACHING.read_text(encoding="utf-8"), re.M | re.S)
    folder = tmp_path / "docs/notebooks"
    folder.mkdir(parents=True)
    shutil.copy(build.HERE / "qrsu.ipynb", folder)
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    (written,) = tmp_path.glob("*.ipynb")
    cells: list[Any] = nbformat.read(written, as_version=4).cells
    assert cells
    assert all(build.SOLUTION not in str(cell.metadata) for cell in cells)


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_script
def test_a_notebook_runs(script: Path) -> None:
    saved, found = nbformat.read(script.with_suffix(".ipynb"), as_version=4), build.run(build.read(script))
    kinds = [
        [[output.output_type for output in cell.get("outputs", ())] for cell in each.cells] for each in (saved, found)
    ]
    assert kinds[0] == kinds[1]
