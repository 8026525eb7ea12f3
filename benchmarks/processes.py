"""Training with two processes of torchrun that exchange gradients by gloo, on the CPU, against one process.

LSTM on qrsu/hard. One process trains natively, as by default; in the second comparison it trains in torch with a thread
for each core. The batches are the same on all sides, so two processes have half of each. Rates are those of the
records: training without imports and validations. The result depends on the other processes of the machine, since two
processes wait for each other at every step.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row, row_of_pairs
from seqhub.records import RunRecord

_WIDTHS = {16: (32, 3_200), 256: (64, 640), 1_024: (64, 192)}  # batch, sequences of a run


def run(rounds: int) -> list[Row]:
    rows = []
    cores = str(os.cpu_count())
    for hidden in _WIDTHS:
        triples = [(_rate(hidden, 1), _rate(hidden, 1, "--threads", cores), _rate(hidden, 2)) for _ in range(rounds)]
        for number, name in enumerate(("one process", f"one process with {cores} threads")):
            pairs = [(triple[number], triple[2]) for triple in triples]
            rows.append(row_of_pairs(f"lstm {hidden}: two processes, against {name}", pairs, unit="sequences/s"))
    return rows


def _rate(hidden: int, processes: int, *options: str) -> float:
    """Return the training sequences per second of a run."""
    batch, sequences = _WIDTHS[hidden]
    settings = {
        "hidden-size": hidden,
        "batch-size": batch,
        "max-sequences": sequences,
        "evaluate-every": sequences,
        "evaluate-size": batch,
        "stop-at": "none",
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        given = [f"--{name}={value}" for name, value in settings.items()]
        arguments = ["qrsu/hard", "--cpu", "--quiet", f"--output-dir={output}", *given, *options]
        subprocess.run([*launcher, "-m", "seqhub.training", *arguments], check=True, capture_output=True)
        record = RunRecord.load(output)
    return record.sequences_seen / (record.timings["train"] - record.timings["of which checks"])
