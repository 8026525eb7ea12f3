"""Test distributions: task ids with `@`, evaluation by name, and what the checks find."""

from pathlib import Path

import pytest

from seqhub.errors import UnknownNameError
from seqhub.evaluation.evaluate import evaluate
from seqhub.plots.accuracy_by_length import levels
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.splits import Split
from seqhub.testing import checks_of, run_checks
from seqhub.testing.tasks import distributions
from seqhub.training.config import TrainConfig
from seqhub.training.train import train

SOURCE = '''"""Last bit: the label is the last symbol.

>>> TASK.solve("0110")
'0'
"""

from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig


@dataclass(frozen=True, kw_only=True)
class LastBitConfig(TaskConfig):
    """Bits of one length."""


class LastBit(Task[LastBitConfig]):
    """The last of some bits."""

    name = "last_bit"
    version = 1
    title = "Last bit"
    symbols = "01"
    labels = ("0", "1")
    description = "The label is the last symbol."
    source = "@misc{doe2026, author = {Doe, Jane}, title = {Bits}, year = {2026}}"
    configs = (LastBitConfig(name="n40", length=(40, 40)),)

    def test_distributions(self, config):
        return {"len80": replace(config, length=(80, 80)), "len160": replace(config, length=(160, 160))}

    def generate(self, config: LastBitConfig, random: BlockRandom) -> Batch:
        bits = random.uint16(config.length[1]) & 1
        ids = np.array([ord("0"), ord("1")], np.uint8)[bits]
        return Batch(ids, np.full(len(ids), config.length[1]), bits[:, -1].astype(np.int64))

    def solve(self, sequence: str) -> str:
        if set(sequence) - set("01"):
            raise InvalidInputError(f"{sequence!r} is not a string of 0 and 1")
        return sequence[-1]


TASK = LastBit()
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "last_bit.py").write_text(SOURCE)
    return tmp_path / "last_bit.py"


def errors_of(file: Path) -> list[str]:
    checks = [check for check in checks_of(str(file)) if check.name == "distributions"]
    assert checks
    return [result.error for result in run_checks(checks) if result.error]


def test_task_id_names_a_distribution(file: Path) -> None:
    ref = TaskRef.parse(f"{file}/n40")
    assert {name: str(each) for name, each in ref.test_distributions.items()} == {
        "len80": f"{file}/n40@len80",
        "len160": f"{file}/n40@len160",
    }
    long = TaskRef.parse(f"{file}/n40@len160")
    assert (long.config.name, long.config.length) == ("n40@len160", (160, 160))
    assert len(Split(long, "test")[5].inputs) == 160
    assert Split(long, "test").key != Split(ref, "test").key


@pytest.mark.parametrize(
    ("task_id", "message"),
    [
        ("n40@len8", "no test distribution of .*n40 'len8'; known: len80, len160"),
        ("n41@len80", "no config of .* 'n41'; known: n40"),
    ],
)
def test_unknown_distribution_is_a_user_error(file: Path, task_id: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        TaskRef.parse(f"{file}/{task_id}")


@pytest.mark.parametrize("name", ["len8", ""])
def test_config_without_distributions_has_none(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no test distribution of qrsu/hard '{name}'; known: none"):
        TaskRef.parse(f"qrsu/hard@{name}")


def test_distributions_are_evaluated_by_name(file: Path, tmp_path: Path) -> None:
    settings = {"max_sequences": 64, "evaluate_size": 32, "evaluate_every": 64, "stop_at": "none", "cpu": True}
    train(TrainConfig(task=f"{file}/n40", model="rnn_tanh", output_dir=tmp_path / "run", **settings))
    evaluate(tmp_path / "run", num_examples=30, sibling_examples=20)
    record = RunRecord.load(tmp_path / "run")
    assert list(record.evaluation) == ["validation", "test", "n40@len80/test", "n40@len160/test"]
    assert record.evaluation["n40@len160/test"]["length"] == [160, 160]
    assert record.evaluation["n40@len160/test"]["examples"] == 20
    assert list(levels(record)) == ["n40", "n40@len80", "n40@len160"]


def test_checks_find_faults_of_distributions(file: Path) -> None:
    assert errors_of(file) == []
    file.write_text(SOURCE.replace('"len160": replace(config, length=(160, 160))', '"same": config'))
    assert "has the same rows as" in errors_of(file)[0]
    file.write_text(SOURCE.replace("return sequence[-1]", "return sequence[39]"))
    assert "@len80 test row" in errors_of(file)[0]


@pytest.mark.parametrize(
    ("task_id", "names"),
    [
        ("adding/hs97-t100", ["len200-220"]),
        ("multiplication/hs97-t100", ["len200-220", "len500-550"]),
        ("echo/step3", ["len400", "len1000"]),
        ("two_sequence/3a-t100-n3", ["len200-220"]),
    ],
)
def test_older_tasks_are_tested_on_longer_sequences(task_id: str, names: list[str]) -> None:
    ref = TaskRef.parse(task_id)
    assert list(ref.test_distributions) == names
    distributions(ref)


def test_rows_of_a_test_distribution_are_evaluated_once(tmp_path: Path) -> None:
    small = {"max_sequences": 8, "evaluate_size": 8, "stop_at": "none", "hidden_size": 4, "cpu": True}
    train(TrainConfig(task="adding/urnn-t100", output_dir=tmp_path / "run", **small))
    keys = evaluate(tmp_path / "run", num_examples=2, sibling_examples=2).evaluation.keys()
    assert "urnn-t100@len200/test" in keys
    assert "urnn-t200/test" not in keys  # the same rows
    assert "urnn-t400/test" in keys
