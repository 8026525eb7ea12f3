"""Building a dataset of qrsu/hard on disk: `Dataset.from_generator` with the course's generator against seqhub.

Each side runs in a process of its own, which reports time, peak memory and bytes on disk. seqhub writes 1,000,000 rows.
The baseline writes 50,000; its rate is the same for 1,000,000, since it works row by row and flushes every thousand.
For the curve both write the same number of rows, once.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, row_of_pairs

_THEIRS = 50_000  # rows
_OURS = 1_000_000
_EQUAL = (1_000, 10_000, 100_000)  # rows that both sides write, for the curve


def run(rounds: int) -> list[Row]:
    pairs = [(_child("theirs", _THEIRS), _child("ours", _OURS)) for _ in range(rounds)]

    def column(name: str) -> list[tuple[float, float]]:
        return [(theirs[name], ours[name]) for theirs, ours in pairs]

    return [
        row_of_pairs("time", column("rows_per_second"), unit="rows/s", goal=("ratio", ">=", 60.0)),
        row_of_pairs("peak memory", column("peak_mib"), unit="MiB", goal=("ratio", "<=", 1.4)),
        row_of_pairs("size on disk", column("bytes_per_row"), unit="bytes/row", goal=("ours", "<=", 125.0)),
        *map(_curve, _EQUAL),
    ]


def _curve(rows: int) -> Row:
    """Measure the seconds for several numbers of rows on both sides, once."""
    theirs, ours = (rows / _child(side, rows)["rows_per_second"] for side in ("theirs", "ours"))
    return Row(case=f"{rows:,} rows", unit="s", theirs=theirs, ours=ours, ratio=theirs / ours)


def from_generator(cache: str, rows: int) -> int:
    from datasets import Dataset

    from benchmarks.baselines import CourseGenerator

    course = CourseGenerator("hard")

    def examples() -> Iterator[dict[str, Any]]:
        for _ in range(rows):
            text, name = course.pair()
            yield {"text": text, "label": course.number_of_class[name]}

    return len(Dataset.from_generator(examples, cache_dir=cache))


def builder(cache: str, rows: int) -> int:
    from seqhub.data.builder import load_dataset

    splits = load_dataset("qrsu", "hard", train_size=rows, validation_size=1, test_size=1, cache_dir=cache)
    return sum(map(len, splits.values()))


SIDES: dict[str, tuple[Callable[[str, int], int], str]] = {  # function to time, and import before it
    "theirs": (from_generator, "datasets"),
    "ours": (builder, "seqhub.data.builder"),
}


def _child(side: str, rows: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", __name__, side, str(rows)], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(side: str, rows: int) -> dict[str, float]:
    """Measure one side in this process; imports are not timed but count as memory."""
    run, module = SIDES[side]
    import_module(module)
    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        written = run(cache, rows)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(cache).rglob("*.arrow"))
    return {"rows_per_second": written / seconds, "peak_mib": _peak_mib(), "bytes_per_row": size / written}


def _peak_mib() -> float:
    """Return the peak resident memory of this process.

    On Linux `getrusage` of a child starts at the peak of its parent, so the value is read from /proc instead.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (kib,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(kib) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="measure one side of this benchmark, as JSON")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("rows", type=int)
    given = parser.parse_args()
    print(json.dumps(measure(given.side, given.rows)))
