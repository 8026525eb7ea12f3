"""Compression: repeat a sequence from the state after its last symbol.

Source: Poli et al. (2024), "Mechanistic Design and Scaling of Hybrid Architectures" (MAD), function
`generate_compression_instance`. A sequence is uniform noise over a, b, ..., then the compression symbol #. In MAD, a
decoder reconstructs each symbol from the representation at #. Here as many blanks follow, and the classes of these
steps are the symbols in order; other steps are ignored:

    >>> TASK.solve("ege#___")
    [None, None, None, None, 'e', 'g', 'e']

`mad` has 16 symbols, 15 of noise and the compression symbol #, and 32 steps with #. The code also scores the
reconstruction of #, which is constant and is not scored here. Its option for noise masks targets that it then does not
return, so it has no effect. The chance level is 1/15.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import MAD
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

NOISE = "abcdefghijklmno"
COMPRESS, BLANK = "#_"


@dataclass(frozen=True, kw_only=True)
class CompressionConfig(TaskConfig):
    """Sequences of one length."""

    def __post_init__(self) -> None:
        self.require(self.length[0] == self.length[1] >= 3 and self.length[0] % 2 == 1, "one odd length, at least 3")


class Compression(Task[CompressionConfig]):
    """Reconstruction of noise from one state."""

    name = "compression"
    version = 1
    title = "Compression: a sequence of noise, repeated after its end (MAD)"
    symbols = NOISE + COMPRESS + BLANK
    labels = tuple(NOISE)
    description = (
        "A sequence is uniform noise over fifteen symbols, then a #, then as many blanks. The classes of the blanks "
        "are the symbols of the noise in order. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test how many random symbols a model can store."
    source = MAD
    configs = (
        CompressionConfig(name="mad", length=(63, 63)),
        CompressionConfig(name="l64", length=(127, 127)),
    )

    def schema(self, config: CompressionConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: CompressionConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: CompressionConfig) -> Mapping[str, CompressionConfig]:
        lengths = {f"len{steps}": 2 * steps - 1 for steps in (64, 128, 256)}
        return {
            name: replace(config, name=name, length=(steps, steps))
            for name, steps in lengths.items()
            if steps > config.length[0]
        }

    def generate(self, config: CompressionConfig, random: BlockRandom) -> Batch:
        steps = config.length[0]
        count = steps // 2
        data = random.integers_2d(0, len(NOISE) - 1, count)
        characters = np.full((random.size, steps), ord(BLANK), np.uint8)
        characters[:, :count] = data + ord(NOISE[0])
        characters[:, count] = ord(COMPRESS)
        labels = np.full(characters.shape, NO_LABEL, np.int64)
        labels[:, count + 1 :] = data
        return Batch(characters, np.full(random.size, steps), labels)

    def solve(self, sequence: str) -> list[str | None]:
        data = sequence.partition(COMPRESS)[0]
        if not data or sequence != data + COMPRESS + BLANK * len(data) or set(data) - set(NOISE):
            form = f"noise over {NOISE}, then {COMPRESS}, then as many blanks {BLANK} as symbols"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid compression sequence: must be {form}")
        return [None] * (len(data) + 1) + list(data)


TASK = Compression()
