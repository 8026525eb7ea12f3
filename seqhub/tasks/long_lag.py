"""Long time lags: the target is the first symbol, after a fixed sequence or noise.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), experiments 2a, 2b and 2c
(section 5.2, Table 2 and Table 3).

`2a-pP` has two sequences, x a1 ... a(P-1) x and y a1 ... a(P-1) y. The target at each step is the next symbol; only the
last one needs memory. In `2b-pP` the symbols after the first are uniform noise over a1 to a(P-1). The target after P
symbols is the first symbol:

    >>> TASK.solve("y a3 a1 a1")
    'y'

`2c-qQ-pP` is b, then x or y, then uniform noise over a1 to aP, then e. The noise has Q symbols and continues after each
further symbol with probability 9/10. The target is the second symbol:

    >>> TASK.solve("b x a2 a2 a1 e")
    'x'

In the paper the target is a further symbol of the sequence; here it is the label, so a text is one symbol shorter, with
Q + 12 symbols on average. The distribution of the length is divided into 65,536 equally probable parts, so the longest
text has Q + 108 symbols. The chance level is 1/2. In 2a a model that has memorised only the middle is right in P - 1 of
P steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom
from seqhub.tasks.schema import Batch, StoppingRule, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

_MAX_DISTRACTORS = 1_000
_AT_ONCE = 1 << 16  # random words in one step, so that their products stay in the cache


@cache
def _extra() -> NDArray[np.int64]:
    """Return the number of symbols after the first Q, for 65,536 equally probable parts: (65536,)."""
    extra = np.zeros(1 << 16, np.int64)
    remaining, symbols = 1 << 16, 0
    while remaining:
        symbols += 1
        remaining = 9**symbols * (1 << 16) // 10**symbols
        extra[:remaining] += 1
    return extra


@cache
def _kept() -> NDArray[np.uint16]:
    """Return masks for each number of symbols after the first Q, 1 for symbols and 0 for padding: (E + 1, E)."""
    most = int(_extra().max())
    return (np.arange(most) < np.arange(most + 1)[:, None]).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class LongLagConfig(TaskConfig):
    """One of the three experiments, with its size."""

    kind: Literal["2a", "2b", "2c"]
    p: int  # 2a, 2b: p - 1 different distractors; 2c: p different distractors
    q: int = 0  # 2c: least number of distractors in a sequence

    def __post_init__(self) -> None:
        self.require(2 <= self.p <= _MAX_DISTRACTORS and self.q >= 0, f"2 <= p <= {_MAX_DISTRACTORS:,} and q >= 0")

    @property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the config: x and y, for 2c also b and e, then a1, a2, ..."""
        ends, count = (("x", "y"), self.p - 1) if self.kind != "2c" else (("x", "y", "b", "e"), self.p)
        return Vocabulary((*ends, *(f"a{k}" for k in range(1, count + 1))), " ", f"long_lag/{self.name}")


def _config(kind: Literal["2a", "2b", "2c"], p: int, q: int = 0) -> LongLagConfig:
    if kind == "2c":
        return LongLagConfig(name=f"2c-q{q}-p{p}", kind=kind, p=p, q=q, length=(q + 3, q + 3 + int(_extra().max())))
    steps = p + 1 if kind == "2a" else p
    return LongLagConfig(name=f"{kind}-p{p}", kind=kind, p=p, length=(steps, steps))


