"""Odds first: the symbols at odd positions of a string, then those at even positions.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "odds first".
A sequence is a string of 1 to 40 uniform bits s1 s2 s3 ..., then a blank for each of them. The classes of the blanks
are s1 s3 s5 ... s2 s4 s6 ...:

    >>> "".join(TASK.solve("00110101________")[8:])
    '01000111'

This is the definition of the paper, with positions counted from 1. The code of its repository, as of 2024, puts
s2 s4 s6 ... first, unlike the examples in its docstring. The paper tests on 41 to 500 bits (`len41-500`); its example
program on up to 100 (`len41-100`). Few strings are short, so they occur in all splits. The chance level is 1/2.
"""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks._chomsky import SYMBOLS, StringTask, string_config


class OddsFirst(StringTask):
    """Strings of bits with the odd positions first."""

    name = "odds_first"
    version = 1
    title = "The odd positions of a string of bits, then the even ones"
    description = (
        "A sequence is a string of uniform bits, then a blank for each of them. The classes of the blanks are the bits "
        "at odd positions, counted from 1, then those at even positions; other steps have no class."
    )
    configs = (string_config("binary", SYMBOLS),)

    def answer(self, string: str) -> str:
        return string[::2] + string[1::2]

    def answers(self, strings: NDArray[np.int64], sizes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        odd = (sizes[:, None] + 1) // 2  # number of odd positions
        step = np.arange(steps)
        positions = np.where(step < odd, 2 * step, 2 * (step - odd) + 1)
        return np.take_along_axis(strings, np.minimum(positions, strings.shape[1] - 1), axis=1)


TASK = OddsFirst()
