"""Reverse string: the symbols of a string in reverse order.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "reverse string".
A sequence is a string of 1 to 40 uniform bits, then a blank for each of them. The classes of the blanks are the bits in
reverse order:

    >>> TASK.solve("0111____")
    [None, None, None, None, '1', '1', '1', '0']

The paper tests on 41 to 500 bits (`len41-500`); its example program on up to 100 (`len41-100`). Few strings are short,
so they occur in all splits. The chance level is 1/2.
"""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks._chomsky import SYMBOLS, StringTask, string_config


class ReverseString(StringTask):
    """Reversed strings of bits."""

    name = "reverse_string"
    version = 1
    title = "Reverse a string of bits"
    description = (
        "A sequence is a string of uniform bits, then a blank for each of them. The classes of the blanks are the bits "
        "in reverse order; other steps have no class."
    )
    configs = (string_config("binary", SYMBOLS),)

    def answer(self, string: str) -> str:
        return string[::-1]

    def answers(self, strings: NDArray[np.int64], sizes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        return np.take_along_axis(strings, np.maximum(sizes[:, None] - 1 - np.arange(steps), 0), axis=1)


TASK = ReverseString()
