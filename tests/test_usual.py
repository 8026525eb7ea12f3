"""The usual loops that drawing is measured against draw the same tasks, by their own rule and of the same lengths."""

import random

import numpy as np
import pytest

from benchmarks.usual import USUAL, draw
from seqhub.tasks.registry import get_task
from seqhub.tasks.splits import Split

TASK_IDS = [
    f"{name}/{config.name}" for name in USUAL for config in get_task(name).configs if not getattr(config, "given", 0)
]


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_every_example_is_one_of_the_task(task_id: str) -> None:
    name, _, config_name = task_id.partition("/")
    task = get_task(name)
    (config,) = (each for each in task.configs if each.name == config_name)
    examples = draw(name, config, 40)
    wanted = task.solve_batch([example.inputs for example in examples], config)
    wrong = sum(not _same(example.target, target) for example, target in zip(examples, wanted, strict=True))
    assert wrong <= (4 if getattr(config, "noisy_signal", False) else 0)  # there the noise may turn a sign round
    lengths = [len(example.inputs.split() if task.separator else example.inputs) for example in examples]
    assert config.length[0] <= min(lengths) <= max(lengths) <= config.length[1]


def _same(given: object, wanted: object) -> bool:
    return given == pytest.approx(wanted, abs=1e-3) if isinstance(wanted, float) else given == wanted


def test_they_draw_the_same_law() -> None:
    """Of a task whose values say it: mean and deviation of adding's targets."""
    task = get_task("adding")
    config = task.configs[0]
    usual = np.array([example.target for example in draw("adding", config, 4_000, seed=random.Random(1).randrange(9))])
    (batch,) = Split("adding/hs97-t100", "train").batches(0, 4_000)
    for moment in (np.mean, np.std):
        assert moment(usual) == pytest.approx(moment(batch.labels), abs=0.02)
