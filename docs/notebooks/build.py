"""Notebooks of the documentation: `python -m docs.notebooks.build` runs each script and saves it as a notebook.

A script is Python in the percent format of jupytext: a cell starts with `# %%`, and a cell of text with
`# %% [markdown]`. A cell that starts with `# %% tags=["solution"]` is the solution of an exercise: Jupyter shows it and
its output only on a click. To add a notebook, add its script and run this module. The tests compare the cells of
scripts and notebooks, and run the notebooks. Pictures are saved with fewer pixels and colours, because the outputs are
in the repository.
"""

import base64
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import jupytext
import nbformat
import typer
from nbclient import NotebookClient
from PIL import Image

from seqhub.cli.errors import script
from seqhub.errors import UnknownNameError
from seqhub.io import write_atomically

HERE = Path(__file__).parent
SECONDS = 600  # time limit of a cell
SOLUTION = "solution"  # tag of a cell
_WIDTHS = 960, 800, 640, 480  # of saved pictures; a smaller one only where a picture is large
_PICTURE_BYTES = 40_000
_ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore:IProgress not found",  # of tqdm, if the widgets of Jupyter are not installed
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # also those of transformers
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures are outputs, whatever the caller has set
}


def scripts() -> list[Path]:
    """Return the scripts of all notebooks."""
    return sorted(path for path in HERE.glob("*.py") if path.name not in ("__init__.py", "build.py"))


def read(path: Path) -> Any:
    """Return the notebook of a script, without outputs."""
    notebook = jupytext.read(path)
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # otherwise random
        tags = cell.metadata.get("tags", [])
        hidden = {"jupyter": {"source_hidden": True, "outputs_hidden": True}} if SOLUTION in tags else {}
        cell.metadata = nbformat.from_dict(({"tags": tags} if tags else {}) | hidden)
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
        ).execute(env=os.environ | _ENVIRONMENT)  # fmt: skip
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata.kernelspec})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined([each for each in cell.outputs if each.get("name") != "stderr"])
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _shrink(data["image/png"])
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs with printed texts that follow one another as one; where they are divided depends on the time."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _shrink(png: str) -> str:
    """Return a picture, a PNG in base64, with 256 colours, and with fewer pixels until it is small enough."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as opened:
        picture = opened.convert("RGB")
    for most in _WIDTHS:
        width = min(picture.width, most)
        small = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            buffer, "png", optimize=True
        )  # other methods lose the colours of thin lines
        if buffer.tell() <= _PICTURE_BYTES:
            break
    return base64.b64encode(buffer.getvalue()).decode()


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Names of notebooks", show_default="all")] = None,
) -> None:
    """Run the scripts of notebooks, and save the notebooks."""
    known = {path.stem: path for path in scripts()}
    for name in names or known:
        if name not in known:
            raise UnknownNameError.of("notebook", name, known)
        path = known[name]
        before = os.times()
        notebook = run(read(path))
        write_atomically(path.with_suffix(".ipynb"), (nbformat.writes(notebook) + "\n").encode())
        after = os.times()
        seconds = sum(after[2:4]) - sum(before[2:4])  # of the kernel and its processes
        sys.stdout.write(f"{path.with_suffix('.ipynb')}: {seconds:.1f} processor seconds\n")


if __name__ == "__main__":
    script(main)
