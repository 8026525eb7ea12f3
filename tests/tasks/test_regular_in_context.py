"""Regular languages in context: strings, automata, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.regular_in_context import TASK, RegularInContextConfig
from seqhub.tasks.rng import BlockRandom

CONFIG = TASK.configs[0]


def test_every_next_symbol_is_legal():
    batch = TASK.generate(CONFIG, BlockRandom(1, 0, 1))
    legal = TASK.legal_steps(CONFIG, batch, BlockRandom(1, 0, 1))
    ids = np.where(batch.inputs == ord("|"), 19, batch.inputs.astype(int) - ord("a") + 1)
    row, step = np.nonzero(batch.inputs[:, 1:])
    assert legal[row, step, ids[row, step + 1]].all()
    real = batch.inputs != 0
    before_last = np.arange(real.shape[1]) < batch.lengths[:, None] - 1
    counts = legal[:, :, :-1].sum(axis=2)[before_last]
    assert (counts.min(), counts.max()) == (1, 4)
    assert not legal[~before_last].any()
    inside = real[:, :-1] & (batch.inputs[:, :-1] != ord("|"))
    assert abs((batch.inputs[:, 1:] == ord("|"))[inside].mean() - 9 / 105) < 0.005


def test_strings_of_a_row_start_with_symbols_of_one_state():
    texts = TASK.generate(CONFIG, BlockRandom(1, 0, 1)).texts()
    assert all(len(text.split("|")) == 10 for text in texts)
    assert max(len({each[0] for each in text.split("|")}) for text in texts) == 4
    lengths = [len(each) for text in texts for each in text.split("|")]
    assert (min(lengths), max(lengths)) == (1, 20)


def test_twenty_strings_are_a_test_distribution():
    found = TASK.test_distributions(CONFIG)
    assert found["strings20"].length == (39, 419)
    texts = TASK.generate(found["strings20"], BlockRandom(1, 0, 1)).texts()
    assert all(text.count("|") == 19 for text in texts)


@pytest.mark.parametrize("text", ["", "|", "a|", "a||b", "az"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid regular_in_context sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="the length of all strings"):
        RegularInContextConfig(name="wrong", strings=10, length=(19, 200))
