"""Starting the command line: `seqhub --help` against importing NumPy and typer, each in a process of its own.

The other side imports NumPy and typer and prints the help of a program of one empty command.
"""

import subprocess
import sys
import time
from statistics import median

from benchmarks.timing import Row

_PROGRAM = "import numpy, typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"
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
        pairs = [(_seconds(_THEIRS), _seconds(program)) for _ in range(2 * rounds + 1)][1:]
        rows.append(
            Row(
                case=case,
                unit="s",
                theirs=median(theirs for theirs, _ in pairs),
                ours=median(ours for _, ours in pairs),
                ratio=median(ours / theirs for theirs, ours in pairs),
                goal=("ratio", "<=", 1.3) if arguments == ["--help"] else None,
            )
        )
    return rows


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
