"""Summary of a sweep: counts of seeds, and statistics over the seeds that have a value."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqhub.records import RunRecord, SweepRecord
from seqhub.sweeps.summary import distribution, solved_by, summarize
from seqhub.training.config import TrainConfig
from seqhub.training.stopping import Criteria
from tests.helpers.run_records import run_record

COUNTS: list[tuple[int | None, int | None]] = [(640, 2_000), (960, None), (None, 4_000), (None, None)]  # accuracy, st3


def runs() -> list[RunRecord]:
    return [
        run_record(
            seed=seed,
            criteria={"accuracy>=0.999": accuracy, "st3": st3},
            timings={"train": seed + 0.25, "of which checks": 0.2, "evaluate": 0.5},
        )
        for seed, (accuracy, st3) in enumerate(COUNTS)
    ]


def summary_of(records: list[RunRecord], **changes: Any) -> SweepRecord:
    config = TrainConfig(task="qrsu/hard", output_dir=Path("sweep"), **changes)
    return summarize(config, records, {7: "the loss diverged", 4: "job 3 ended"}, threads=2, native=True)


@pytest.mark.parametrize(
    ("stop_at", "needed", "solved"),
    [
        ("accuracy", ["accuracy>=0.999"], 2),
        ("st3", ["st3"], 2),
        ("both", ["accuracy>=0.999", "st3"], 1),
        ("none", ["accuracy>=0.999"], 2),
    ],
)
def test_a_seed_is_solved_by_the_criteria_of_stop_at(stop_at: str, needed: list[str], solved: int) -> None:
    record = summary_of(runs(), stop_at=stop_at)
    assert record.solved_by == needed
    assert record.summary["solved"] == solved


def test_names_of_criteria_agree_with_those_in_records() -> None:
    """Both are formatted from the same threshold."""
    for threshold in (0.5, 0.999, 0.123456789, 1.0, 1e-7):
        config = TrainConfig(task="adding/hs97-t100", output_dir=Path(), accuracy=threshold)
        named = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule).met_at()
        for stop_at in ("accuracy", "st3", "paper", "both", "none"):
            assert set(solved_by(replace(config, stop_at=stop_at))) <= set(named)


def test_failed_seeds_are_counted_and_the_others_summarized() -> None:
    record = summary_of(runs())
    assert record.failed == {"7": "the loss diverged", "4": "job 3 ended"}
    assert record.summary["seeds"] == 6
    assert record.summary["criteria"]["accuracy>=0.999"] == distribution([640, 960])
    assert [run["seed"] for run in record.runs] == [0, 1, 2, 3]
    assert [run["seconds"] for run in record.runs] == [0.75, 1.75, 2.75, 3.75]
    assert record.timings == {"runs": 9.0}
    assert "seed" not in record.training


def test_only_test_metrics_of_the_model_are_summarized() -> None:
    one = run_record(
        evaluation={"test": {"accuracy": 0.5, "examples": 10, "seed": 3, "steps": 9, "mean_length": 4.0, "classes": {},
                             "paper": {"tolerance": 0.3, "wrong": 2, "share": 0.2}}}
    )  # fmt: skip
    two = run_record(evaluation={"test": {"accuracy": 1.0, "paper": {"tolerance": 0.3, "wrong": 0, "share": 0.0}}})
    record = summary_of([one, two])
    assert record.runs[0]["test"] == {"accuracy": 0.5, "paper_wrong": 2, "paper_share": 0.2}
    assert record.summary["test"] == {
        "accuracy": distribution([0.5, 1.0]),
        "paper_wrong": distribution([2, 0]),
        "paper_share": distribution([0.2, 0.0]),
    }
    untested = summary_of([run_record(evaluation={})])
    assert untested.runs[0]["test"] == untested.summary["test"] == {}


def test_distribution_ignores_missing_values() -> None:
    random = np.random.default_rng(0)
    for size in range(1, 20):
        values = random.integers(0, 1000, size).tolist()
        mixed: list[float | None] = [*values, None, None]
        random.shuffle(mixed)
        assert distribution(mixed) == {
            "count": size,
            "median": np.median(values),
            "mean": pytest.approx(np.mean(values)),
            "least": min(values),
            "most": max(values),
        }
    assert (
        distribution([None])
        == distribution([])
        == {"count": 0, "median": None, "mean": None, "least": None, "most": None}
    )
