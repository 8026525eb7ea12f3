"""Many seeds of an LSTM on qrsu/hard to success: `sweep`, against runs of the course's program one after the other.

Both sides train by the recipe that solves, for that of the course never does: chrono gates, batches of 16, Adam at
0.02, clipping. Both look at fresh sequences every 320 training sequences until 99.9 % of 10,240 are right, count them
1,024 at a time and end a check once too many are wrong, and in the end measure the model on 2,560 more. Theirs draws,
trains and tests as the course does (`baselines`); ours is one `sweep`, with the folder and record of every run.

How long a run takes to success is luck, so rates are of all sequences that it trains on or looks at: the same work on
both sides. What the runs took to success are rows of their own. One thread, and below that two against one, seed by
seed the same runs.
"""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.baselines import CourseGenerator
from benchmarks.course import CourseModel, course_steps, course_test
from benchmarks.timing import Row, row_of_pairs
from seqhub.metrics.classification import reaches
from seqhub.sweeps.sweep import sweep
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe

_LEVEL = "hard"
_WIDTHS: dict[int, tuple[int, float]] = {4: (20, 50.0), 8: (20, 50.0), 16: (10, 10.0)}  # seeds of ours, ratio asked
_THEIR_SEEDS = 2  # in each round
_SCALING = 1.6  # asked of two threads

_LONGEST = 110  # steps
_MOST, _EVERY = 100_000, 320  # training sequences of a run, and between two checks
_CHECKED, _AT_ONCE, _RIGHT = 10_240, 1_024, 0.999  # fresh sequences of a check, and the share of them
_TESTED = 2_560


class Runs(NamedTuple):
    """What some runs came to."""

    rate: float  # sequences trained on or looked at, per second
    needed: list[int | None]  # training sequences of each to success


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for hidden, (seeds, asked) in _WIDTHS.items():
        plain(hidden, seed=0, most=_EVERY)
        ours(hidden, range(2), threads=2)
        theirs, one, two = [], [], []
        for number in range(rounds):
            of_ours = range(number * seeds, (number + 1) * seeds)
            theirs.append(course(hidden, range(number * _THEIR_SEEDS, (number + 1) * _THEIR_SEEDS)))
            one.append(ours(hidden, of_ours, threads=1))
            two.append(ours(hidden, of_ours, threads=2))
        case = f"lstm {hidden}"
        rows += [
            _rates(f"{case}: one thread", theirs, one, asked),
            _rates(f"{case}: one thread, two", one, two, _SCALING),
            _needed(f"{case}: to success, median", theirs, one),
        ]
    return rows


def _rates(case: str, some: list[Runs], others: list[Runs], asked: float) -> Row:
    pairs = [(these.rate, those.rate) for these, those in zip(some, others, strict=True)]
    return row_of_pairs(case, pairs, unit="sequences/s", goal=("ratio", ">=", asked))


def _needed(case: str, theirs: list[Runs], here: list[Runs]) -> Row:
    each, each_of_theirs = ([count for runs in side for count in runs.needed] for side in (here, theirs))
    ours, of_theirs = (median(count for count in counts if count is not None) for counts in (each, each_of_theirs))
    return Row(
        case=case,
        unit="sequences",
        theirs=of_theirs,
        ours=ours,
        ratio=ours / of_theirs,
        each=each,
        each_of_theirs=each_of_theirs,
    )


def course(hidden: int, seeds: Iterable[int]) -> Runs:
    """Runs of the course's program, one after the other."""
    started = time.perf_counter()
    runs = [plain(hidden, seed) for seed in seeds]
    seconds = time.perf_counter() - started
    return Runs(sum(work for work, _ in runs) / seconds, [needed for _, needed in runs])


def plain(hidden: int, seed: int, most: int = _MOST) -> tuple[int, int | None]:
    """One of them.

    Returns:
        The sequences that it trained on or looked at, and its training sequences to success, None where `most` were
        not enough.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CourseModel("lstm", hidden)
        chrono(model.recurrence)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    generator = CourseGenerator(_LEVEL, batch_size=16, seed=3 * seed)
    checks = CourseGenerator(_LEVEL, seed=3 * seed + 1)
    trained, checked, solved = 0, 0, False
    while trained < most and not solved:
        course_steps(model, optimizer, generator, _EVERY, max_grad_norm=1.0)
        trained += _EVERY
        looked_at, solved = _check(model, checks)
        checked += looked_at
    course_test(model, CourseGenerator(_LEVEL, seed=3 * seed + 2), _TESTED)
    return trained + checked + _TESTED, trained if solved else None


def _check(model: CourseModel, fresh: CourseGenerator) -> tuple[int, bool]:
    """How many fresh sequences were looked at, and whether enough of `_CHECKED` are right."""
    correct, seen = 0, 0
    while seen < _CHECKED and reaches(_RIGHT, _CHECKED - (seen - correct), _CHECKED):
        correct += course_test(model, fresh, _AT_ONCE)[0]
        seen += _AT_ONCE
    return seen, reaches(_RIGHT, _CHECKED - (seen - correct), _CHECKED)


@torch.no_grad()
def chrono(recurrence: nn.Module) -> None:
    """Gates that are open for 1 to `_LONGEST` steps (Tallec & Ollivier, 2018), written over torch's own biases."""
    assert isinstance(recurrence, nn.LSTM)
    hidden = recurrence.hidden_size
    forget = torch.empty(hidden).uniform_(1, _LONGEST - 1).log()
    for bias in (recurrence.bias_ih_l0, recurrence.bias_hh_l0):
        bias.zero_()
    recurrence.bias_ih_l0[:hidden] = -forget
    recurrence.bias_ih_l0[hidden : 2 * hidden] = forget


def ours(hidden: int, seeds: Iterable[int], threads: int) -> Runs:
    """A sweep, its folder included."""
    task_id = f"qrsu/{_LEVEL}"
    settings = recipe(task_id, "lstm") | {
        "model": "lstm",
        "hidden_size": hidden,
        "max_sequences": _MOST,
        "evaluate_every": _EVERY,
        "evaluate_size": _CHECKED,
        "accuracy": _RIGHT,
    }
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(task=task_id, output_dir=Path(folder) / "sweep", **settings)
        started = time.perf_counter()
        record = sweep(config, seeds, threads=threads, test_rows=_TESTED)
        seconds = time.perf_counter() - started
        checks = [row for run in record.runs for row in read_history(config.output_dir / f"seed-{run['seed']}")]
    work = sum(run["sequences_seen"] + _TESTED for run in record.runs)
    work += sum(check["validation_examples"] for check in checks)
    return Runs(work / seconds, [run["criteria"][f"accuracy>={_RIGHT:g}"] for run in record.runs])
