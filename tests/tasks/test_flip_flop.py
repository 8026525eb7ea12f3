"""Flip-flop language: shares of the instructions, and test distributions."""

import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.flip_flop import TASK, FlipFlopConfig
from seqhub.tasks.rng import BlockRandom

CONFIG = TASK.configs[0]


@pytest.mark.parametrize("config", [CONFIG, *TASK.test_distributions(CONFIG).values()], ids=lambda config: config.name)
def test_shares_of_the_instructions(config):
    batch = TASK.generate(config, BlockRandom(1, 0, 1))
    assert batch.inputs.shape == (1024, config.length[0])
    instructions = batch.inputs[:, 2:-2:2]
    for symbol, share in (("i", config.ignore), ("w", (1 - config.ignore) / 2), ("r", (1 - config.ignore) / 2)):
        assert abs((instructions == ord(symbol)).mean() - share) < 0.005


def test_names_of_the_test_distributions():
    assert list(TASK.test_distributions(CONFIG)) == ["sparse", "dense", "len1024", "len4096"]


@pytest.mark.parametrize("text", ["", "w1", "r1", "w1r0", "w1r", "w1x0r1", "i1r1", "w1r1i0", "w2r2"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid flip_flop sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one even length"):
        FlipFlopConfig(name="wrong", length=(5, 5), ignore=0.1)
