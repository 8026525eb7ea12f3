"""Square by the book's recipe: right test sequences of a plain PyTorch program and of seqhub.

The plain program reimplements the book's: `torch.manual_seed`, a recurrence of width 2 and a linear layer, seed 42,
then 100 passes of `DataLoader(shuffle=True)` with batches of 16, Adam at 0.01, one logit. seqhub is `seqhub train` with
the recipe `tutorial` on the same 128 sequences. Both count the right ones of 128 other sequences, for each class. Seeds
are those of the initial weights; the book's is 21. Nothing is timed, so `rounds` has no effect.
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

TASK_ID = "square/tutorial"
SEED, SEEDS = 21, range(1, 11)  # the book's seed and ten others
CELLS: dict[str, type[nn.RNNBase]] = {"rnn_tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
_ORDER_SEED = 42

Counts = tuple[int, int]  # right of each class


class PlainModel(nn.Module):
    """A recurrence and one logit from its last step."""

    def __init__(self, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrence = cell(2, 2, batch_first=True)  # type: ignore[call-arg]
        self.readout = nn.Linear(2, 1)

    def forward(self, points: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.recurrence(points)[0][:, -1])
        return logits


def run(rounds: int) -> list[Row]:
    del rounds
    torch.set_num_threads(1)
    rows = []
    for cell in CELLS:
        seeds = {seed: (plain(cell, seed), ours(cell, seed)) for seed in (SEED, *SEEDS)}
        theirs, here = seeds.pop(SEED)
        goal: Goal = ("ours", ">=", 125 if cell == "rnn_tanh" else 128)
        rows.append(Row(case=f"{cell}: seed {SEED}", unit="of 128", theirs=sum(theirs), ours=sum(here), goal=goal))
        for number, (name, total) in enumerate(totals().items()):
            rows.append(
                _row(f"{cell}: {name}", f"of {total}", [[side[number] for side in pair] for pair in seeds.values()])
            )
        rows.append(_row(f"{cell}: all", "of 128", [[sum(side) for side in pair] for pair in seeds.values()]))
    return rows


def _row(case: str, unit: str, pairs: Sequence[Sequence[int]]) -> Row:
    theirs, here = ([pair[side] for pair in pairs] for side in (0, 1))
    return Row(case=case, unit=unit, theirs=median(theirs), ours=median(here), each=here, each_of_theirs=theirs)


def totals() -> dict[str, int]:
    """Return the number of test sequences of each class."""
    split = Split(TASK_ID, "test")
    (batch,) = split.batches(0)
    return {name: int((batch.labels == number).sum()) for number, name in enumerate(split.schema.labels)}


def tensors(name: str) -> tuple[Tensor, Tensor]:
    """Return points (128, 4, 2) and labels (128, 1) of a split."""
    (batch,) = Split(TASK_ID, name).batches(0)
    return torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels).float().unsqueeze(1)


def plain(cell: str, seed: int) -> Counts:
    """Return the right test sequences of each class for the plain program."""
    loader = DataLoader(TensorDataset(*tensors("train")), batch_size=16, shuffle=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PlainModel(CELLS[cell])
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.manual_seed(_ORDER_SEED)
        for _ in range(100):
            for points, labels in loader:
                nn.functional.binary_cross_entropy_with_logits(model(points), labels).backward()
                optimizer.step()
                optimizer.zero_grad()
    points, labels = tensors("test")
    with torch.no_grad():
        right = (model(points) > 0) == (labels == 1)
    backwards, forwards = (int(right[labels == label].sum()) for label in (0, 1))
    return backwards, forwards


def ours(cell: str, seed: int) -> Counts:
    """Return the right test sequences of each class for seqhub, from its record."""
    settings = recipe(TASK_ID, cell, "tutorial") | {"weights_seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        train(TrainConfig(task=TASK_ID, model=cell, output_dir=Path(folder) / "run", cpu=True, **settings))
        record = evaluate(Path(folder) / "run", sibling_examples=0)
    backwards, forwards = (counts["correct"] for counts in record.evaluation["test"]["per_class"].values())
    return backwards, forwards
