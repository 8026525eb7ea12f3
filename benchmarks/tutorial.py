"""QRSU by the course's recipe: accuracy after 10 and 100 epochs of a plain PyTorch program and of seqhub.

The plain program reimplements the course's: `torch.manual_seed`, a recurrence of width 4 and a linear layer, RMSprop at
1e-3, epochs of 31 batches of 32, each followed by a test on 31 more batches of the same stream. seqhub is `seqhub
train` with the recipe `tutorial`, which validates on 992 newly generated sequences after each epoch; they are from the
validation split, which is never trained on. The JSON file has every seed. Nothing is timed, so `rounds` has no effect.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.timing import Goal, Row
from seqhub.tasks.qrsu import tutorial_stream
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe
from seqhub.training.train import train

LEVEL, SEEDS = "easy", range(1, 11)
SOLVED = {"rnn_relu": 8, "lstm": 10}  # seeds that must have 100 % after the last epoch
EARLY, EPOCHS = 10, 100
_BATCHES, _BATCH = 31, 32

Course = list[float]  # accuracy in percent after each epoch


def run(rounds: int) -> list[Row]:
    del rounds
    torch.set_num_threads(1)
    rows = []
    for cell, at_least in SOLVED.items():
        theirs, here = ([side(cell, seed) for seed in SEEDS] for side in (plain, ours))
        goal: Goal = ("ours", ">=", at_least)
        solved = [sum(course[-1] == 100 for course in side) for side in (theirs, here)]
        rows.append(Row(case=f"{cell}: at 100 %", unit="seeds", theirs=solved[0], ours=solved[1], goal=goal))
        for epoch in (EARLY, EPOCHS):
            ends = [[course[epoch - 1] for course in side] for side in (theirs, here)]
            rows.append(_row(f"{cell}: after {epoch} epochs", "%", ends[0], ends[1]))
        firsts = [list(map(first, side)) for side in (theirs, here)]
        rows.append(_row(f"{cell}: first at 100 %", "epochs", firsts[0], firsts[1]))
    return rows


def _row(case: str, unit: str, theirs: Sequence[float | None], here: Sequence[float | None]) -> Row:
    middles = [median([each for each in side if each is not None]) for side in (theirs, here)]
    return Row(case=case, unit=unit, theirs=middles[0], ours=middles[1], each=here, each_of_theirs=theirs)


def first(course: Course) -> int | None:
    """Return the first epoch with an accuracy of 1, counted from 1; None if there is none."""
    return course.index(100.0) + 1 if 100.0 in course else None


class PlainModel(nn.Module):
    """A recurrence with scores from its last step, which is never padding: the course pads in front."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        kind = nn.LSTM if cell == "lstm" else partial(nn.RNN, nonlinearity="relu")
        self.recurrence = kind(8, 4, batch_first=True)
        self.readout = nn.Linear(4, 4)

    def forward(self, symbols: Tensor) -> Tensor:
        scores: Tensor = self.readout(self.recurrence(symbols)[0][:, -1])
        return scores


def plain(cell: str, seed: int, epochs: int = EPOCHS) -> Course:
    """Return the accuracy after each epoch of the plain program."""
    stream = tutorial_stream(LEVEL, _BATCH)
    course = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PlainModel(cell)
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
        for _ in range(epochs):
            for x, y in islice(stream, _BATCHES):
                labels = torch.from_numpy(y).argmax(dim=1)
                nn.functional.cross_entropy(model(torch.from_numpy(x).float()), labels).backward()
                optimizer.step()
                optimizer.zero_grad()
            right = 0
            with torch.no_grad():
                for x, y in islice(stream, _BATCHES):
                    answers = model(torch.from_numpy(x).float()).argmax(dim=1)
                    right += int((answers == torch.from_numpy(y).argmax(dim=1)).sum())
            course.append(100 * right / (_BATCHES * _BATCH))
    return course


def ours(cell: str, seed: int, **changes: object) -> Course:
    """Return the accuracy after each epoch of seqhub."""
    settings = recipe(f"qrsu/{LEVEL}", cell, "tutorial") | {"checkpoint_every": 10**9, **changes}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        train(TrainConfig(task=f"qrsu/{LEVEL}", model=cell, output_dir=out, seed=seed, cpu=True, **settings))
        return [100 * row["validation_accuracy"] for row in read_history(out)]
