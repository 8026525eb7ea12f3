"""Group word problem: the product of the elements of a finite group so far, at every step.

Source: Merrill, Petty & Sabharwal (2024), "The Illusion of State in State-Space Models"; lengths as in Grazzi et al.
(2025), "Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues".
A sequence is x1 x2 ... of uniform elements of a group; the class of step t is the product x1 x2 ... xt. An element of a
permutation group is a word with the images of 0, 1, ...; x1 is applied first. So after `120` and `102`, 0 is at 0,
because `120` moves it to 1 and `102` moves 1 to 0:

    >>> TASK.solve("120 102"), TASK.solve("59 3 10")
    (['120', '021'], ['59', '2', '12'])

    s3, s5    all permutations of three or five items: 6 and 120 classes
    a5        the even permutations of five items: 60 classes. Like S5, the group is not solvable, so the problem is
              complete for NC1
    s5-swaps  permutations of five items that are exchanges of two: 10 symbols, 120 classes
    z60       numbers, added modulo 60: as many classes as a5, but a commutative group

Merrill et al. train on all lengths up to the length of the test, and ask how many layers a model needs. Grazzi et al.
train on 32 elements and test on 500, which is the setting here: all steps have a class, so a sequence contains the
shorter ones. The metric of the papers is the share of sequences in which all steps up to a length are right. PaTH
attention describes another task with the same source (whether a word is equal to the identity).

The chance level is 1/classes. In `s5-swaps` it is slightly higher, because elements near the identity are more probable
at first. There, the product after an even number of steps is an even permutation, so a model that only knows whether
the step is even can guess one of 60 classes instead of 120, and the identity occurs only at even steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

_Group = Literal["s3", "a5", "s5", "z60"]
_ORDER = 60  # of the cyclic group


@cache
def _elements(group: _Group) -> tuple[str, ...]:
    """Return the elements of a group as words."""
    if group == "z60":
        return tuple(str(number) for number in range(_ORDER))
    items = "01234"[: int(group[1])]
    found = tuple("".join(images) for images in permutations(items))
    return found if group[0] == "s" else tuple(word for word in found if not _inversions(word) % 2)


def _inversions(word: str) -> int:
    return sum(first > second for first, second in combinations(word, 2))


def _times(first: str, second: str) -> str:
    """Return the product of two elements of the same group, `first` applied before `second`."""
    if len(first) < 3:
        return str((int(first) + int(second)) % _ORDER)
    return "".join(second[int(image)] for image in first)


@cache
def _table(group: _Group) -> NDArray[np.int64]:
    """Return the numbers of the products of all pairs of elements: (G, G)."""
    elements = _elements(group)
    number = {word: index for index, word in enumerate(elements)}
    return np.array([[number[_times(first, second)] for second in elements] for first in elements])


@dataclass(frozen=True, kw_only=True)
class GroupWordConfig(TaskConfig):
    """Group, and range of the number of elements of a sequence."""

    group: _Group
    swaps: bool = False  # whether the symbols are only the exchanges of two items

    def __post_init__(self) -> None:
        self.require(1 <= self.length[0] <= self.length[1], "1 <= shortest <= longest")
        self.require(not self.swaps or self.group[0] == "s", "swaps=False except for symmetric groups")

    @property
    def symbols(self) -> tuple[str, ...]:
        """Elements that occur in a sequence."""
        elements = _elements(self.group)
        if not self.swaps:
            return elements
        return tuple(word for word in elements if sum(a != b for a, b in zip(word, elements[0], strict=True)) == 2)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the symbols among the elements of the group."""
        elements = _elements(self.group)
        return np.array([elements.index(word) for word in self.symbols])


class GroupWord(Task[GroupWordConfig]):
    """Products of elements of a group."""

    name = "group_word"
    version = 1
    title = "Word problem of a group: the product of all elements so far"
    symbols = (*_elements("z60"), *_elements("s3"), *_elements("s5"))
    separator = " "
    description = (
        "A sequence has uniform elements of a finite group. The class of each step is the product of all elements up "
        "to it, the first one applied first. Elements are permutations of three items (s3), of five items (s5), even "
        "ones of five items (a5), exchanges of two of five items (s5-swaps), or numbers that are added modulo 60 (z60)."
    )
    limits = (
        "The data are synthetic. They test whether a model tracks a state that every step changes, and whether it does "
        "so in sequences that are longer than those in training."
    )
    source = """@inproceedings{merrill2024illusion,
  author    = {Merrill, William and Petty, Jackson and Sabharwal, Ashish},
  title     = {The Illusion of State in State-Space Models},
  booktitle = {International Conference on Machine Learning},
  year      = {2024}
}"""
    configs = (
        GroupWordConfig(name="s3", length=(32, 32), group="s3"),
        GroupWordConfig(name="a5", length=(32, 32), group="a5"),
        GroupWordConfig(name="s5", length=(32, 32), group="s5"),
        GroupWordConfig(name="s5-swaps", length=(32, 32), group="s5", swaps=True),
        GroupWordConfig(name="z60", length=(32, 32), group="z60"),
    )

    def schema(self, config: GroupWordConfig) -> TaskSchema:
        vocabulary = Vocabulary(config.symbols, " ", f"group_word/{config.group}")
        return TaskSchema(vocabulary=vocabulary, target="step_class", labels=_elements(config.group))

    def sizes(self, config: GroupWordConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: GroupWordConfig) -> bool:
        return config.length[0] < 4  # few sequences of the shortest length

    def test_distributions(self, config: GroupWordConfig) -> Mapping[str, GroupWordConfig]:
        return {
            f"len{length}": replace(config, name=f"len{length}", length=(length, length))
            for length in (64, 128, 256, 512)
        }

    def chance(self, config: GroupWordConfig) -> float:
        table = _table(config.group)
        if not config.swaps:
            return 1 / len(table)
        at, total, weights = np.zeros(len(table)), np.zeros(len(table)), 0
        at[0] = 1  # the identity is the first element
        lengths = np.arange(config.length[0], config.length[1] + 1)
        for step in range(1, config.length[1] + 1):
            after = np.zeros(len(table))
            for symbol in config.numbers:
                after[table[:, symbol]] += at / len(config.numbers)
            at = after
            total += at * (lengths >= step).sum()
            weights += (lengths >= step).sum()
        return float(total.max() / weights)

    def generate(self, config: GroupWordConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        symbols = random.integers_2d(0, len(config.symbols) - 1, config.length[1])
        elements, table = config.numbers[symbols], _table(config.group)
        labels = np.empty_like(elements)
        product = np.zeros(random.size, np.int64)
        for step in range(config.length[1]):
            labels[:, step] = product = table[product, elements[:, step]]
        padded = np.arange(config.length[1]) >= lengths[:, None]
        ids = (symbols + 1).astype(np.uint16)
        ids[padded], labels[padded] = PAD_ID, NO_LABEL
        return Batch(ids, lengths, labels)

    def solve(self, sequence: str) -> list[str]:
        words = sequence.split(" ")
        if not any(set(words) <= set(_elements(group)) for group in ("z60", "s3", "s5")):
            raise InvalidInputError(
                f"{sequence[:40]!r} is not a valid group_word sequence: must be numbers from 0 to {_ORDER - 1}, or "
                "permutations of 012, or of 01234"
            )
        products = words[:1]
        for word in words[1:]:
            products.append(_times(products[-1], word))
        return products


TASK = GroupWord()
