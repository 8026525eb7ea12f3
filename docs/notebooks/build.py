"""Notebooks of the documentation: `python -m docs.notebooks.build` runs each script and saves it as a notebook.

A script is Python in the percent format of jupytext: a cell starts with `# %%`, and a cell of text with
`# %% [markdown]`. To add a notebook, add its script and run this module. The tests compare the cells of scripts and
notebooks, and run the notebooks. Pictures should be small, because the outputs are saved in the repository.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from seqhub.cli.errors import script
from seqhub.io import write_atomically

HERE = Path(__file__).parent
SECONDS = 600  # time limit of a cell


def scripts() -> list[Path]:
    """Return the scripts of all notebooks."""
    return sorted(path for path in HERE.glob("*.py") if path.name not in ("__init__.py", "build.py"))


def read(path: Path) -> Any:
    """Return the notebook of a script, without outputs."""
    notebook = jupytext.read(path)
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # otherwise random
        cell.metadata = nbformat.from_dict({})
    return notebook


def run(notebook: Any) -> Any:
    """Run a notebook in a new folder, and return it with outputs, without warnings and progress of libraries.

    Raises:
        CellExecutionError: A cell raised an error.
    """
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}},
            record_timing=False,
        ).execute()  # fmt: skip
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata.kernelspec})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            cell.metadata = nbformat.from_dict({})
    return notebook


def main() -> None:
    """Run all scripts, or those with the given names, and save their notebooks."""
    for path in scripts():
        if len(sys.argv) > 1 and path.stem not in sys.argv[1:]:
            continue
        started = time.perf_counter()
        notebook = run(read(path))
        write_atomically(path.with_suffix(".ipynb"), (nbformat.writes(notebook) + "\n").encode())
        sys.stdout.write(f"{path.with_suffix('.ipynb')}: {time.perf_counter() - started:.1f} s\n")


if __name__ == "__main__":
    script(main)
