"""The default number of threads: against one on an idle machine, and against torch's default with a busy neighbour.

`seqhub train` sets one thread by default; torch uses one for each core. The neighbour is a process with an endless
loop. LSTM on qrsu/hard, batches of 32; rates are those of the records, without validations. Both use torch's modules,
the only part that the number of threads affects.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.loop import script
from benchmarks.timing import Row, native, row_of_pairs
from seqhub.training.recipes import recipe

_SEQUENCES = 2_048
_WIDTHS = (4, 16)


def run(rounds: int) -> list[Row]:
    rows = []
    with native(False):
        for hidden in _WIDTHS:
            settings = recipe("qrsu/hard", "lstm", "tutorial") | {"model": "lstm", "hidden_size": hidden}
            one, many = settings | {"threads": 1}, settings | {"threads": os.cpu_count()}
            idle = [(_rate(one), _rate(settings)) for _ in range(rounds + 1)][1:]
            rows.append(
                row_of_pairs(
                    f"lstm {hidden}, idle: default, against one thread",
                    idle,
                    unit="sequences/s",
                    goal=("ratio", ">=", 0.9),
                )
            )
            with _neighbour():
                busy = [(_rate(many), _rate(settings)) for _ in range(rounds + 1)][1:]
            rows.append(
                row_of_pairs(
                    f"lstm {hidden}, busy neighbour: default, against torch's default",
                    busy,
                    unit="sequences/s",
                    goal=("ratio", ">=", 2.0),
                )
            )
    return rows


def _rate(settings: dict[str, object]) -> float:
    return script("qrsu/hard", settings, _SEQUENCES)


@contextmanager
def _neighbour() -> Iterator[None]:
    """Start a process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
