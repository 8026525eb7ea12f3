"""The baseline generators of the benchmarks, which sample the same tasks by their own code."""

import random

import numpy as np
import pytest

from benchmarks.reference_generators import GENERATORS, generate
from seqhub.tasks.registry import get_task
from seqhub.tasks.splits import Split

TASK_IDS = [
    f"{name}/{config.name}"
    for name in GENERATORS
    for config in get_task(name).configs
    if not getattr(config, "given", 0) and getattr(config, "fillers", "") != "original"  # not determined by the text
]


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_every_example_belongs_to_the_task(task_id: str) -> None:
    name, _, config_name = task_id.partition("/")
    task = get_task(name)
    (config,) = (each for each in task.configs if each.name == config_name)
    examples = generate(name, config, 40)
    expected = task.solve_batch([example.inputs for example in examples], config)
    wrong = sum(not _same(example.target, target) for example, target in zip(examples, expected, strict=True))
    assert wrong <= (4 if getattr(config, "noisy_signal", False) else 0)  # the noise may change the sign of a signal
    vocabulary = task.schema(config).vocabulary
    lengths = [len(vocabulary.split(each.inputs) if vocabulary else each.inputs) for each in examples]
    assert config.length[0] <= min(lengths) <= max(lengths) <= config.length[1]


def _same(found: object, expected: object) -> bool:
    return found == pytest.approx(expected, abs=1e-3) if isinstance(expected, float) else found == expected


def test_the_targets_of_adding_have_the_same_distribution() -> None:
    task = get_task("adding")
    config = task.configs[0]
    examples = generate("adding", config, 4_000, seed=random.Random(1).randrange(9))
    reference = np.array([example.target for example in examples])
    batch = Split("adding/hs97-t100", "train").blocks(0, 4)
    for moment in (np.mean, np.std):
        assert moment(reference) == pytest.approx(moment(batch.labels), abs=0.02)
