"""Modular arithmetic: the value of an expression modulo five.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", tasks "modular arithmetic (simple)" and
"modular arithmetic". Digits are 0 to 4. Papers use four tasks of this name, whose configs are

    add         digits with + and - between them, as in the variant of Grazzi et al. (2025) without multiplication
    left        digits with +, - and * between them, evaluated from left to right. The paper describes this task: an
                automaton with five states, the value so far, suffices
    precedence  the same sequences, but * is evaluated before + and -. The code of the paper and of xLSTM (Beck et al.,
                2024) computes this; the value so far does not suffice, because a product may follow
    brackets    nested expressions with +, - and * in brackets, and with minus signs

    >>> TASK.solve("1+2*3"), TASK.solve("1+2*3", left=True), TASK.solve("((4-1)*-2)")
    ('2', '4', '4')

Sequences without brackets have an odd length, 3 to 39 in training; those with brackets have any length from 3 to 40.
xLSTM and later papers test on 40 to 256 symbols, Delétang et al. on 41 to 500. Few sequences are short, so they occur
in all splits.

An expression with brackets is generated as in the code of the paper: of n >= 5 symbols, three are brackets and an
operator, and the others are divided uniformly between the two operands; shorter ones are d, -d, (d) or (-d). That code
uses + and - only unless it is told otherwise, and draws from the global generator instead of the key that it is given.

Products make 0 more probable, so the chance level is 1/5 for `add` and higher for the others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES, SOURCE, longer
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID

_MODULUS = 5
_OPERATORS = "+-*"
_ODD_LENGTHS = {"len41-255": (41, 255), "len41-499": (41, 499), "len255": (255, 255)}

_Kind = Literal["add", "left", "precedence", "brackets"]
_Values = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ModularArithmeticConfig(TaskConfig):
    """Kind of the expressions, and range of their length."""

    kind: _Kind

    def __post_init__(self) -> None:
        self.require(1 <= self.length[0] <= self.length[1], "1 <= shortest <= longest")
        self.require(
            self.kind == "brackets" or all(length % 2 == 1 for length in self.length), "odd lengths without brackets"
        )

    @property
    def operators(self) -> int:
        """Number of different operators."""
        return 2 if self.kind == "add" else 3


class ModularArithmetic(Task[ModularArithmeticConfig]):
    """Value of an arithmetic expression modulo five."""

    name = "modular_arithmetic"
    version = 1
    title = "Value of an arithmetic expression modulo five"
    symbols = "01234+-*()"
    labels = tuple(str(value) for value in range(_MODULUS))
    description = (
        "A sequence is an expression of digits from 0 to 4 and operators; the class is its value modulo 5. `add` has + "
        "and -; `left` also has * and is evaluated from left to right; in `precedence`, * comes before + and -; "
        "`brackets` has nested expressions in brackets, and minus signs."
    )
    limits = (
        "The data are synthetic. They test whether a model tracks a state of a few values, or in `brackets` a stack of "
        "them, and whether it does so in sequences that are longer than those in training. Short sequences occur in "
        "all splits."
    )
    source = SOURCE
    configs = (
        ModularArithmeticConfig(name="add", length=(3, 39), kind="add"),
        ModularArithmeticConfig(name="left", length=(3, 39), kind="left"),
        ModularArithmeticConfig(name="precedence", length=(3, 39), kind="precedence"),
        ModularArithmeticConfig(name="brackets", length=(3, 40), kind="brackets"),
    )

    def sizes(self, config: ModularArithmeticConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: ModularArithmeticConfig) -> bool:
        return config.length[0] < 5  # some 100 expressions of three symbols

    def test_distributions(self, config: ModularArithmeticConfig) -> Mapping[str, ModularArithmeticConfig]:
        if config.kind == "brackets":
            return longer(config)
        return {name: replace(config, name=name, length=length) for name, length in _ODD_LENGTHS.items()}

    def chance(self, config: ModularArithmeticConfig) -> float:
        return max(1 / _MODULUS, _chance(config.kind, config.length))  # 1/5 without rounding errors

    def generate(self, config: ModularArithmeticConfig, random: BlockRandom) -> Batch:
        if config.kind == "brackets":
            return _nested(config, random)
        count = config.length[1] // 2  # of operators in the longest sequence
        operators = random.integers(config.length[0] // 2, count)
        digits = random.integers_2d(0, _MODULUS - 1, count + 1)
        operations = random.integers_2d(0, config.operators - 1, count)
        lengths = 2 * operators + 1
        characters = np.empty((random.size, config.length[1]), np.uint8)
        characters[:, ::2] = digits + ord("0")
        characters[:, 1::2] = _characters(operations)
        characters[np.arange(config.length[1]) >= lengths[:, None]] = PAD_ID
        total, term = np.zeros(random.size, np.int64), digits[:, 0]  # `total` is used only for `precedence`
        for step in range(count):
            operation, digit, active = operations[:, step], digits[:, step + 1], step < operators
            if config.kind == "precedence":
                ends = active & (operation < 2)  # the term
                total = np.where(ends, total + term, total)
                after = np.choose(operation, (digit, -digit, term * digit))
            else:
                after = _apply(operation, term, digit)
            term = np.where(active, after % _MODULUS, term)
        return Batch(characters, lengths, (total + term) % _MODULUS)

    def solve(self, sequence: str, left: bool = False) -> str:
        """Return the target as `Task.solve` does; `left` evaluates from left to right, without precedence of *."""
        if left:
            if not re.fullmatch(r"[0-4]([-+*][0-4])*", sequence):
                raise InvalidInputError(
                    f"{sequence[:40]!r} is not a valid modular_arithmetic sequence without brackets: must be digits "
                    "from 0 to 4 with +, - or * between them"
                )
            value = int(sequence[0])
            for operator, digit in zip(sequence[1::2], sequence[2::2], strict=True):
                value = _OPERATIONS[operator](value, int(digit))
            return str(value % _MODULUS)
        value, end = _sum(sequence, 0)
        if end != len(sequence):
            raise _invalid(sequence, end)
        return str(value % _MODULUS)

    def solve_batch(self, sequences: Sequence[Any], config: ModularArithmeticConfig | None = None) -> list[Any]:
        left = config is not None and config.kind == "left"
        return [self.solve(sequence, left) for sequence in sequences]


_OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def _sum(text: str, start: int) -> tuple[int, int]:
    """Return the value of the longest sum that starts at `start`, and its end."""
    value, end = _product(text, start)
    while text[end : end + 1] in ("+", "-"):
        operator = text[end]
        other, end = _product(text, end + 1)
        value = _OPERATIONS[operator](value, other)
    return value, end


def _product(text: str, start: int) -> tuple[int, int]:
    value, end = _factor(text, start)
    while text[end : end + 1] == "*":
        other, end = _factor(text, end + 1)
        value *= other
    return value, end


def _factor(text: str, start: int) -> tuple[int, int]:
    symbol = text[start : start + 1]
    if symbol == "-":
        value, end = _factor(text, start + 1)
        return -value, end
    if symbol == "(":
        value, end = _sum(text, start + 1)
        if text[end : end + 1] == ")":
            return value, end + 1
        raise _invalid(text, end)
    if symbol and symbol in "01234":
        return int(symbol), start + 1
    raise _invalid(text, start)


def _invalid(text: str, position: int) -> InvalidInputError:
    return InvalidInputError(
        f"{text[:40]!r} is not a valid modular_arithmetic sequence: must be an expression of 0 to 4, +, -, * and "
        f"brackets; wrong or incomplete at position {position}"
    )


def _characters(operations: _Values) -> NDArray[np.uint8]:
    return np.frombuffer(_OPERATORS.encode(), np.uint8)[operations]


def _apply(operations: _Values, left: _Values, right: _Values) -> _Values:
    return np.choose(operations, (left + right, left - right, left * right))


def _nested(config: ModularArithmeticConfig, random: BlockRandom) -> Batch:
    """Return expressions with brackets: written from left to right, then evaluated from right to left."""
    longest = config.length[1]
    lengths = random.integers(*config.length)
    shares = random.uniform(longest)  # of the left operand, for the expression that starts at a step
    digits = random.integers_2d(0, _MODULUS - 1, longest)
    operations = random.integers_2d(0, config.operators - 1, longest)
    characters = np.full((random.size, longest), PAD_ID, np.uint8)
    sizes = np.zeros((random.size, longest + 2), np.int64)  # of the expression that starts at a step, else 0
    lefts = np.zeros_like(sizes)  # size of its left operand
    sizes[:, 0] = lengths
    for step in range(longest):
        size = sizes[:, step]
        characters[size == 1, step] = digits[size == 1, step] + ord("0")
        characters[size == 2, step] = ord("-")
        sizes[size == 2, step + 1] = 1
        rows = np.flatnonzero(size >= 3)
        characters[rows, step] = ord("(")
        characters[rows, step + size[rows] - 1] = ord(")")
        inner = size[rows] - 2
        sizes[rows, step + 1] = inner
        rows = np.flatnonzero(size >= 5)
        left = 1 + (shares[rows, step].astype(np.float64) * (size[rows] - 4)).astype(np.int64)
        lefts[rows, step] = left
        sizes[rows, step + 1] = left
        characters[rows, step + 1 + left] = _characters(operations[rows, step])
        sizes[rows, step + 2 + left] = size[rows] - 3 - left
    values = np.zeros_like(sizes)
    for step in reversed(range(longest)):
        size = sizes[:, step]
        inner = values[:, step + 1]
        right = values[np.arange(random.size), step + 2 + np.minimum(lefts[:, step], longest - 1 - step)]
        found = np.select(
            [size == 1, size == 2, size < 5],
            [digits[:, step], -inner, inner],
            _apply(operations[:, step], inner, right),
        )
        values[:, step] = found % _MODULUS
    return Batch(characters, lengths, values[:, 0])


@cache
def _chance(kind: _Kind, length: IntRange) -> float:
    """Return the probability of the most probable value, for uniform lengths in a range."""
    if kind == "add":
        return 1 / _MODULUS
    values = np.arange(_MODULUS)
    left, right = values[:, None], values
    results = np.stack([left + right, left - right, left * right]) % _MODULUS
    # probability of each value (c) if an operator is applied to values a and b: (a, b, c)
    table = (results[..., None] == values).mean(axis=0)
    uniform = np.full(_MODULUS, 1 / _MODULUS)
    by_length = np.zeros((length[1] + 1, _MODULUS))  # probability of each value
    by_length[1:5] = uniform
    if kind == "brackets":
        for size in range(5, length[1] + 1):
            operand = by_length[1 : size - 3]
            pairs = np.einsum("la,lb->ab", operand, operand[::-1]) / (size - 4)
            by_length[size] = np.einsum("ab,abc->c", pairs, table)
        return float(by_length[length[0] :].mean(axis=0).max())
    joint = np.zeros((_MODULUS, _MODULUS))  # of the sum of the terms before the last, and the last term
    joint[0] = uniform
    product = (results[-1][..., None] == values) / _MODULUS  # for a uniform second factor
    for size in range(1, length[1] + 1, 2):
        if size > 1 and kind == "precedence":
            total = _convolved(joint)
            joint = 2 / 3 * total[:, None] * uniform + joint @ product.sum(axis=1) / 3
        elif size > 1:
            joint[0] = np.einsum("a,b,abc->c", joint[0], uniform, table)
        by_length[size] = _convolved(joint)
    return float(by_length[length[0] :: 2].mean(axis=0).max())


def _convolved(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distribution of the sum modulo five of two values with a joint distribution."""
    return np.array([sum(joint[a, (c - a) % _MODULUS] for a in range(_MODULUS)) for c in range(_MODULUS)])


TASK = ModularArithmetic()
