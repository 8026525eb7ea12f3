"""Digits read row by row, 28 rows of 28: test accuracy of a plain PyTorch program and of seqhub.

The plain program is the tutorial's model, which has no data of its own: two layers of `nn.RNN` (tanh), 28 -> 128, a
linear layer on the last step, Adam at 0.01, batches of 100. Here it gets the digits in the order of `DataLoader`, with
as many passes as seqhub. seqhub is `seqhub train row_images/digits28` with its recipe: with the LSTM, which recipe and
goal are for, and with the tutorial's plain cell. Both are evaluated on the 179 test images after the last pass, so the
test images select nothing. Nothing is timed, so `rounds` has no effect.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.timing import Goal, Row
from seqhub.evaluation.evaluate import evaluate
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

TASK_ID = "row_images/digits28"
SEEDS = range(10)


class PlainModel(nn.Module):
    """Two plain recurrences and ten logits from the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrence = nn.RNN(28, 128, num_layers=2, batch_first=True)
        self.readout = nn.Linear(128, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.recurrence(rows)[0][:, -1])
        return logits


def run(rounds: int) -> list[Row]:
    del rounds
    torch.set_num_threads(1)
    theirs = [plain(seed) for seed in SEEDS]
    rows = []
    for model in ("lstm", "rnn_tanh"):
        here = [ours(model, seed) for seed in SEEDS]
        rows += rows_of(model, theirs, here)
    return rows


def rows_of(model: str, theirs: Sequence[float], here: Sequence[float]) -> list[Row]:
    """Return rows with the median and the worst of all seeds."""
    goal: Goal | None = ("ours", ">=", 96.0) if model == "lstm" else None
    return [
        Row(case=f"{model}: all", unit="%", theirs=median(theirs), ours=median(here), each=here, each_of_theirs=theirs),
        Row(case=f"{model}: worst seed", unit="%", theirs=min(theirs), ours=min(here), goal=goal),
    ]


def tensors(name: str) -> tuple[Tensor, Tensor]:
    """Return images (N, 28, 28) and digits (N,) of a split."""
    split = Split(TASK_ID, name)
    batch = split.blocks(0, 2)
    assert len(batch) == split.size
    return torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)


def plain(seed: int) -> float:
    """Return the test accuracy of the plain program in percent."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PlainModel()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        loader = DataLoader(TensorDataset(*tensors("train")), batch_size=100, shuffle=True)
        for _ in range(recipe(TASK_ID, "rnn_tanh")["epochs"]):
            for images, digits in loader:
                nn.functional.cross_entropy(model(images), digits).backward()
                optimizer.step()
                optimizer.zero_grad()
    images, digits = tensors("test")
    with torch.no_grad():
        return 100 * (model(images).argmax(dim=1) == digits).float().mean().item()


def ours(model: str, seed: int) -> float:
    """Return the test accuracy of seqhub in percent, from its record."""
    settings = recipe(TASK_ID, model) | {"seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        train(TrainConfig(task=TASK_ID, model=model, output_dir=Path(folder) / "run", cpu=True, **settings))
        record = evaluate(Path(folder) / "run", sibling_examples=0)
    return 100 * float(record.evaluation["test"]["accuracy"])
