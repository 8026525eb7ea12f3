"""Duplicate string: a string, twice.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "duplicate string".
A sequence is a string of 1 to 40 uniform bits, then two blanks for each of them. The classes of the blanks are the
string, then the string again:

    >>> TASK.solve("011______")
    [None, None, None, '0', '1', '1', '0', '1', '1']

The paper tests on 41 to 500 bits (`len41-500`); its example program on up to 100 (`len41-100`). Few strings are short,
so they occur in all splits. The chance level is 1/2. The task `copying` has other forms of the problem.
"""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks._chomsky import SYMBOLS, StringTask, string_config


class DuplicateString(StringTask):
    """Two copies of strings of bits."""

    name = "duplicate_string"
    version = 1
    title = "Copy a string of bits twice"
    description = (
        "A sequence is a string of uniform bits, then two blanks for each of them. The classes of the blanks are the "
        "string, then the string again; other steps have no class."
    )
    configs = (string_config("binary", SYMBOLS, copies=2),)

    def answer(self, string: str) -> str:
        return string + string

    def answers(self, strings: NDArray[np.int64], sizes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        return np.take_along_axis(strings, np.arange(steps) % sizes[:, None], axis=1)


TASK = DuplicateString()
