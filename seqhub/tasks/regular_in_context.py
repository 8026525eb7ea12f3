"""Regular languages in context (RegBench): next symbols of strings of an automaton that is new in each sequence.

Source: Akyürek et al. (2024), "In-Context Language Learning: Architectures and Algorithms", and its code, `dfa.py` of
berlino/seq_icl. Each sequence has its own random deterministic automaton with 4 to 12 states over 4 to 18 of the
symbols a to r. Each state has one to four transitions with different symbols to uniformly random states. A sequence
consists of ten strings, separated by |. A string has 1 to 20 symbols; it starts in the first state and takes each
transition of a state with the same probability. The target at each step is the next symbol; there is no single right
one:

    >>> TASK.solve("ab|abab|aba")

A model can learn from the earlier strings which symbols may follow. `legal_steps` returns these sets, because the text
does not contain the automaton. Twenty strings are a test distribution. In the code, the number of symbols is the number
of states, the largest number of transitions never occurs (an upper bound of `integers` that is excluded), strings can
be empty, and a row that is too long is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID

SYMBOLS, SEPARATOR = "abcdefghijklmnopqr", "|"
_OUTGOING = 4  # most transitions of a state
_BITS = 31  # of the random words that are scaled to a range


@dataclass(frozen=True, kw_only=True)
class RegularInContextConfig(TaskConfig):
    """Ranges of the automata and of the strings, both ends included."""

    strings: int
    string_length: IntRange = (1, 20)
    states: IntRange = (4, 12)
    symbols: IntRange = (4, len(SYMBOLS))

    def __post_init__(self) -> None:
        between = self.strings - 1  # separators
        expected = tuple(self.strings * steps + between for steps in self.string_length)
        self.require(
            self.strings >= 1
            and 1 <= self.string_length[0] <= self.string_length[1]
            and 1 <= self.states[0] <= self.states[1]
            and _OUTGOING <= self.symbols[0] <= self.symbols[1] <= len(SYMBOLS)
            and self.length == expected,
            f"low <= high in each range, {_OUTGOING} to {len(SYMBOLS)} symbols, and the length of all strings",
        )


class _Walk(NamedTuple):
    """Sequences with the automata that generated them."""

    batch: Batch
    states: NDArray[np.int64]  # (N, T), state after each step
    outgoing: NDArray[np.bool_]  # (N, S, 18), symbols of the transitions of each state


def _config(name: str, strings: int) -> RegularInContextConfig:
    return RegularInContextConfig(name=name, strings=strings, length=(2 * strings - 1, 21 * strings - 1))


class RegularInContext(Task[RegularInContextConfig]):
    """Next symbols of strings of a new automaton."""

    name = "regular_in_context"
    version = 1
    title = "Next symbols of a regular language that is new in each sequence (RegBench)"
    symbols = SYMBOLS + SEPARATOR
    description = (
        "A sequence consists of strings of one random automaton, separated by |. The automaton is new in each "
        "sequence. The target at each step is the next symbol; a model can learn from the earlier strings which "
        "symbols may come next."
    )
    limits = (
        "The data are synthetic, and most next symbols are random, so the best possible accuracy is far below 1. The "
        "relevant criterion is that the predicted symbols are those that the automaton allows."
    )
    source = """@article{akyurek2024incontext,
  author = {Aky{\\"u}rek, Ekin and others},
  title  = {In-Context Language Learning: Architectures and Algorithms},
  year   = {2024}
}"""
    configs = (_config("strings10", 10),)

    def schema(self, config: RegularInContextConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="next_symbol")

    def sizes(self, config: RegularInContextConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: RegularInContextConfig) -> Mapping[str, RegularInContextConfig]:
        low, high = ((steps + 1) * 20 - 1 for steps in config.string_length)
        return {"strings20": replace(config, name="strings20", strings=20, length=(low, high))}

    def generate(self, config: RegularInContextConfig, random: BlockRandom) -> Batch:
        return self._walk(config, random).batch

    def legal_steps(
        self, config: RegularInContextConfig, batch: Batch, random: BlockRandom | None
    ) -> NDArray[np.bool_]:
        """Return the ids that the automaton of each row allows after each step, see `Task.legal_steps`.

        A separator may follow any symbol except another separator.
        """
        assert random is not None, "the texts do not contain the automata"
        batch, states, outgoing = self._walk(config, random)
        characters = batch.inputs
        legal = np.zeros((*characters.shape, len(self.symbols) + 1), np.bool_)
        legal[:, :, 1:-1] = outgoing[np.arange(len(batch))[:, None], states]
        legal[:, :, -1] = characters != ord(SEPARATOR)
        legal[np.arange(characters.shape[1]) >= batch.lengths[:, None] - 1] = False
        return legal

    def _walk(self, config: RegularInContextConfig, random: BlockRandom) -> _Walk:
        count, rows = config.states[1], np.arange(random.size)
        states = random.integers(*config.states)
        used = random.integers(*config.symbols)
        chosen = np.argsort(random.uniform(len(SYMBOLS)), axis=1, kind="stable")
        order = random.uniform(count * len(SYMBOLS)).reshape(random.size, count, -1)
        order = np.where(np.arange(len(SYMBOLS)) < used[:, None, None], order, 1)  # others are last
        firsts = np.argsort(order, axis=2, kind="stable")[:, :, :_OUTGOING]
        symbols = chosen[rows[:, None, None], firsts]  # of the transitions: (N, S, 4)
        degrees = random.integers_2d(1, _OUTGOING, count)
        after = random.integers_2d(0, (1 << _BITS) - 1, count * _OUTGOING) * states[:, None] >> _BITS
        after = after.reshape(random.size, count, _OUTGOING)

        lengths = random.integers_2d(*config.string_length, config.strings)
        ends = np.cumsum(lengths + 1, axis=1) - 1  # steps of the separators; the last is the length of the row
        longest = config.length[1]
        separated = np.zeros((random.size, longest + 1), np.bool_)
        separated[rows[:, None], ends] = True
        words = random.integers_2d(0, (1 << _BITS) - 1, longest)
        # arrays of one step are contiguous; a table has the number of the state and symbol after each transition
        by_step, ended = np.ascontiguousarray(words.T), np.ascontiguousarray(separated.T)
        written = np.empty((longest, random.size), np.uint8)
        passed = np.empty((longest, random.size), np.int64)
        table, of_state = (after << 8 | symbols + ord(SYMBOLS[0])).ravel(), degrees.ravel()
        first = at = rows * count
        for step in range(longest):
            cell = table.take(at * _OUTGOING + (by_step[step] * of_state.take(at) >> _BITS))
            cell[ended[step]] = ord(SEPARATOR)  # and state 0
            written[step], passed[step] = cell & 255, cell >> 8
            at = first + passed[step]
        characters, visited = np.ascontiguousarray(written.T), np.ascontiguousarray(passed.T)
        characters[np.arange(longest) >= ends[:, -1:]] = PAD_ID
        outgoing = np.zeros((random.size, count, len(SYMBOLS)), np.bool_)
        np.put_along_axis(outgoing, symbols, np.arange(_OUTGOING) < degrees[:, :, None], axis=2)
        return _Walk(Batch(characters, ends[:, -1], np.empty((random.size, 0), np.int64)), visited, outgoing)

    def solve(self, sequence: str) -> None:
        """Check that the text consists of strings; the targets are its symbols."""
        strings = sequence.split(SEPARATOR)
        if not all(strings) or set("".join(strings)) - set(SYMBOLS):
            form = f"strings over {SYMBOLS}, separated by {SEPARATOR}"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid regular_in_context sequence: must be {form}")


TASK = RegularInContext()
