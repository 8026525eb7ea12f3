"""Dyck language of bounded depth: brackets of several kinds, correctly nested.

Source: Hewitt et al. (2020), "RNNs can generate bounded hierarchical languages with optimal memory". A string of
Dyck-(k, m) has brackets of k kinds, correctly nested, never more than m open at once. Opening brackets are a, b, ...,
their closing brackets A, B, ...; a string ends with a full stop. The target at each step is the next symbol. A model
can predict only the set of symbols that may follow: opening brackets if fewer than m are open, and the closing bracket
of the last open one, or the end if none is open:

    >>> TASK.legal_next_symbols("abBA.", depth=2)
    ['abA', 'B', 'abA', 'ab.']

`k2-m4` and `k8-m8` have 4 to 84 brackets, and strings of 86 to 180 as a test distribution. Samplers differ between
papers. Here the number of brackets is uniform over the even numbers of the range, and all strings of the language with
that number are equally probable. So close to the end of a string the frequencies depend on the length; the sets of
symbols that may follow do not. Short strings occur in all splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

OPENING, CLOSING, END = "abcdefgh", "ABCDEFGH", "."


@dataclass(frozen=True, kw_only=True)
class DyckConfig(TaskConfig):
    """Kinds of brackets and depth; lengths include the end."""

    length: IntRange = (5, 85)
    kinds: int
    depth: int  # most brackets that are open at once

    def __post_init__(self) -> None:
        self.require(
            3 <= self.length[0] <= self.length[1]
            and all(steps % 2 for steps in self.length)
            and 1 <= self.kinds <= len(OPENING)
            and self.depth >= 1,
            f"odd lengths from 3 on, 1 <= kinds <= {len(OPENING)} and depth >= 1",
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the config."""
        return Vocabulary(OPENING[: self.kinds] + CLOSING[: self.kinds] + END, name="dyck")


