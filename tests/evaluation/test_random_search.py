"""Two sequences are guessed sooner than the paper's network learnt them; an exact number is not guessed at all."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.evaluation.random_search import UNITS, _answers, random_guessing
from seqhub.tasks.splits import Split
from seqhub.tasks.two_sequence import TASK


def test_two_sequences_are_guessed_sooner_than_learnt():
    guesses = [random_guessing("two_sequence/3a-t100-n3", seed) for seed in range(3)]
    assert None not in guesses
    assert np.mean(guesses) < TASK.paper_sequences["3a-t100-n3"] / 10
    assert random_guessing("two_sequence/3a-t100-n3", 0) == guesses[0]
    assert random_guessing("two_sequence/3a-t100-n3", 0, trials=guesses[0]) == guesses[0]
    if guesses[0] > 1:
        assert random_guessing("two_sequence/3a-t100-n3", 0, trials=guesses[0] - 1) is None


def test_a_network_answers_as_one_written_out():
    batch = Split("adding/hs97-t100").blocks(0, 1)[:5]
    weights = np.random.default_rng(0).uniform(-1, 1, (3, UNITS, 2 + UNITS + 2))
    for (network, row), answer in np.ndenumerate(_answers(weights, batch)):
        state = [0.0] * UNITS
        for values in batch.inputs[row, : batch.lengths[row]].astype(float):
            seen = [*values, *state, 1.0]
            state = [float(np.tanh(np.dot(weights[network, unit, :-1], seen))) for unit in range(UNITS)]
        assert answer == pytest.approx(1 / (1 + np.exp(-np.dot(weights[network, :, -1], state))), abs=1e-12)


@pytest.mark.parametrize(
    ("address", "given", "message"),
    [
        ("qrsu/easy", {}, "need real values, two classes or a number, a success"),
        ("adding/urnn-t100", {}, "need real values"),
        ("square/fixed", {}, "need real values"),
        ("two_sequence/3a-t100-n3", {"trials": 0}, "0 trials on 256 rows"),
        ("two_sequence/3a-t100-n3", {"rows": 1025}, "1 to 1,024 rows"),
    ],
)
def test_what_cannot_be_guessed_is_refused(address, given, message):
    with pytest.raises(InvalidInputError, match=message):
        random_guessing(address, **given)
