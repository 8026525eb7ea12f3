"""Memorising three phrases by the course's recipe: loss and completion of a plain PyTorch program and of seqhub.

The plain program reimplements the course's with the symbols in a fixed order: `torch.manual_seed`, a tanh recurrence of
width 12 and a linear layer, 100 steps of Adam at 0.01 on all three phrases, cross-entropy over 42 next characters.
seqhub is `seqhub train` with the recipe `tutorial`, from the same initial weights. Then both complete `good`: the plain
program reads everything again for each character, seqhub uses `generate`. Losses are of the forward pass of epochs
10 and 100, in nats. Nothing is timed, so `rounds` has no effect.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.timing import Goal, Row
from seqhub.evaluation.load import load_model
from seqhub.tasks.char_completion import TASK
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe
from seqhub.training.train import train

TASK_ID = "char_completion/tutorial"
MODEL = "rnn_tanh"
SEEDS = range(1, 21)
MOST_LOSS = 0.30  # at epoch 100
START, EPOCHS = "good", 100


class Outcome(NamedTuple):
    """Result of one seed."""

    loss_10: float
    loss_100: float
    completed: str


def run(rounds: int) -> list[Row]:
    del rounds
    torch.set_num_threads(1)
    theirs, here = zip(*((plain(seed), ours(seed)) for seed in SEEDS), strict=True)
    exact = [[each.completed == TASK.complete(START) for each in side] for side in (theirs, here)]
    pair = [[each.loss_100 for each in side] for side in (theirs, here)]
    largest: Goal = ("ours", "<=", MOST_LOSS)
    return [
        _row("loss at epoch 10, median", [each.loss_10 for each in theirs], [each.loss_10 for each in here]),
        _row("loss at epoch 100, median", *pair),
        Row(case="loss at epoch 100, largest", unit="nats", theirs=max(pair[0]), ours=max(pair[1]), goal=largest),
        Row(case="completed exactly", unit=f"of {len(SEEDS)}", theirs=sum(exact[0]), ours=sum(exact[1]),
            goal=("ours", ">=", len(SEEDS)), each=list(map(int, exact[1])), each_of_theirs=list(map(int, exact[0]))),
    ]  # fmt: skip


def _row(case: str, theirs: Sequence[float], here: Sequence[float]) -> Row:
    return Row(case=case, unit="nats", theirs=median(theirs), ours=median(here), each=here, each_of_theirs=theirs)


def plain(seed: int) -> Outcome:
    """Train the plain program and complete phrases with it."""
    symbols = len(TASK.symbols)
    phrases = [row.inputs for row in Split(TASK_ID).examples(Split(TASK_ID).blocks(0, 1))]
    ids = torch.from_numpy(TASK.encode_batch(phrases)) - 1
    one_hot = nn.functional.one_hot(ids, symbols).float()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        recurrence, readout = nn.RNN(symbols, 12, batch_first=True), nn.Linear(12, symbols)
    optimizer = torch.optim.Adam([*recurrence.parameters(), *readout.parameters()], lr=0.01)
    losses = []
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        logits = readout(recurrence(one_hot[:, :-1])[0])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    text = START
    with torch.no_grad():
        while len(text) < ids.size(1):
            seen = nn.functional.one_hot(torch.tensor([TASK.encode(text)]) - 1, symbols).float()
            text += TASK.symbols[int(readout(recurrence(seen)[0][0, -1]).argmax())]
    return Outcome(losses[9], losses[99], text)


def ours(seed: int) -> Outcome:
    """Train with seqhub and complete phrases with `generate`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        settings = recipe(TASK_ID, MODEL, "tutorial") | {"model": MODEL, "weights_seed": seed, "cpu": True}
        train(TrainConfig(task=TASK_ID, output_dir=folder, **settings))
        losses = [row["loss"] for row in read_history(folder)]
        ids = torch.tensor([TASK.encode(START)])
        left = len(TASK.complete(START)) - ids.size(1)
        written = load_model(folder).generate(ids, max_new_tokens=left, do_sample=False)  # type: ignore[operator]
    return Outcome(losses[9], losses[99], TASK.decode(written[0].numpy()))