class Dyck(Task[DyckConfig]):
    """Next symbols of nested brackets."""

    name = "dyck"
    version = 1
    title = "Next symbols of nested brackets of bounded depth (Dyck-k,m)"
    symbols = OPENING + CLOSING + END
    description = (
        "A sequence consists of brackets of several kinds, correctly nested up to a depth, and a full stop at its end. "
        "Opening brackets are lower-case letters, closing brackets the same letters in upper case. The target at each "
        "step is the next symbol; a model can predict which symbols may come next."
    )
    limits = (
        "The data are synthetic, and many next symbols are random, so the best possible accuracy is far below 1. The "
        "relevant criterion is that the model gives every symbol that may follow a higher probability than all others."
    )
    source = """@inproceedings{hewitt2020rnns,
  author = {Hewitt, John and others},
  title  = {{RNN}s can generate bounded hierarchical languages with optimal memory},
  year   = {2020}
}"""
    configs = (DyckConfig(name="k2-m4", kinds=2, depth=4), DyckConfig(name="k8-m8", kinds=8, depth=8))

    def schema(self, config: DyckConfig) -> TaskSchema:
        return TaskSchema(vocabulary=config.vocabulary, target="next_symbol")

    def sizes(self, config: DyckConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def splits_overlap(self, config: DyckConfig) -> bool:
        return config.length[0] <= 5

    def test_distributions(self, config: DyckConfig) -> Mapping[str, DyckConfig]:
        return {"len86-180": replace(config, name="len86-180", length=(87, 181))}

    def generate(self, config: DyckConfig, random: BlockRandom) -> Batch:
        shortest, longest = (steps // 2 for steps in config.length)
        brackets = 2 * random.integers(shortest, longest)
        choices = random.uniform(2 * longest)
        kinds = random.integers_2d(0, config.kinds - 1, 2 * longest)
        up = _shares(2 * longest, config.depth)
        rows, width = np.arange(random.size), config.depth + 1
        # arrays of one step are contiguous
        choice, kind = np.ascontiguousarray(choices.T), np.ascontiguousarray(kinds.T)
        written = np.empty((2 * longest, random.size), np.uint8)
        stack, shares = np.zeros(random.size * width, np.int64), up.ravel()
        first, depth = rows * width, np.zeros(random.size, np.int64)
        for step in range(2 * longest):
            remaining = np.maximum(brackets - step, 0)
            opens = choice[step] < shares.take(remaining * width + depth)
            stack[(first + depth)[opens]] = kind[step, opens]
            last = stack.take(first + np.maximum(depth - 1, 0))
            written[step] = np.where(opens, kind[step] + ord(OPENING[0]), last + ord(CLOSING[0]))
            depth += (2 * opens - 1) * (remaining > 0)
        characters = np.zeros((random.size, 2 * longest + 1), np.uint8)
        characters[:, :-1] = written.T
        characters[np.arange(2 * longest + 1) > brackets[:, None]] = PAD_ID
        characters[rows, brackets] = ord(END)
        return Batch(characters, brackets + 1, np.empty((random.size, 0), np.int64))

    def legal_next_symbols(self, sequence: str, kinds: int | None = None, depth: int | None = None) -> list[str]:
        """Return the symbols that may follow each symbol except the last, in the order of the vocabulary.

        Args:
            sequence: A string of the language.
            kinds: Kinds of brackets; by default 2 if there are only two in the text, else 8, as in the configs.
            depth: Most open brackets; by default 4 for two kinds, else 8.

        Raises:
            InvalidInputError: The text is not a string of the language.
        """
        kinds = kinds or (2 if set(sequence.lower()) <= set("ab.") else 8)
        depth = depth or (4 if kinds == 2 else 8)
        opened, follow = list[str](), list[str]()
        for symbol in sequence[:-1]:
            if symbol in OPENING[:kinds] and len(opened) < depth:
                opened.append(symbol)
            elif not opened or symbol != opened.pop().upper():
                follow = []
                break
            closing = opened[-1].upper() if opened else END
            follow.append((OPENING[:kinds] if len(opened) < depth else "") + closing)
        if not follow or opened or sequence[-1] != END:
            form = f"brackets of {kinds} kinds, nested up to depth {depth}, then {END}"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid dyck sequence: must be {form}")
        return follow

    def legal_steps(self, config: DyckConfig, batch: Batch, random: BlockRandom | None) -> NDArray[np.bool_]:
        rows, characters = np.arange(len(batch)), batch.inputs.astype(np.int64)
        opening = (characters >= ord(OPENING[0])) & (characters != PAD_ID)
        closing = (characters >= ord(CLOSING[0])) & (characters < ord(OPENING[0]))
        depth = np.cumsum(opening.astype(np.int64) - closing, axis=1)
        legal = np.zeros((*characters.shape, 2 * config.kinds + 2), np.bool_)
        legal[:, :, 1 : config.kinds + 1] = (depth < config.depth)[:, :, None]
        stack = np.zeros((len(batch), config.depth + 1), np.int64)  # ids of the closing brackets; 0: the end
        stack[:, 0] = 2 * config.kinds + 1
        for step in range(characters.shape[1]):
            opens = np.flatnonzero(opening[:, step])
            stack[opens, depth[opens, step]] = characters[opens, step] - ord(OPENING[0]) + 1 + config.kinds
            legal[rows, step, stack[rows, depth[:, step]]] = True
        legal[np.arange(characters.shape[1]) >= batch.lengths[:, None] - 1] = False
        return legal

    def solve(self, sequence: str) -> None:
        """Check that the text is a string of the language; the targets are its symbols."""
        self.legal_next_symbols(sequence)


@cache
def _shares(brackets: int, depth: int) -> NDArray[np.float64]:
    """Return the share of strings that continue with an opening bracket: (brackets + 1, depth + 1).

    Entry (r, d) is for r remaining brackets with d open ones. Kinds have the same number of strings for each nesting.
    """
    counts = [[1] + [0] * (depth + 1)]  # counts[r][d]: ways to close all; the last entry is for depth + 1
    shares = np.zeros((brackets + 1, depth + 1))
    for remaining in range(1, brackets + 1):
        fewer = counts[-1]
        row = [fewer[d + 1] + (fewer[d - 1] if d else 0) for d in range(depth + 1)]
        counts.append([*row, 0])
        shares[remaining] = [fewer[d + 1] / row[d] if row[d] else 0 for d in range(depth + 1)]
    return shares


TASK = Dyck()
