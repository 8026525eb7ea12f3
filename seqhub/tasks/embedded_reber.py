"""Embedded Reber grammar: strings of a small automaton, whose second symbol comes back just before the end.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), experiment 1 (section 5.1);
the grammar is that of Reber (1967), embedded by Smith & Zipser (1989). A string is B, then T or P, then a string of the
grammar, the same T or P again, and E; at each step the next symbol is to be said:

    >>> TASK.legal_next_symbols("BTBTXSETE")
    ['TP', 'B', 'TP', 'SX', 'SX', 'E', 'T', 'E']

Where two symbols may follow, each does half of the time, so nobody knows more than which they are. A network that has
learnt the grammar but forgot the second symbol cannot tell T from P in the last step but one, six steps later or more.

`hs97` is the experiment: 256 strings to train on and 256 others to test with, no two the same, as drawn; and 256 more
to look at in between. `endless` draws without end: short strings are likely, and so the same in all splits. In both a
string that is not over after 72 symbols takes the shortest way out, about once in a billion draws.
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

# state -> symbols that may come and the states they lead to; where there are two, the second is nearer to the end
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

_State = tuple[int | str, str]  # of the automaton of whole strings: where in it, and the second symbol
_STRIDE = 8  # symbols that one byte decides


@dataclass(frozen=True, kw_only=True)
class EmbeddedReberConfig(TaskConfig):
    """Strings that are given, or drawn."""

    length: tuple[int, int] = (9, LONGEST)
    given: int = 0  # strings of each split; 0 for no end

    def __post_init__(self) -> None:
        self.require(self.length == (9, LONGEST) and self.given >= 0, f"length 9 to {LONGEST} and given >= 0")


class EmbeddedReber(Task[EmbeddedReberConfig]):
    """The next symbol of strings of the embedded Reber grammar."""

    name = "embedded_reber"
    version = 1
    title = "Next symbols of the embedded Reber grammar (LSTM paper, experiment 1)"
    symbols = "BTPSXVE"
    description = (
        "A sequence is B, then T or P, then a string of the Reber grammar (B, a walk through an automaton with two "
        "equal branches in each state, E), then the same T or P as before, then E. What is to be learnt at each step "
        "is the next symbol, or rather which may come next."
    )
    limits = (
        "The data are synthetic, and half of the next symbols are drawn by lot: an accuracy far below 1 is the best "
        "there is. What counts is whether every symbol that may follow is likelier than all others."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (EmbeddedReberConfig(name="hs97", given=256), EmbeddedReberConfig(name="endless"))
    paper_sequences: ClassVar = {"hs97": 8_440}  # section 5.1, Table 1, the best of five nets
    paper_setting = (
        "networks of 264 or 276 weights without forget gates, 8 cells at most, learned online by gradient descent; the "
        "number is that of the fastest which never failed"
    )

    def schema(self, config: EmbeddedReberConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="next_symbol")

    def stopping_rule(self, config: EmbeddedReberConfig) -> StoppingRule | None:
        return StoppingRule(rule="legal", section="5.1") if config.given else None

    def splits_overlap(self, config: EmbeddedReberConfig) -> bool:
        return not config.given

    def rows(self, config: EmbeddedReberConfig, split: str) -> Batch | None:
        return _given(self.version, config.given)[split] if config.given else None

    def generate(self, config: EmbeddedReberConfig, random: BlockRandom) -> Batch:
        words, lengths, states = _tables()
        choices = random.uint16(LONGEST // _STRIDE // 2).view(np.uint8)
        choices[:, -1] = 255  # the way out, for the few that are not over
        written = np.zeros(choices.shape, np.uint64)
        steps = np.zeros(random.size, np.int64)
        rows, state = np.arange(random.size), np.zeros(random.size, np.intp)
        for number in range(choices.shape[1]):
            entries = state << _STRIDE | choices[rows, number]
            written[rows, number] = np.take(words, entries)
            steps[rows] += np.take(lengths, entries)
            state = np.take(states, entries)
            going_on = np.flatnonzero(state)  # a string that is over is at the start again
            rows, state = rows[going_on], state[going_on]
        return Batch(written.view(np.uint8), steps, np.empty((random.size, 0), np.int64))

    def legal_next_symbols(self, sequence: str) -> list[str]:
        """Which symbols may follow each but the last, in the order of the alphabet.

        Raises:
            InvalidInputError: The text is no string of the grammar.
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
            raise InvalidInputError(f"{sequence!r} is no embedded_reber sequence: {form}")
        return ["TP", *follow, outer, "E"]

    def solve(self, sequence: str) -> None:
        """Nothing beside the text itself, of which every symbol is the target of the one before; see `legal_next_symbols`."""
        self.legal_next_symbols(sequence)


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.intp]]:
    """What eight choices make of a state: (S * 256,) each, the entry of state s and byte b at 256 s + b.

    Returns:
        Eight characters, 0 after the end; how many there are; the state afterwards, which is 0, the start, once a
        string is over.
    """
    # the automaton of whole strings: what is written, and where each of two equal choices leads
    start: _State = ("start", "")
    over: _State = ("over", "")
    edges: dict[_State, tuple[tuple[str, _State], ...]] = {}
    edges[start] = (("B", ("outer", "T")), ("B", ("outer", "P")))
    edges[over] = (("\0", over),) * 2
    for outer in "TP":
        edges["outer", outer] = ((outer, (0, outer)),) * 2
        for state, branches in GRAMMAR.items():
            ways: list[tuple[str, _State]] = [
                (symbol, ("again" if after is None else after, outer)) for symbol, after in branches
            ]
            edges[state, outer] = (ways[0], ways[-1])
        edges["again", outer] = ((outer, ("last", "")),) * 2
    edges["last", ""] = (("E", over),) * 2

    numbers = {state: number for number, state in enumerate(edges)}
    characters = np.zeros((len(edges), 256, _STRIDE), np.uint8)
    states = np.zeros((len(edges), 256), np.intp)
    for first, number in numbers.items():
        for byte in range(256):
            here = first
            for step in range(_STRIDE):
                symbol, here = edges[here][byte >> step & 1]
                characters[number, byte, step] = ord(symbol)
            states[number, byte] = 0 if here == over else numbers[here]
    lengths = (characters != 0).sum(axis=2)
    return characters.view(np.uint64).ravel(), lengths.ravel(), states.ravel()


@cache
def _given(version: int, count: int) -> dict[str, Batch]:
    """The first distinct strings that are drawn: to train on, as many to test with, as many to validate with."""
    random = BlockRandom(philox_key({"task": EmbeddedReber.name, "version": version, "given": count}), 0, 8)
    drawn = TASK.generate(EmbeddedReberConfig(name="given"), random)
    _, first = np.unique(drawn.inputs, axis=0, return_index=True)
    chosen = np.sort(first)[: 3 * count].reshape(3, count)
    return {split: drawn[rows] for split, rows in zip(("train", "test", "validation"), chosen, strict=True)}


TASK = EmbeddedReber()
