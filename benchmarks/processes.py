"""Training with two processes of torchrun that exchange gradients by gloo, on the CPU, against one process.

LSTM on qrsu/hard. One process trains natively, as by default; two train in torch, where widths up to 128 have the
native recurrence. The batches are the same on both sides, so each of two processes has half of them. Rates are those
of the records: training without imports and validations. The result depends on the load of the machine, since two
processes wait for each other at every step.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row, row_of_pairs
from seqhub.records import RunRecord

_WIDTHS = {16: (32, 3_200), 256: (64, 512), 1_024: (64, 128)}  # batch, sequences of a run


def run(rounds: int) -> list[Row]:
    return [
        row_of_pairs(
            f"lstm {hidden}", [(_rate(hidden, 1), _rate(hidden, 2)) for _ in range(rounds)], unit="sequences/s"
        )
        for hidden in _WIDTHS
    ]


def _rate(hidden: int, processes: int) -> float:
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
        arguments = ["qrsu/hard", "--cpu", "--quiet", f"--output-dir={output}", *given]
        subprocess.run([*launcher, "-m", "seqhub.training", *arguments], check=True, capture_output=True)
        record = RunRecord.load(output)
    return record.sequences_seen / (record.timings["train"] - record.timings["of which checks"])
