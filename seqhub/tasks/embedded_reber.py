"""Embedded Reber grammar: prediction of the next symbols of strings from a finite automaton.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), experiment 1 (section 5.1),
with the grammar of Reber (1967), embedded by Smith & Zipser (1989). A string is B, then T or P, then a string of the
Reber grammar, the same T or P again, and E. The target at each step is the next symbol:

    >>> TASK.legal_next_symbols("BTBTXSETE")
    ['TP', 'B', 'TP', 'SX', 'SX', 'E', 'T', 'E']

If two symbols may follow, both have probability 1/2, so a model can predict only the set of possible symbols. A network
that has learnt the grammar but not the second symbol cannot distinguish T and P in the last step but one, at least six
steps later.

`hs97` is the experiment of the paper: 256 strings for training and 256 for the test, all distinct, and 256 more for
validation. `endless` generates any number of strings; short strings are frequent, so they occur in all splits. In both
configs, a string that has not ended after 72 symbols takes the shortest path to the end, about once in a billion
strings.
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom, philox_key
from seqhub.tasks.schema import Batch, StoppingRule, TaskConfig, TaskSchema

# state -> possible symbols with their next states; of two, the second is nearer to the end
GRAMMAR: dict[int, tuple[tuple[str, int | None], ...]] = {
    0: (("B", 1),),
    1: (("P", 3), ("T", 2)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", None),),
}
LONGEST = 80  # symbols

_State = tuple[int | str, str]  # of the automaton of whole strings: state of the grammar, second symbol of the string
_STRIDE = 8  # number of symbols that one random byte determines


@dataclass(frozen=True, kw_only=True)
class EmbeddedReberConfig(TaskConfig):
    """Fixed or generated strings."""

    length: tuple[int, int] = (9, LONGEST)
    fixed_rows: int = 0  # number of strings of each split; 0 for generated ones without end

    def __post_init__(self) -> None:
        self.require(self.length == (9, LONGEST) and self.fixed_rows >= 0, f"length 9 to {LONGEST} and fixed_rows >= 0")

    def parameters(self) -> dict[str, object]:
        parameters = super().parameters()
        parameters["given"] = parameters.pop("fixed_rows")  # the name in keys of generated rows and in JSON output
        return parameters


class EmbeddedReber(Task[EmbeddedReberConfig]):
    """Next symbols of strings of the embedded Reber grammar."""

    name = "embedded_reber"
    version = 1
    title = "Next symbols of the embedded Reber grammar (LSTM paper, experiment 1)"
    symbols = "BTPSXVE"
    description = (
        "A sequence is B, then T or P, then a string of the Reber grammar (B, a walk through an automaton with two "
        "equally probable branches in each state, E), then the same T or P as before, then E. The target at each step "
        "is the next symbol; a model can predict which symbols may come next."
    )
    limits = (
        "The data are synthetic, and half of the next symbols are random, so the best possible accuracy is far below "
        "1. The relevant criterion is that the model gives every symbol that may follow a higher probability than all "
        "other symbols."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (EmbeddedReberConfig(name="hs97", fixed_rows=256), EmbeddedReberConfig(name="endless"))
    paper_sequences: ClassVar = {"hs97": 8_440}  # section 5.1, Table 1, the best of five nets
    paper_setting = (
        "networks of 264 or 276 weights without forget gates, with 8 cells at most, were trained online by gradient "
        "descent; the number is for the fastest network that never failed"
    )

    def schema(self, config: EmbeddedReberConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="next_symbol")

    def stopping_rule(self, config: EmbeddedReberConfig) -> StoppingRule | None:
        return StoppingRule(rule="legal", section="5.1") if config.fixed_rows else None

    def splits_overlap(self, config: EmbeddedReberConfig) -> bool:
        return not config.fixed_rows

    def rows(self, config: EmbeddedReberConfig, split: str) -> Batch | None:
        return _fixed_rows(self.version, config.fixed_rows)[split] if config.fixed_rows else None

    def generate(self, config: EmbeddedReberConfig, random: BlockRandom) -> Batch:
        words, lengths, states = _tables()
        choices = random.uint16(LONGEST // _STRIDE // 2).view(np.uint8)
        choices[:, -1] = 255  # the shortest path to the end, for the few strings that have not ended
        written = np.zeros(choices.shape, np.uint64)
        steps = np.zeros(random.size, np.int64)
        rows, state = np.arange(random.size), np.zeros(random.size, np.intp)
        for number in range(choices.shape[1]):
            entries = state << _STRIDE | choices[rows, number]
            written[rows, number] = np.take(words, entries)
            steps[rows] += np.take(lengths, entries)
            state = np.take(states, entries)
            unfinished = np.flatnonzero(state)  # a string that has ended is in state 0, the start
            rows, state = rows[unfinished], state[unfinished]
        return Batch(written.view(np.uint8), steps, np.empty((random.size, 0), np.int64))

    def legal_next_symbols(self, sequence: str) -> list[str]:
        """Return the symbols that may follow each symbol except the last, in the order of the vocabulary.

        Raises:
            InvalidInputError: The text is not a string of the grammar.
        """
        inner, follow = sequence[2:-2], []
        state: int | None = 0
        for symbol in inner:
            branches = {} if state is None else dict(GRAMMAR[state])
            if symbol not in branches:
                state = 0
                break
            follow.append("".join(sorted(branches, key=self.symbols.index)))
            state = branches[symbol]
        outer = sequence[1:2]
        if state is not None or not outer or outer not in "TP" or sequence != f"B{outer}{inner}{outer}E":
            form = "B, T or P, a string of the Reber grammar, the same T or P, E"
            raise InvalidInputError(f"{sequence!r} is not a valid embedded_reber sequence: must be {form}")
        return ["TP", *follow, outer, "E"]

    def solve(self, sequence: str) -> None:
        """Check that the text is a string of the grammar; the targets are its symbols."""
        self.legal_next_symbols(sequence)


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.intp]]:
    """Return the transitions of the automaton for eight symbols: (S * 256,) each, index 256 s + b for state s, byte b.

    Returns:
        Eight characters, 0 after the end; their number; the next state, which is 0, the start, after the end of a
        string.
    """
    # the automaton of whole strings: state -> symbol and next state for each of two equally probable choices
    start: _State = ("start", "")
    end: _State = ("end", "")
    edges: dict[_State, tuple[tuple[str, _State], ...]] = {}
    edges[start] = (("B", ("outer", "T")), ("B", ("outer", "P")))
    edges[end] = (("\0", end),) * 2
    for outer in "TP":
        edges["outer", outer] = ((outer, (0, outer)),) * 2
        for state, branches in GRAMMAR.items():
            choices: list[tuple[str, _State]] = [
                (symbol, ("again" if after is None else after, outer)) for symbol, after in branches
            ]
            edges[state, outer] = (choices[0], choices[-1])
        edges["again", outer] = ((outer, ("last", "")),) * 2
    edges["last", ""] = (("E", end),) * 2

    numbers = {state: number for number, state in enumerate(edges)}
    characters = np.zeros((len(edges), 256, _STRIDE), np.uint8)
    states = np.zeros((len(edges), 256), np.intp)
    for first, number in numbers.items():
        for byte in range(256):
            current = first
            for step in range(_STRIDE):
                symbol, current = edges[current][byte >> step & 1]
                characters[number, byte, step] = ord(symbol)
            states[number, byte] = 0 if current == end else numbers[current]
    lengths = (characters != 0).sum(axis=2)
    return characters.view(np.uint64).ravel(), lengths.ravel(), states.ravel()


@cache
def _fixed_rows(version: int, count: int) -> dict[str, Batch]:
    """Return the first `count` distinct generated strings for training, the next for the test, then for validation."""
    random = BlockRandom(philox_key({"task": EmbeddedReber.name, "version": version, "given": count}), 0, 8)
    generated = TASK.generate(EmbeddedReberConfig(name="fixed"), random)
    _, first = np.unique(generated.inputs, axis=0, return_index=True)
    chosen = np.sort(first)[: 3 * count].reshape(3, count)
    return {split: generated[rows] for split, rows in zip(("train", "test", "validation"), chosen, strict=True)}


TASK = EmbeddedReber()
