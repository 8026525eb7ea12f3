"""Sentences with a negation far from its word: a bag of words, and an LSTM by the shipped recipe.

The bag of words is a logistic regression on word counts, fitted on 20,000 sentences by L-BFGS until convergence, with a
small weight decay. seqhub is `seqhub train` with the recipe `solve`. Both are evaluated on the 10,000 published test
sentences. Nothing is timed, so `rounds` has no effect.
"""

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.timing import Row
from seqhub.evaluation.evaluate import evaluate
from seqhub.tasks.registry import get_task
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

TASK_IDS = tuple(f"sentiment/{config.name}" for config in get_task("sentiment").configs)
SEEDS = range(1, 6)
LEAST, MOST_OF_A_BAG = 0.99, 0.75
_TRAINING, _TEST = 20_000, 10_000  # sentences


def run(rounds: int) -> list[Row]:
    del rounds
    torch.set_num_threads(1)
    rows = []
    for task_id in TASK_IDS:
        bag = bag_of_words(task_id)
        pairs = [ours(task_id, seed) for seed in SEEDS]
        right, seen = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        rows += [
            Row(case=f"{task_id}: bag of words", unit="share right", theirs=None, ours=bag,
                goal=("ours", "<=", MOST_OF_A_BAG)),
            Row(case=f"{task_id}: LSTM, worst of {len(SEEDS)} seeds", unit="share right", theirs=bag, ours=min(right),
                goal=("ours", ">=", LEAST), each=right),
            Row(case=f"{task_id}: sentences to 99.9 %, median", unit="sentences", theirs=None, ours=median(seen),
                each=seen),
        ]  # fmt: skip
    return rows


def bag_of_words(task_id: str, training: int = _TRAINING, test: int = _TEST) -> float:
    """Return the test accuracy of the bag of words."""
    counts, labels = _counts(Split(task_id), training)
    weights, bias = torch.zeros(counts.size(1), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(counts @ weights + bias, labels)
        value = value + 1e-4 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)
    counts, labels = _counts(Split(task_id, "test"), test)
    with torch.no_grad():
        return float(((counts @ weights + bias > 0) == labels.bool()).float().mean())


def _counts(split: Split, rows: int) -> tuple[Tensor, Tensor]:
    """Return word counts (N, words) and labels (N,) of sentences, both float32."""
    assert split.schema.vocabulary is not None
    counts = np.zeros((rows, len(split.schema.vocabulary) + 1), np.float32)
    labels, start = [], 0
    for batch in split.batches(0, rows):
        places = np.arange(start, start + len(batch))
        np.add.at(counts, (places[:, None], batch.inputs), 1)
        labels.append(batch.labels)
        start += len(batch)
    return torch.from_numpy(counts[:, 1:]), torch.from_numpy(np.concatenate(labels)).float()  # without padding


def ours(task_id: str, seed: int) -> tuple[float, float]:
    """Return the test accuracy of the LSTM, and its training sentences to 99.9 % on newly generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        settings = recipe(task_id, "lstm") | {"model": "lstm", "seed": seed, "cpu": True}
        train(TrainConfig(task=task_id, output_dir=Path(folder) / "run", **settings))
        record = evaluate(Path(folder) / "run", num_examples=_TEST, sibling_examples=0)
    return record.evaluation["test"]["accuracy"], record.criteria["accuracy>=0.999"] or float("nan")