class LongLag(Task[LongLagConfig]):
    """Prediction of the first symbol after a long time lag."""

    name = "long_lag"
    version = 1
    title = "The first of many symbols, to be remembered until the end (LSTM paper, experiments 2a, 2b, 2c)"
    symbols = ("x", "y", "b", "e", *(f"a{k}" for k in range(1, _MAX_DISTRACTORS + 1)))
    separator = " "
    marked = ("x", "y")
    labels = ("x", "y")
    description = (
        "In 2a a sequence is x or y, then a1, a2, ... in order, then its first symbol again, and the target at each "
        "step is the next symbol. In 2b it is x or y, then noise over a1, a2, ..., and the label is its first symbol. "
        "In 2c it is b, then x or y, then noise of random length, then e, and the label is its second symbol."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (
        *(_config("2a", p) for p in (4, 10, 100)),
        _config("2b", 100),
        *(_config("2c", q, q) for q in (50, 100, 200, 500, 1_000)),
        *(_config("2c", p, 1_000) for p in (500, 200, 100, 50)),
    )
    paper_sequences: ClassVar = {  # section 5.2, Tables 2 and 3
        "2a-p100": 5_040,
        "2b-p100": 5_680,
        "2c-q50-p50": 30_000,
        "2c-q100-p100": 31_000,
        "2c-q200-p200": 33_000,
        "2c-q500-p500": 38_000,
        "2c-q1000-p1000": 49_000,
        "2c-q1000-p500": 49_000,
        "2c-q1000-p200": 75_000,
        "2c-q1000-p100": 135_000,
        "2c-q1000-p50": 203_000,
    }
    paper_setting = "networks of one or two cells without forget gates were trained online, by gradient descent"

    def schema(self, config: LongLagConfig) -> TaskSchema:
        if config.kind == "2a":
            return TaskSchema(vocabulary=config.vocabulary, target="next_symbol")
        return TaskSchema(vocabulary=config.vocabulary, labels=self.labels)

    def sizes(self, config: LongLagConfig) -> Mapping[str, int]:
        if config.length[0] < 300:
            return {"train": 8_192, "validation": 2_560, "test": 2_560}
        return {"train": 1_024, "validation": 256, "test": 256}  # a row of 1,000 symbols has some 5,000 bytes

    def stopping_rule(self, config: LongLagConfig) -> StoppingRule:
        return StoppingRule(rule="streak", section="5.2", tolerance=0.2 if config.kind == "2c" else 0.25, window=10_000)

    def splits_overlap(self, config: LongLagConfig) -> bool:
        return config.kind == "2a"  # which has only two sequences

    def generate(self, config: LongLagConfig, random: BlockRandom) -> Batch:
        answers = random.integers(0, 1)
        ids, longest = config.vocabulary.ids, config.length[1]
        marked = np.array([ids["x"], ids["y"]], np.uint16)[answers]
        lengths = np.full(random.size, longest)
        if config.kind == "2a":
            inputs = np.tile(np.arange(ids["a1"] - 1, ids["a1"] + config.p, dtype=np.uint16), (random.size, 1))
            inputs[:, 0] = inputs[:, -1] = marked
            return Batch(inputs, lengths, np.empty((random.size, 0), np.int64))
        if config.kind == "2b":
            inputs = _noise(random, longest, ids["a1"], config.p - 1)
            inputs[:, 0] = marked
            return Batch(inputs, lengths, answers)
        extra = np.take(_extra(), random.uint16(2)[:, 0])
        lengths = config.length[0] + extra
        inputs = _noise(random, longest, ids["a1"], config.p)
        inputs[:, 0], inputs[:, 1] = ids["b"], marked
        inputs[np.arange(random.size), lengths - 1] = ids["e"]
        inputs[:, config.length[0] :] *= np.take(_kept(), extra, axis=0)
        return Batch(inputs, lengths, answers)

    def solve(self, sequence: str) -> str | None:
        words = sequence.split(" ")
        numbers = [word[1:] for word in words if word[:1] == "a"]
        first, rest = (words[1:2], [*words[:1], *words[2:]]) if words[0] == "b" else (words[:1], words[1:])
        if first in (["x"], ["y"]) and all(
            n.isdecimal() and n[0] != "0" and int(n) <= _MAX_DISTRACTORS for n in numbers
        ):
            framed = rest == ["b", *rest[1:-1], "e"] and len(numbers) == len(rest) - 2
            if framed or len(rest) == len(numbers) > 0:
                return first[0]
            if rest == [*(f"a{k}" for k in range(1, len(rest))), *first] and len(rest) > 1:
                return None  # the targets are the symbols of the text
        raise InvalidInputError(
            f"{sequence[:60]!r} is not a valid long_lag sequence: must be x or y, then a1, a2, ... in order and the "
            "first symbol again; or x or y, then any of a1, a2, ...; or b, x or y, any of a1, a2, ..., and e"
        )


def _noise(random: BlockRandom, steps: int, first: int, count: int) -> NDArray[np.uint16]:
    """Return uniform ids (N, steps), from `first` to `first + count - 1`.

    A 32-bit word determines two ids: it is multiplied by count² and shifted right by 32 bits, which gives the index of
    a pair in a table. The probabilities of two pairs differ by a factor of at most 1 + count² / 2**32, which is
    1 + 1/4,000 for the largest count.
    """
    per_row = -(-steps // 2)
    pairs, found = _pairs(first, count), np.empty((random.size, per_row), np.uint32)
    for block, words in enumerate(random.uint32_by_block(per_row)):
        written = found[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE].reshape(-1)
        for start in range(0, len(words), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            numbers = np.multiply(words[part], np.uint64(count * count), dtype=np.uint64)
            numbers >>= np.uint64(32)
            np.take(pairs, numbers.view(np.int64), out=written[part], mode="clip")  # never clips; avoids a copy
    return found.view(np.uint16)[:, :steps]


@cache
def _pairs(first: int, count: int) -> NDArray[np.uint32]:
    """Return all pairs of ids, each as one word: (count²,)."""
    ids = np.arange(first, first + count, dtype=np.uint16)
    return np.stack(np.broadcast_arrays(ids[:, None], ids), axis=2).reshape(-1).view(np.uint32)


TASK = LongLag()
