"""Edit distance of two sequences."""

from collections.abc import Sequence


def edit_distance(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the least number of symbols to insert, delete or replace that makes two sequences equal.

    Source: Levenshtein (1966), "Binary Codes Capable of Correcting Deletions, Insertions, and Reversals"; computed as
    in Wagner & Fischer (1974), "The String-to-String Correction Problem".

    >>> edit_distance([1, 2, 3, 4], [1, 3, 4, 4]), edit_distance([1, 2], [])
    (2, 2)
    """
    before = list(range(len(other) + 1))
    for row, symbol in enumerate(one, start=1):
        current = [row]
        for column, against in enumerate(other, start=1):
            replaced = before[column - 1] + (symbol != against)
            current.append(min(replaced, before[column] + 1, current[-1] + 1))
        before = current
    return before[-1]
