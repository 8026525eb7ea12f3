"""What a task says of itself is checked as soon as it is said."""

import pytest

from seqhub.errors import InvalidConfigError
from seqhub.tasks.schema import StoppingRule


@pytest.mark.parametrize(
    ("given", "need"),
    [
        ({"rule": "st3", "window": 2_000}, "a tolerance and a window, unless legal"),
        ({"rule": "streak", "tolerance": 0.2}, "a tolerance and a window, unless legal"),
        ({"rule": "legal", "tolerance": 0.2}, "a tolerance and a window, unless legal"),
        ({"rule": "legal", "window": 256}, "a tolerance and a window, unless legal"),
        ({"rule": "streak", "tolerance": 0.2, "window": 9, "mean_error": 0.1}, "no mean_error but for st3 and st2"),
        ({"rule": "streak", "tolerance": 0.2, "window": 9, "wrong": 1}, "wrong in its window"),
        ({"rule": "st2", "tolerance": 0.2, "window": 9, "wrong": 10}, "wrong in its window"),
        ({"rule": "st2", "tolerance": 0.2, "window": 9, "wrong": -1}, "wrong in its window"),
    ],
)
def test_a_success_that_cannot_be_is_refused(given, need):
    with pytest.raises(InvalidConfigError, match=f"a success needs {need}; given"):
        StoppingRule(section="5.4", **given)
