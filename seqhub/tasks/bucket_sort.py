"""Bucket sort: the symbols of a string in ascending order.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "bucket sort".
A sequence is a string of 1 to 40 uniform digits from 0 to 4, then a blank for each of them. The classes of the blanks
are the digits in ascending order:

    >>> "".join(TASK.solve("10204112________")[8:])
    '00111224'

The task needs five counts, not the order of the digits. The paper tests on 41 to 500 digits (`len41-500`); its example
program on up to 100 (`len41-100`). Few strings are short, so they occur in all splits. The chance level is 1/5.
"""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks._chomsky import BLANK, SYMBOLS, StringTask, string_config


class BucketSort(StringTask):
    """Sorted strings of five digits."""

    name = "bucket_sort"
    version = 1
    title = "Sort a string of five different digits"
    labels = ("0", "1", "2", "3", "4")
    symbols = (*labels, BLANK)
    description = (
        "A sequence is a string of uniform digits from 0 to 4, then a blank for each of them. The classes of the "
        "blanks are the digits in ascending order; other steps have no class."
    )
    limits = (
        "The data are synthetic. They test whether a model can count symbols, and whether it can do so for strings "
        "that are longer than those in training. Short strings occur in all splits."
    )
    configs = (string_config("k5", SYMBOLS),)

    def answer(self, string: str) -> str:
        return "".join(sorted(string))

    def answers(self, strings: NDArray[np.int64], sizes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        inside = np.arange(strings.shape[1]) < sizes[:, None]
        return np.sort(np.where(inside, strings, len(self.labels)), axis=1)[:, :steps]


TASK = BucketSort()
