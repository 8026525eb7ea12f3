"""Training on QRSU: the Accelerate script against the course's loop, and against the same steps written out by hand.

LSTM of width 4, batches of 32, RMSprop, one thread. The course's loop draws its batches, makes them one-hot, reads
every step's logits and every loss. The bare loop gets ready one-hot tensors and does nothing but forward, loss,
backward and optimizer step; its width and optimizer are those of the recipe that solves (8, Adam, clipping). Rates
of the script are those of its record, without the checks on fresh data.
"""

import itertools
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.baselines import CourseGenerator
from benchmarks.timing import Row, row_of_pairs
from seqhub.data.feed import StreamFeed
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

_SEQUENCES = 8_192
_SYMBOLS, _CLASSES = 8, 4


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for level in ("easy", "hard"):
        pairs = [(_course(level), _script(f"qrsu/{level}", "tutorial")) for _ in range(rounds + 1)][1:]
        goal = ("ratio", ">=", 2.0) if level == "hard" else None
        rows.append(row_of_pairs(f"{level}, against the course's loop", pairs, unit="sequences/s", goal=goal))
    address = "qrsu/hard"
    pairs = [(1e6 / _bare(address), 1e6 / _script(address, "solve")) for _ in range(rounds + 1)][1:]
    rows.append(
        Row(
            case="hard, time against a bare loop",
            unit="us/sequence",
            theirs=median(bare for bare, _ in pairs),
            ours=median(ours for _, ours in pairs),
            ratio=median(ours / bare for bare, ours in pairs),
            goal=("ratio", "<=", 1.35),
        )
    )
    return rows


def _script(address: str, name: str) -> float:
    """Sequences per second of `seqhub train`."""
    settings = recipe(address, "lstm", name) | {"evaluate_every": _SEQUENCES, "evaluate_size": 64, "stop_at": "none"}
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            address=address,
            output_dir=Path(folder) / "run",
            max_sequences=_SEQUENCES,
            checkpoint_every=10**9,
            **settings,
        )
        record = train(config)
    assert record is not None
    return record.sequences_seen / (record.timings["train"] - record.timings["of which checks"])


class _Course(nn.Module):
    """The course's network: a recurrence, a linear layer at every step."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.recurrence = nn.LSTM(_SYMBOLS, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, C) of x (B, T, 8)."""
        return self.linear(self.recurrence(x)[0])


def _course(level: str) -> float:
    """Sequences per second of the course's loop, its generator included."""
    generator, model = CourseGenerator(level), _Course(4)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    started = time.perf_counter()
    correct = 0
    for _ in range(_SEQUENCES // 32):
        x, y = generator.batch()
        data, target = torch.from_numpy(x).float(), torch.from_numpy(y).long()
        labels = target.argmax(dim=1)
        output = model(data)[:, -1, :]
        loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        correct += int((output.argmax(dim=1) == labels).sum().item())
    return _SEQUENCES / (time.perf_counter() - started)


def _bare(address: str) -> float:
    """Sequences per second of hand-written steps on ready tensors."""
    settings = recipe(address, "lstm")
    size = settings["batch_size"]
    ready = []
    for batch in itertools.islice(StreamFeed(address, batch_size=size), _SEQUENCES // size):
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
