"""Echo: predict at every step the symbol of some steps before.

Source: the course "NYU Deep Learning" (Canziani & LeCun, 2020), notebook 09 and its generator `EchoData`.
A sequence is noise over {0, 1}; the class of a step is the symbol `echo_step` steps before it:

    >>> TASK.solve("1011001", echo_step=3)
    [None, None, None, '1', '0', '1', '1']

The first `echo_step` steps have no echo. The course gives them class 0, which the input does not determine; here they
are ignored in the loss and in the accuracy.

The course divides one row of 40,000 steps into truncated BPTT segments and carries the state from each to the next. A
sequence here has 200 steps, enough for twenty segments of ten, or in `step3-ragged` 20 to 200. The length of the
segments is a setting of the training (`chunk_steps`), not of the data. The chance level is 1/2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task, longer
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID

_ZERO = ord("0")


@dataclass(frozen=True, kw_only=True)
class EchoConfig(TaskConfig):
    """Constant delay of the echo."""

    echo_step: int  # steps between a symbol and its echo

    def __post_init__(self) -> None:
        self.require(1 <= self.echo_step < self.length[0] <= self.length[1], "1 <= echo_step < shortest <= longest")


class Echo(Task[EchoConfig]):
    """Echo of binary noise some steps later."""

    name = "echo"
    version = 1
    title = "Echo of a binary signal some steps later, at every step"
    symbols = "01"
    labels = ("0", "1")
    description = (
        "A sequence is uniform noise over 0 and 1. The class of each step is the symbol `echo_step` steps before it. "
        "The first `echo_step` steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test whether a model keeps the most recent symbols in order at every step."
    source = """@misc{canziani2020nyu,
  author = {Canziani, Alfredo and LeCun, Yann},
  title  = {{NYU} Deep Learning, {DS-GA} 1008, notebook 09: signal echoing},
  year   = {2020},
  url    = {https://github.com/Atcold/NYU-DLSP20}
}"""
    configs = (
        EchoConfig(name="step1", length=(200, 200), echo_step=1),
        EchoConfig(name="step3", length=(200, 200), echo_step=3),
        EchoConfig(name="step10", length=(200, 200), echo_step=10),
        EchoConfig(name="step3-ragged", length=(20, 200), echo_step=3),
    )

    def schema(self, config: EchoConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: EchoConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}  # of 200 labels each

    def test_distributions(self, config: EchoConfig) -> Mapping[str, EchoConfig]:
        return longer(config, 2, 5)

    def generate(self, config: EchoConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        longest = config.length[1]
        words = random.uint16(-(-longest // 16))
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :longest]
        labels = np.empty(bits.shape, np.int64)
        labels[:, : config.echo_step] = NO_LABEL
        labels[:, config.echo_step :] = bits[:, : -config.echo_step]
        characters = bits + np.uint8(_ZERO)
        if config.length[0] < longest:
            padded = np.arange(longest) >= lengths[:, None]
            characters[padded], labels[padded] = PAD_ID, NO_LABEL
        return Batch(characters, lengths, labels)

    def solve(self, sequence: str, echo_step: int = 3) -> list[str | None]:
        if not sequence or set(sequence) - set(self.symbols):
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid echo sequence: must be one or more of 0 and 1")
        return [None if step < echo_step else sequence[step - echo_step] for step in range(len(sequence))]

    def solve_batch(self, sequences: Sequence[Any], config: EchoConfig | None = None) -> list[Any]:
        echo_step = 3 if config is None else config.echo_step
        return [self.solve(sequence, echo_step) for sequence in sequences]


TASK = Echo()
