"""Validation of stopping rules."""

import pytest

from seqhub.errors import InvalidConfigError
from seqhub.tasks.schema import StoppingRule


@pytest.mark.parametrize(
    ("given", "need"),
    [
        ({"rule": "st3", "window": 2_000}, "a tolerance and a window, except for the rule legal"),
        ({"rule": "streak", "tolerance": 0.2}, "a tolerance and a window, except for the rule legal"),
        ({"rule": "legal", "tolerance": 0.2}, "a tolerance and a window, except for the rule legal"),
        ({"rule": "legal", "window": 256}, "a tolerance and a window, except for the rule legal"),
        (
            {"rule": "streak", "tolerance": 0.2, "window": 9, "mean_error": 0.1},
            "mean_error=None, except for st3 and st2",
        ),
        (
            {"rule": "streak", "tolerance": 0.2, "window": 9, "wrong": 1},
            "wrong from 0 to window, and 0 except for st3 and st2",
        ),
        (
            {"rule": "st2", "tolerance": 0.2, "window": 9, "wrong": 10},
            "wrong from 0 to window, and 0 except for st3 and st2",
        ),
        (
            {"rule": "st2", "tolerance": 0.2, "window": 9, "wrong": -1},
            "wrong from 0 to window, and 0 except for st3 and st2",
        ),
    ],
)
def test_invalid_stopping_rules_are_errors(given, need):
    with pytest.raises(InvalidConfigError, match=f"a StoppingRule needs {need}; given"):
        StoppingRule(section="5.4", **given)
