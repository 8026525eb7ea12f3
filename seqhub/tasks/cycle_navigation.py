"""Cycle navigation: the final position after moves on a ring of five positions.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "cycle navigation".
A sequence is a string of moves: `0` stays, `+` moves to the next position and `-` to the previous one. The start is
position 0; the class is the final position:

    >>> TASK.solve("+-0--"), TASK.solve("+++-")
    ('3', '2')

Sequences have 3 to 40 moves, as in xLSTM (Beck et al., 2024) and later papers, which test on 40 to 256 (`len40-256`).
Delétang et al. train on 1 to 40 and test on 41 to 500 (`len41-500`). Few sequences are short, so they occur in all
splits.

After few moves position 0 is more probable than the others, so the chance level is slightly above 1/5: 0.2035 in
training. Some papers average the accuracy of this task with tasks of two classes, whose chance level is 1/2; such
averages are difficult to interpret.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES, SOURCE, longer
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID

_POSITIONS = 5
_MOVES = {"0": 0, "+": 1, "-": -1}


@dataclass(frozen=True, kw_only=True)
class CycleNavigationConfig(TaskConfig):
    """Range of the number of moves."""

    def __post_init__(self) -> None:
        self.require(1 <= self.length[0] <= self.length[1], "1 <= shortest <= longest")


class CycleNavigation(Task[CycleNavigationConfig]):
    """Final position after moves on a ring."""

    name = "cycle_navigation"
    version = 1
    title = "Final position after moves on a ring of five"
    symbols = "0+-"
    labels = tuple(str(position) for position in range(_POSITIONS))
    description = (
        "A sequence is a string of uniform moves on a ring of five positions: 0 stays, + moves forward and - moves "
        "back. The class is the final position; the start is position 0."
    )
    limits = (
        "The data are synthetic. They test whether a model counts modulo five, and whether it does so in sequences "
        "that are longer than those in training. Short sequences occur in all splits."
    )
    source = SOURCE
    configs = (CycleNavigationConfig(name="ring5", length=(3, 40)),)

    def sizes(self, config: CycleNavigationConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: CycleNavigationConfig) -> bool:
        return config.length[0] < 7  # fewer than 1,000 strings of the shortest length

    def test_distributions(self, config: CycleNavigationConfig) -> Mapping[str, CycleNavigationConfig]:
        return longer(config)

    def chance(self, config: CycleNavigationConfig) -> float:
        at, shares = np.zeros(_POSITIONS), []
        at[0] = 1
        for moves in range(1, config.length[1] + 1):
            at = (at + np.roll(at, 1) + np.roll(at, -1)) / 3
            if moves >= config.length[0]:
                shares.append(at)
        return float(np.mean(shares, axis=0).max())

    def generate(self, config: CycleNavigationConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        moves = random.integers_2d(0, len(_MOVES) - 1, config.length[1])
        padded = np.arange(config.length[1]) >= lengths[:, None]
        characters = np.frombuffer("".join(_MOVES).encode(), np.uint8)[moves]
        characters[padded] = PAD_ID
        steps = np.array(list(_MOVES.values()))[moves]
        steps[padded] = 0
        return Batch(characters, lengths, steps.sum(axis=1) % _POSITIONS)

    def solve(self, sequence: str) -> str:
        if not sequence or set(sequence) - set(self.symbols):
            form = "one or more of 0, + and -"
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid cycle_navigation sequence: must be {form}")
        position = 0
        for move in sequence:
            position = (position + _MOVES[move]) % _POSITIONS
        return str(position)


TASK = CycleNavigation()
