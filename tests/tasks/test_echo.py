"""Echo: noise, its delay, and ignored steps."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.echo import TASK, EchoConfig
from seqhub.tasks.schema import NO_LABEL
from tests.helpers.task_cases import assert_follows, first_rows

each_config = pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)


@each_config
def test_only_the_first_steps_are_ignored(config):
    batch = first_rows(f"echo/{config.name}")
    steps = np.arange(batch.labels.shape[1])
    counts = (steps >= config.echo_step) & (steps < batch.lengths[:, None])
    np.testing.assert_array_equal(batch.labels != NO_LABEL, counts)


@each_config
def test_symbols_are_noise(config):
    """Pairs at any distance up to the delay are equally probable, so an echo needs memory."""
    symbols = (first_rows(f"echo/{config.name}").inputs[:, : config.length[0]] == ord("1")).astype(int)
    for distance in range(1, config.echo_step + 1):
        pairs = 2 * symbols[:, : -distance : 2 * distance] + symbols[:, distance :: 2 * distance]
        assert_follows(np.bincount(pairs.ravel(), minlength=4))


@pytest.mark.parametrize("text", ["", "0102", "01 0"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid echo sequence"):
        TASK.solve(text)


@pytest.mark.parametrize(("length", "echo_step"), [((5, 5), 5), ((5, 5), 0), ((6, 5), 1)])
def test_invalid_delays_are_errors(length, echo_step):
    with pytest.raises(InvalidConfigError, match="1 <= echo_step < shortest <= longest"):
        EchoConfig(name="wrong", length=length, echo_step=echo_step)
