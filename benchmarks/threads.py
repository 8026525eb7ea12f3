"""The default number of threads: against one on an idle machine, and against torch's default beside a busy neighbour.

`seqhub train` sets one thread unless asked for more; torch takes one for each core. The neighbour is a process that
does nothing but count. LSTM on qrsu/hard, batches of 32; rates are those of the records, without checks. Both with
torch's own modules, which are what threads matter to.
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
                    f"lstm {hidden}, idle: one thread, the default", idle, unit="sequences/s", goal=("ratio", ">=", 0.9)
                )
            )
            with _neighbour():
                busy = [(_rate(many), _rate(settings)) for _ in range(rounds + 1)][1:]
            rows.append(
                row_of_pairs(
                    f"lstm {hidden}, busy neighbour: torch's default, the default",
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
    """A process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
