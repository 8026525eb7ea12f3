"""The notebooks of the documentation: made from their scripts, with outputs, and without errors."""

from pathlib import Path

import nbformat
import pytest

from docs.notebooks import build

SCRIPTS = build.scripts()
_MOST_BYTES = 400_000
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
            assert str(build.HERE.parent.parent) not in str(output)
    assert file.stat().st_size < _MOST_BYTES


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_script
def test_a_notebook_runs(script: Path) -> None:
    saved, found = nbformat.read(script.with_suffix(".ipynb"), as_version=4), build.run(build.read(script))
    kinds = [
        [[output.output_type for output in cell.get("outputs", ())] for cell in each.cells] for each in (saved, found)
    ]
    assert kinds[0] == kinds[1]
