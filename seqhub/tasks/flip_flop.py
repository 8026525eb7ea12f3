"""Flip-flop language: the last bit written, at every read.

Source: Liu et al. (2023), "Exposing Attention Glitches with Flip-Flop Language Modeling". A sequence consists of pairs
of an instruction and a bit. w writes the bit, i ignores it, r reads: its bit is the last one written. The first
instruction is w, the last is r. Ignored and written bits are random. The class at each r is the bit that follows, so
only these steps are scored:

    >>> TASK.solve("w1i0r1i1w0r0")
    [None, None, None, None, '1', None, None, None, None, None, '0', None]

Between the first and the last, an instruction is i with probability `ignore`, and w or r with half of the rest each.
`ffl80` is FFL(0.8) with 512 symbols, the training distribution of the paper; its test distributions are FFL(0.98)
(`sparse`), FFL(0.1) (`dense`), and longer sequences. Some repositories use the name for a task with several variables,
and grading of all bits instead of the read ones hides the errors. Models must be causal, because the bits that are read
are in the text, after their steps. The chance level is 1/2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import other_lengths
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

WRITE, READ, IGNORE = "wri"


@dataclass(frozen=True, kw_only=True)
class FlipFlopConfig(TaskConfig):
    """Sequences of one length with one probability of `i`."""

    ignore: float

    def __post_init__(self) -> None:
        self.require(
            self.length[0] == self.length[1] >= 4 and self.length[0] % 2 == 0 and 0 <= self.ignore < 1,
            "one even length of at least 4 and 0 <= ignore < 1",
        )


class FlipFlop(Task[FlipFlopConfig]):
    """Reading of the last written bit."""

    name = "flip_flop"
    version = 1
    title = "Flip-flop language: the last bit written, at every read"
    symbols = WRITE + READ + IGNORE + "01"
    marked = WRITE + READ
    labels = ("0", "1")
    description = (
        "A sequence consists of pairs of an instruction and a bit: w writes the bit, i ignores it, and r reads the "
        "last bit written. The class at each r is that bit. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test whether a model keeps one bit reliably at any distance."
    source = """@article{liu2023exposing,
  author = {Liu, Bingbin and others},
  title  = {Exposing Attention Glitches with Flip-Flop Language Modeling},
  year   = {2023}
}"""
    configs = (FlipFlopConfig(name="ffl80", length=(512, 512), ignore=0.8),)

    def schema(self, config: FlipFlopConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: FlipFlopConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: FlipFlopConfig) -> Mapping[str, FlipFlopConfig]:
        return {
            "sparse": replace(config, name="sparse", ignore=0.98),
            "dense": replace(config, name="dense", ignore=0.1),
            **other_lengths(config, 1024, 4096),
        }

    def generate(self, config: FlipFlopConfig, random: BlockRandom) -> Batch:
        pairs = config.length[0] // 2
        chance = random.uniform(pairs)
        bits = (random.uint16(-(-pairs // 4) * 4)[:, :pairs] & 1).astype(np.uint8)
        write = chance < (1 - config.ignore) / 2
        read = ~write & (chance < 1 - config.ignore)
        write[:, 0], read[:, 0] = True, False
        write[:, -1], read[:, -1] = False, True
        last = np.maximum.accumulate(np.where(write, np.arange(pairs), 0), axis=1)
        bits = np.where(read, np.take_along_axis(bits, last, axis=1), bits)
        characters = np.empty((random.size, pairs, 2), np.uint8)
        characters[:, :, 0] = np.select([write, read], [ord(WRITE), ord(READ)], ord(IGNORE))
        characters[:, :, 1] = bits + ord("0")
        labels = np.full(characters.shape, NO_LABEL, np.int64)
        labels[:, :, 0] = np.where(read, bits.astype(np.int64), NO_LABEL)
        lengths = np.full(random.size, 2 * pairs)
        return Batch(characters.reshape(random.size, -1), lengths, labels.reshape(random.size, -1))

    def solve(self, sequence: str) -> list[str | None]:
        memory, targets = "", list[str | None]()
        for instruction, bit in zip(sequence[::2], sequence[1::2], strict=False):
            if instruction == WRITE:
                memory = bit
            valid = bit in self.labels and instruction in WRITE + READ + IGNORE and memory
            if not valid or (instruction == READ and bit != memory):
                targets = []
                break
            targets += [memory if instruction == READ else None, None]
        if not targets or len(targets) != len(sequence) or sequence[-2] != READ:
            form = "pairs of w, i or r and a bit, w first and r last, with the last written bit after r"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid flip_flop sequence: must be {form}")
        return targets


TASK = FlipFlop()
