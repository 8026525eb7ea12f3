"""Stack manipulation: the stack that remains after a string of actions.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "stack manipulation".
A sequence is a stack of bits, the bottom first, then actions: `x` pops the top and is ignored if the stack is empty,
`a` pushes 0 and `b` pushes 1. Then it has one blank more than symbols before. Their classes are the remaining stack,
the top first, and `end`; blanks after `end` have no class, as in the accuracy of the paper:

    >>> TASK.solve("0110bxx________")[7:]
    ['1', '1', '0', 'end', None, None, None, None]
    >>> TASK.solve("1x___")
    [None, None, 'end', None, None]

The stack and the actions together have 1 to 40 symbols; the number of bits of the stack is uniform from 1 to all but
one, and actions are uniform. The code of the paper draws them from NumPy's global generator instead of the key that it
is given. The paper tests on 41 to 500 symbols (`len41-500`); its example program on up to 100 (`len41-100`). Few
sequences are short, so they occur in all splits. The chance level is the share of 0, which depends on the lengths; it
is slightly below 1/2, because `end` is a third class: 0.466 in training.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import BLANK, SIZES, SOURCE, SYMBOLS, TEST_SYMBOLS, write_answers
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, IntRange, TaskConfig, TaskSchema

_POP, _PUSH = "x", {"a": "0", "b": "1"}
_END = "end"


@dataclass(frozen=True, kw_only=True)
class StackManipulationConfig(TaskConfig):
    """Range of the number of bits and actions; `length` also has the blank steps."""

    symbols: IntRange

    def __post_init__(self) -> None:
        self.require(1 <= self.symbols[0] <= self.symbols[1], "1 <= fewest <= most")
        self.require(self.length == (2 * self.symbols[0] + 1, 2 * self.symbols[1] + 1), "a length of 2 * symbols + 1")


def _config(name: str, symbols: IntRange) -> StackManipulationConfig:
    return StackManipulationConfig(name=name, length=(2 * symbols[0] + 1, 2 * symbols[1] + 1), symbols=symbols)


class StackManipulation(Task[StackManipulationConfig]):
    """Contents of a stack after pushes and pops."""

    name = "stack_manipulation"
    version = 1
    title = "The stack that remains after pushes and pops"
    symbols = ("0", "1", _POP, *_PUSH, BLANK)
    labels = ("0", "1", _END)
    description = (
        "A sequence is a stack of uniform bits, the bottom first, then uniform actions: x pops, a pushes 0 and b "
        "pushes 1. The classes of the blanks that follow are the remaining stack, the top first, and `end`; other "
        "steps have no class."
    )
    limits = (
        "The data are synthetic. They test whether a model can implement a stack, and whether it can do so for "
        "sequences that are longer than those in training. Short sequences occur in all splits."
    )
    source = SOURCE
    configs = (_config("binary", SYMBOLS),)

    def schema(self, config: StackManipulationConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: StackManipulationConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: StackManipulationConfig) -> bool:
        return config.symbols[0] < 7

    def test_distributions(self, config: StackManipulationConfig) -> Mapping[str, StackManipulationConfig]:
        return {name: _config(name, symbols) for name, symbols in TEST_SYMBOLS.items()}

    def chance(self, config: StackManipulationConfig) -> float:
        height = _mean_height(config.symbols)
        return max(height / 2, 1.0) / (height + 1)

    def generate(self, config: StackManipulationConfig, random: BlockRandom) -> Batch:
        most, rows = config.symbols[1], np.arange(random.size)
        sizes = random.integers(*config.symbols)
        shares = random.uniform(1)[:, 0].astype(np.float64)
        bits = random.integers_2d(0, 1, most)
        actions = random.integers_2d(-1, 1, most)  # -1 pops; others are pushed
        initial = 1 + (shares * np.maximum(sizes - 1, 1)).astype(np.int64)  # number of bits at first
        inside = np.arange(most) < initial[:, None]
        values = np.where(inside, bits, actions)
        characters = np.frombuffer(f"{_POP}{''.join(_PUSH)}01".encode(), np.uint8)[values + 1 + 2 * inside]
        stack, height = np.zeros((random.size, most), np.int64), np.zeros(random.size, np.int64)
        for step in range(most):
            value, active = values[:, step], step < sizes
            pushing = np.flatnonzero(active & (value >= 0))
            stack[pushing, height[pushing]] = value[pushing]
            height[pushing] += 1
            height[active & (value < 0) & (height > 0)] -= 1
        below = np.arange(most + 1)  # the top
        answers = np.take_along_axis(stack, np.maximum(height[:, None] - 1 - below, 0), axis=1)
        answers[rows, height] = len(_PUSH)
        answers[below > height[:, None]] = NO_LABEL
        return write_answers(characters, sizes, answers, sizes + 1, config.length[1])

    def solve(self, sequence: str) -> list[str | None]:
        found = re.fullmatch(r"([01]+)([xab]*)(_+)", sequence)
        if not found or len(found[3]) != len(found[1] + found[2]) + 1:
            form = "one or more of 0 and 1, any of x, a and b, and one blank _ more than these symbols"
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid stack_manipulation sequence: must be {form}")
        stack = list(found[1])
        for action in found[2]:
            if action != _POP:
                stack.append(_PUSH[action])
            elif stack:
                stack.pop()
        answer: list[str | None] = [*stack[::-1], _END]
        before = len(found[1] + found[2])
        return [*(None for _ in range(before)), *answer, *(None for _ in range(before + 1 - len(answer)))]


@cache
def _mean_height(symbols: IntRange) -> float:
    """Return the mean height of the remaining stack, for uniform numbers of symbols in a range."""
    most = symbols[1]
    initial = np.arange(1, most + 1)
    at = np.zeros((most, most + 1))  # probability of each height, for each initial height
    at[initial - 1, initial] = 1
    heights = np.arange(most + 1)
    totals = np.zeros(most + 1)  # by the number of symbols: sum of the mean heights over initial heights
    for actions in range(most):
        sizes = initial + actions
        kept = sizes <= most
        np.add.at(totals, sizes[kept], (at @ heights)[kept] * ((actions > 0) | (initial == 1))[kept])
        after = np.zeros_like(at)
        after[:, 1:] += 2 / 3 * at[:, :-1]
        after[:, :-1] += at[:, 1:] / 3
        after[:, 0] += at[:, 0] / 3
        at = after
    sizes = np.arange(symbols[0], most + 1)
    return float((totals[sizes] / np.maximum(sizes - 1, 1)).mean())


TASK = StackManipulation()
