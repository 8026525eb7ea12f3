"""Many seeds of an LSTM on qrsu/hard to the criterion: `sweep` against sequential runs of the course's program.

Both sides train with the recipe `solve`, since the course's recipe does not solve the task: chrono gates, batches of
16, Adam at 0.02, clipping. Both validate every 320 training sequences until 99.9 % of 10,240 newly generated sequences
are right; they look at 128 and then at 1,024 at a time, end a validation once too many are wrong, and finally test the
model on 2,560 more. The baseline generates, trains and tests like the course (`baselines`); seqhub is one `sweep`,
with the folder and record of every run.

The length of a run varies by chance, so rates are over all sequences of training and validation: the same work on both
sides. The sequences to the criterion have rows of their own. The first rows have one thread; others compare two with
one on the same runs. The last row compares the processor time of whole processes, with imports and compilation: 50
seeds by `seqhub sweep` on one thread and by JAX (`jax_seeds`, if JAX is installed).
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.baselines import CourseGenerator
from benchmarks.course import CourseModel, course_steps, course_test
from benchmarks.timing import Row, process_seconds, row_of_pairs
from seqhub.metrics.classification import reaches
from seqhub.sweeps.sweep import sweep
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe

_LEVEL = "hard"
_WIDTHS: dict[int, tuple[int, float]] = {
    4: (20, 50.0),
    8: (20, 50.0),
    16: (10, 10.0),
}  # seeds of seqhub, goal of the ratio
_SEEDS = 50  # of the comparison with JAX
_THEIR_SEEDS = 2  # in each round
_SCALING = 1.6  # goal of two threads

_LONGEST = 110  # steps
_MOST, _EVERY = 100_000, 320  # training sequences of a run, and between validations
_CHECKED, _FIRST, _AT_ONCE = 10_240, 128, 1_024  # newly generated sequences of a validation
_RIGHT = 0.999  # share of right ones
_TESTED = 2_560


class Runs(NamedTuple):
    """Results of several runs."""

    rate: float  # sequences of training and validation per second
    needed: list[int | None]  # training sequences of each run to the criterion


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for hidden, (seeds, least_ratio) in _WIDTHS.items():
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
            _rates(f"{case}: one thread", theirs, one, least_ratio),
            _rates(f"{case}: one thread, against two", one, two, _SCALING),
            _needed(f"{case}: to the criterion, median", theirs, one),
        ]
    return [*rows, *_against_jax(rounds)]


def _against_jax(rounds: int) -> list[Row]:
    if find_spec("jax") is None:
        return []
    theirs = [sys.executable, "-c", f"from benchmarks.jax_seeds import main; main({_SEEDS})"]

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            settings = [f"--accuracy={_RIGHT}", f"--evaluate-every={_EVERY}", f"--evaluate-size={_CHECKED}"]
            settings += ["--model=lstm", "--hidden-size=8", f"--max-sequences={_MOST}", "--threads=1", "--quiet"]
            arguments = [f"qrsu/{_LEVEL}", f"--seeds={_SEEDS}", f"--output-dir={folder}/sweep", *settings]
            return process_seconds([sys.executable, "-c", "from seqhub.cli import main; main()", "sweep", *arguments])

    pairs = [(1 / process_seconds(theirs), 1 / ours()) for _ in range(rounds)]
    case = f"lstm 8: whole process for {_SEEDS} seeds, against JAX"
    return [row_of_pairs(case, pairs, unit="processes/s", goal=("ratio", ">=", 4.0))]


def _rates(case: str, some: list[Runs], others: list[Runs], least_ratio: float) -> Row:
    pairs = [(these.rate, those.rate) for these, those in zip(some, others, strict=True)]
    return row_of_pairs(case, pairs, unit="sequences/s", goal=("ratio", ">=", least_ratio))


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
    """Run the course's program several times, one run after the other."""
    started = time.perf_counter()
    runs = [plain(hidden, seed) for seed in seeds]
    seconds = time.perf_counter() - started
    return Runs(sum(work for work, _ in runs) / seconds, [needed for _, needed in runs])


def plain(hidden: int, seed: int, most: int = _MOST) -> tuple[int, int | None]:
    """Run the course's program once.

    Returns:
        Sequences of training and validation, and training sequences to the criterion, None where `most` were not
        enough.
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
        seen, solved = _check(model, checks)
        checked += seen
    course_test(model, CourseGenerator(_LEVEL, seed=3 * seed + 2), _TESTED)
    return trained + checked + _TESTED, trained if solved else None


def _check(model: CourseModel, generator: CourseGenerator) -> tuple[int, bool]:
    """Return the number of generated validation sequences, and whether enough of `_CHECKED` are right."""
    correct, seen = 0, 0
    while seen < _CHECKED and reaches(_RIGHT, _CHECKED - (seen - correct), _CHECKED):
        count = _FIRST if seen == 0 else min(_AT_ONCE, _CHECKED - seen)
        correct += course_test(model, generator, count)[0]
        seen += count
    return seen, reaches(_RIGHT, _CHECKED - (seen - correct), _CHECKED)


@torch.no_grad()
def chrono(recurrence: nn.Module) -> None:
    """Set gate biases for memories of 1 to `_LONGEST` steps (Tallec & Ollivier, 2018)."""
    assert isinstance(recurrence, nn.LSTM)
    hidden = recurrence.hidden_size
    forget = torch.empty(hidden).uniform_(1, _LONGEST - 1).log()
    for bias in (recurrence.bias_ih_l0, recurrence.bias_hh_l0):
        bias.zero_()
    recurrence.bias_ih_l0[:hidden] = -forget
    recurrence.bias_ih_l0[hidden : 2 * hidden] = forget


def ours(hidden: int, seeds: Iterable[int], threads: int) -> Runs:
    """Run a sweep, including its folder."""
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
