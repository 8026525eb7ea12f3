"""Two-sequence problem: noise on the signal, and targets that are noisy only in training."""

from math import erfc

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import SPLITS, Split
from seqhub.tasks.two_sequence import NOISE, TARGETS, TASK, TwoSequenceConfig
from tests.helpers.task_cases import first_rows

ROWS = 16_384


def test_every_config_has_results_of_the_paper():
    assert {config.name for config in TASK.configs} == set(TASK.paper_sequences) == set(TASK.paper_wrong)


@pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)
def test_noise_follows_the_signal(config):
    batch = first_rows(f"two_sequence/{config.name}", "test", 4096)
    numbers = batch.inputs[:, :, 0].astype(np.float64)
    plus = (batch.labels < 0.5) if config.noisy_target else batch.labels == 1
    signal = numbers[:, : config.signal] - np.where(plus, 1, -1)[:, None]
    if config.noisy_signal:
        assert abs(signal.mean()) < 5 * NOISE / signal.size**0.5
        assert abs(signal.var() / 0.2 - 1) < 5 * (2 / signal.size) ** 0.5
    else:
        assert not signal.any()
    noise = numbers[:, config.signal : config.length[0]]
    assert abs(noise.mean()) < 5 * NOISE / noise.size**0.5
    assert abs(noise.var() / 0.2 - 1) < 5 * (2 / noise.size) ** 0.5
    assert np.unique(batch.lengths).tolist() == list(range(config.length[0], config.length[1] + 1))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("config", ["3b-t100-n3", "3b-t100-n1"])
def test_noise_on_the_signal_hides_the_expected_share_of_classes(config, split):
    rows = Split(f"two_sequence/{config}", split)
    examples = rows.examples(first_rows(f"two_sequence/{config}", split, ROWS))
    solved = TASK.solve_batch([example.inputs for example in examples], rows.config)
    wrong = np.mean([name != example.target for name, example in zip(solved, examples, strict=True)])
    expected = erfc(rows.config.signal**0.5 / NOISE / 2**0.5) / 2
    assert abs(wrong - expected) <= 5 * (expected / ROWS) ** 0.5
    assert rows.config.signal > 1 or expected == pytest.approx(0.0127, abs=1e-4)


@pytest.mark.parametrize("config", ["3c-t100-n3", "3c-t100-n1"])
def test_targets_are_noisy_only_in_training(config):
    for split in ("validation", "test"):
        assert set(first_rows(f"two_sequence/{config}", split).labels.tolist()) == set(np.float32(TARGETS).tolist())
    rows = Split(f"two_sequence/{config}")
    batch = first_rows(f"two_sequence/{config}", "train", ROWS)
    means = np.array(TASK.solve_batch([example.inputs for example in rows.examples(batch)], rows.config))
    noise = batch.labels - means
    assert abs(noise.mean()) < 5 * (0.1 / ROWS) ** 0.5
    assert abs(noise.var() / 0.1 - 1) < 5 * (2 / ROWS) ** 0.5
    for mean in TARGETS:
        assert abs(noise[means == mean].mean()) < 5 * (0.2 / ROWS) ** 0.5


@pytest.mark.parametrize(
    ("numbers", "signal", "message"),
    [
        ([[1.0, 2.0]], 1, r"numbers of shape \(1, 2\): must be finite and \(steps, 1\) with 1 or more"),
        ([[1.0], [1.0]], 3, r"numbers of shape \(2, 1\): must be finite and \(steps, 1\) with 3 or more"),
        ([[float("nan")]], 1, "finite"),
    ],
)
def test_invalid_sequences_are_errors(numbers, signal, message):
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(numbers, signal)


@pytest.mark.parametrize(
    "settings", [{"signal": 0}, {"signal": 5}, {"signal": 1, "noisy_signal": True, "noisy_target": True}]
)
def test_invalid_configs_are_errors(settings):
    with pytest.raises(InvalidConfigError, match="config 'x' needs"):
        TwoSequenceConfig(name="x", length=(4, 4), **settings)


def test_stopping_rules_are_those_of_section_5_3():
    found = {config.name[:2]: TASK.stopping_rule(config) for config in TASK.configs}
    numbers = {part: (each.tolerance, each.mean_error, each.wrong, each.window) for part, each in found.items()}
    assert numbers == {"3a": (0.2, 0.01, 0, 256), "3b": (0.2, 0.04, 5, 256), "3c": (0.1, 0.015, 0, 256)}
    assert {each.rule for each in found.values()} == {"st2"}
    assert resolve("two_sequence/3a-t1000-n3")[1].length == (1000, 1100)
