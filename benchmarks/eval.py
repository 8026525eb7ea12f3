"""Accuracy on qrsu/hard, by `seqhub evaluate` and by the course's test loop: sequences per second, data included.

The course's loop draws batches of 32 as in training, makes them one-hot, reads the logits of every step and sums the
losses and the right answers up. Ours draws the same number of sequences from the test split and tallies every metric
of a card. One thread; once with the native recurrence, once with torch's own modules (SEQHUB_KERNELS=0).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.baselines import CourseGenerator
from benchmarks.timing import Goal, Job, Row, compare
from seqhub.evaluation.evaluate import tally
from seqhub.models.registry import build_config, build_model
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import Split

_THEIRS, _OURS = 6_400, 100_000  # sequences of one call
_GOALS: dict[tuple[str, int], tuple[float | None, float | None]] = {  # asked of the library, of torch's modules
    ("rnn_tanh", 4): (None, None),
    ("lstm", 4): (50, 5),
    ("lstm", 16): (15, 5),
    ("lstm", 64): (None, None),
}


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [row for (cell, hidden), goals in _GOALS.items() for row in _rows(cell, hidden, *goals, rounds)]


def _rows(cell: str, hidden: int, native: float | None, plain: float | None, rounds: int) -> list[Row]:
    task, _ = resolve("qrsu/hard")
    labels = {"id2label": dict(enumerate(task.labels)), "label2id": {name: i for i, name in enumerate(task.labels)}}
    config = build_config(cell, hidden_size=hidden, vocab_size=1 + len(task.symbols), **labels)
    model = build_model(config, "sequence").eval()
    split = Split("qrsu/hard", "test")
    theirs = Job(lambda: _course(cell, hidden), _THEIRS)
    rows = []
    for name, setting, asked in (("native", "1", native), ("torch's modules", "0", plain)):
        goal: Goal | None = None if asked is None else ("ratio", ">=", asked)
        with _kernels(setting):
            ours = Job(lambda: tally(model, split, _OURS), _OURS)
            rows.append(compare(f"{cell} {hidden}, {name}", theirs, ours, rounds, unit="sequences/s", goal=goal))
    return rows


@contextmanager
def _kernels(setting: str) -> Iterator[None]:
    before = os.environ.get("SEQHUB_KERNELS")
    os.environ["SEQHUB_KERNELS"] = setting
    try:
        yield
    finally:
        if before is None:
            del os.environ["SEQHUB_KERNELS"]
        else:
            os.environ["SEQHUB_KERNELS"] = before


class _Course(nn.Module):
    """The course's network: a recurrence, a linear layer at every step."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.recurrence = (nn.LSTM if cell == "lstm" else nn.RNN)(8, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, 4) of x (B, T, 8)."""
        return self.linear(self.recurrence(x)[0])


def _course(cell: str, hidden: int) -> tuple[int, float]:
    generator, model = CourseGenerator("hard"), _Course(cell, hidden).eval()
    criterion = nn.CrossEntropyLoss()
    correct, loss = 0, 0.0
    with torch.no_grad():
        for _ in range(_THEIRS // 32):
            x, y = generator.batch()
            data, target = torch.from_numpy(x).float(), torch.from_numpy(y).long()
            labels = target.argmax(dim=1)
            output = model(data)[:, -1, :]
            loss += criterion(output, labels).item()
            correct += int((output.argmax(dim=1) == labels).sum().item())
    return correct, loss
