"""Whole processes: the command line against an empty program of typer, and solving a task against its notebook.

The baseline of `--help` prints the help of a program of typer with one empty command. The baseline
of solving is the notebook as a script: a hundred epochs of training and testing, after which its network is nearly
always right. seqhub trains until 10,240 newly generated sequences are all right, and saves a model with its record.
Both sides import compiled modules, as after an installation. The times are processor times.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.timing import Row, process_seconds, row_of_pairs

_PROGRAM = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"
_THEIRS = [sys.executable, "-c", _PROGRAM]
_OURS = {
    "seqhub --help": ["--help"],
    "seqhub tasks show qrsu/hard": ["tasks", "show", "qrsu/hard"],
    "seqhub train --help": ["train", "--help"],
}


def run(rounds: int) -> list[Row]:
    rows = []
    for case, arguments in _OURS.items():
        program = [sys.executable, "-c", "from seqhub.cli import main; main()", *arguments]
        pairs = [(process_seconds(_THEIRS), process_seconds(program)) for _ in range(2 * rounds + 1)][1:]
        rows.append(
            Row(
                case=case,
                unit="s",
                theirs=median(theirs for theirs, _ in pairs),
                ours=median(ours for _, ours in pairs),
                ratio=median(ours / theirs for theirs, ours in pairs),
                goal=("ratio", "<=", 1.2) if arguments == ["--help"] else None,
            )
        )
    return [*rows, _solving(rounds)]


def _solving(rounds: int) -> Row:
    notebook = [sys.executable, "-c", "from benchmarks.course import course_notebook; course_notebook('easy')"]

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["train", "qrsu/easy", "--accuracy", "1", "--output-dir", str(Path(folder) / "run")]
            return process_seconds([sys.executable, "-c", "from seqhub.cli import main; main()", *arguments])

    ours()
    pairs = [(process_seconds(notebook), ours()) for _ in range(rounds)]
    return row_of_pairs(
        "qrsu/easy solved", [(1 / a, 1 / b) for a, b in pairs], unit="processes/s", goal=("ratio", ">=", 40.0)
    )
