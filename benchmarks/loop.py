"""Training on QRSU: `seqhub train` against the course's loop, and against the same steps written by hand.

Batches of 32, RMSprop, one thread. The course's loop generates its batches, makes them one-hot, and reads every step's
logits and every loss. The bare loop gets prepared one-hot tensors and runs only forward, loss, backward and optimizer
step; its width and optimizer are those of the recipe `solve` (LSTM of 8, Adam, clipping). Rates of `seqhub train` are
those of its record, without validations. Once with the native recurrence, once with torch's modules.
"""

import itertools
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks.course import course_loop
from benchmarks.timing import Goal, Row, native, row_of_pairs
from seqhub.data.loader import StreamLoader
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

_SEQUENCES = 8_192
_SYMBOLS, _CLASSES = 8, 4
_CASES: list[tuple[str, str, int, bool, float | None]] = [  # level, cell, width, native, goal of the ratio
    ("hard", "rnn_relu", 4, True, 15),
    ("hard", "lstm", 4, True, 5),
    ("hard", "lstm", 16, True, 4),
    ("hard", "gru", 4, True, 10),
    ("easy", "lstm", 4, True, None),
    ("hard", "lstm", 4, False, 2),
    ("easy", "lstm", 4, False, None),
]


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for level, cell, hidden, natively, least_ratio in _CASES:
        settings = recipe(f"qrsu/{level}", "lstm", "tutorial") | {"model": cell, "hidden_size": hidden}
        with native(natively):
            pairs = [
                (course_loop(level, cell, hidden, _SEQUENCES), script(f"qrsu/{level}", settings, _SEQUENCES))
                for _ in range(rounds + 1)
            ][1:]
        goal: Goal | None = None if least_ratio is None else ("ratio", ">=", least_ratio)
        case = f"{level}, {cell} {hidden}, {_path(natively)}, against the course's loop"
        rows.append(row_of_pairs(case, pairs, unit="sequences/s", goal=goal))
    return rows + [_against_a_bare_loop(natively, rounds) for natively in (True, False)]


def _path(natively: bool) -> str:
    return "native" if natively else "torch's modules"


def _against_a_bare_loop(natively: bool, rounds: int) -> Row:
    task_id = "qrsu/hard"
    settings = recipe(task_id, "lstm") | {"model": "lstm"}
    with native(natively):
        pairs = [(1e6 / _bare(task_id), 1e6 / script(task_id, settings, _SEQUENCES)) for _ in range(rounds + 1)][1:]
    return Row(
        case=f"hard, {_path(natively)}, time against a bare loop",
        unit="us/sequence",
        theirs=median(bare for bare, _ in pairs),
        ours=median(ours for _, ours in pairs),
        ratio=median(ours / bare for bare, ours in pairs),
        goal=("ratio", "<=", 1.35),
    )


def script(task_id: str, settings: dict[str, Any], sequences: int) -> float:
    """Return the sequences per second of `seqhub train`."""
    sizes = {"max_sequences": sequences, "evaluate_every": sequences, "evaluate_size": 64, "checkpoint_every": 10**9}
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings | sizes | {"stop_at": "none"}
        config = TrainConfig(task=task_id, output_dir=Path(folder) / "run", **chosen)
        record = train(config)
    assert record is not None
    return record.sequences_seen / (record.timings["train"] - record.timings["of which checks"])


def _bare(task_id: str) -> float:
    """Return the sequences per second of hand-written steps on prepared tensors."""
    settings = recipe(task_id, "lstm")
    size = settings["batch_size"]
    ready = []
    for batch in itertools.islice(StreamLoader(task_id, batch_size=size), _SEQUENCES // size):
        one_hot = nn.functional.one_hot(batch["input_ids"], _SYMBOLS + 1)[..., 1:].float()
        ready.append((one_hot, batch["attention_mask"].sum(dim=1) - 1, batch["labels"]))
    recurrence, linear = nn.LSTM(_SYMBOLS, settings["hidden_size"], batch_first=True), nn.Linear(8, _CLASSES)
    parameters = [*recurrence.parameters(), *linear.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=settings["learning_rate"], fused=True)
    rows = torch.arange(size)
    started = time.perf_counter()
    for x, last, labels in ready:
        loss = nn.functional.cross_entropy(linear(recurrence(x)[0][rows, last]), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad()
    return _SEQUENCES / (time.perf_counter() - started)
