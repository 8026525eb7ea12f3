"""Long documents as sequences of chunk vectors: the order of two topics among others.

Source: Pappagari, Zelasko, Villalba, Carmiel & Dehak (2019), "Hierarchical Transformers for Long Document
Classification", ASRU, section 3: a document is divided into overlapping chunks, an encoder computes one vector for each
chunk, and a recurrence reads the vectors (RoBERT). The documents here are synthetic, so their label is known exactly.

Each of ten topics has a vector of random signs, the same in all documents. A chunk is the vector of its topic plus
normal noise of standard deviation 1/2, rounded to multiples of 1/32. One chunk of a document has the topic `question`
and one has `answer`, at random positions; the others have the other eight topics. The label is the topic that comes
first:

    >>> chunks = topic_vectors(64)
    >>> TASK.solve(chunks[[5, 0, 7, 7, 1, 2]])
    'question-first'

Only the order of the chunks depends on the class, so a model that averages them stays at the chance level, 1/2.
`width64` has 8 to 24 chunks; `width768` has the width of BERT and 4 to 12 chunks. `documents/custom` takes vectors of
real texts from an encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom, philox_key, quantiles
from seqhub.tasks.schema import CUSTOM, Batch, TaskConfig, TaskSchema

TOPICS = 10  # the first two are the planted ones
QUESTION, ANSWER = 0, 1
NOISE = 0.5  # standard deviation of each value

_VALUES_AT_ONCE = 1 << 16  # so that they stay in the cache
_GRID = 32  # values are multiples of 1 / 32: Parquet needs a third of the space for few different values


@dataclass(frozen=True, kw_only=True)
class DocumentsConfig(TaskConfig):
    """Width of the chunk vectors; `length` is the number of chunks."""

    width: int  # values of a vector

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1] < 2**16, "2 <= fewest <= most chunks, below 65,536")
        self.require(self.width >= 64, "width >= 64, so that noise does not change the nearest topic")


class Documents(Task[DocumentsConfig]):
    """Order of two topics in a sequence of chunk vectors."""

    name = "documents"
    version = 1
    title = "Order of two topics in the chunk vectors of a document"
    labels = ("question-first", "answer-first")
    custom_format = "vectors"
    description = (
        "A sequence is a document, with one vector for each chunk: the vector of one of ten topics plus normal noise "
        "of standard deviation 0.5. Every document has one chunk with the topic question and one with the topic "
        "answer. The label is the one that comes first."
    )
    limits = (
        "The vectors are synthetic, with clearly distinct topics. They test how well a network remembers the order of "
        "chunks, and nothing about real documents or encoders."
    )
    source = """@inproceedings{pappagari2019hierarchical,
  author    = {Pappagari, Raghavendra and Zelasko, Piotr and Villalba, Jesus and Carmiel, Yishay and Dehak, Najim},
  title     = {Hierarchical Transformers for Long Document Classification},
  booktitle = {IEEE Automatic Speech Recognition and Understanding Workshop (ASRU)},
  pages     = {838--844},
  year      = {2019}
}"""
    configs = (
        DocumentsConfig(name="width64", length=(8, 24), width=64),
        DocumentsConfig(name="width768", length=(4, 12), width=768),
    )

    def schema(self, config: DocumentsConfig) -> TaskSchema:
        width = 1 if config is CUSTOM else config.width  # a file determines its own width
        return TaskSchema(step_shape=(width,), labels=self.labels)

    def sizes(self, config: DocumentsConfig) -> Mapping[str, int]:
        return {"train": 4_096, "validation": 1_024, "test": 1_024}  # a row of width768 has about 25,000 bytes

    def generate(self, config: DocumentsConfig, random: BlockRandom) -> Batch:
        longest = config.length[1]
        lengths = random.integers(*config.length)
        labels = random.integers(0, 1)
        topics = random.integers_2d(2, TOPICS - 1, longest)
        draws = random.uint16(2).astype(np.int64)
        one = draws[:, 0] * lengths >> 16
        other = (one + 1 + (draws[:, 1] * (lengths - 1) >> 16)) % lengths
        rows = np.arange(random.size)
        topics[rows, np.minimum(one, other)] = np.where(labels == 0, QUESTION, ANSWER)
        topics[rows, np.maximum(one, other)] = np.where(labels == 0, ANSWER, QUESTION)
        words = random.uint16(longest * config.width).reshape(-1, config.width)
        values = np.zeros(words.shape, dtype=np.float32)
        chunk = np.dtype((np.void, values.itemsize * config.width))  # copied as one item, which is faster
        real = np.flatnonzero(np.arange(longest) < lengths[:, None])  # the others are padding
        topics, chunks = topics.ravel(), _VALUES_AT_ONCE // config.width
        vectors_of = topic_vectors(config.width) * np.float32(_GRID)
        for first in range(0, len(real), chunks):
            part = real[first : first + chunks]
            vectors = np.take(_noise(), np.take(words, part, axis=0), mode="clip")  # never clips; avoids a copy
            vectors += vectors_of[topics[part]]
            np.rint(vectors, out=vectors)
            vectors *= np.float32(1 / _GRID)
            values.view(chunk)[part] = vectors.view(chunk)
        return Batch(values.reshape(-1, longest, config.width), lengths, labels)

    def solve(self, sequence: Any) -> str:
        topics = topics_of(sequence)
        planted = [topic for topic in topics if topic in (QUESTION, ANSWER)]
        if sorted(planted) != [QUESTION, ANSWER]:
            raise InvalidInputError(f"chunks with topics {topics}: topics 0 and 1 must occur once each")
        return self.labels[planted[0] == ANSWER]


@cache
def _noise() -> NDArray[np.float32]:
    """Return the noise of each 16-bit word in units of the grid: (65536,)."""
    return quantiles() * np.float32(NOISE * _GRID)


@cache
def topic_vectors(width: int) -> NDArray[np.float32]:
    """Return random signs (TOPICS, width) from a fixed key, equal for all splits and seeds."""
    words = np.random.Philox(key=philox_key({"topics": TOPICS, "width": width})).random_raw(-(-TOPICS * width // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: TOPICS * width]
    signs = bits.reshape(TOPICS, width).astype(np.float32) * 2 - 1
    signs.flags.writeable = False
    return signs


def topics_of(sequence: Any) -> list[int]:
    """Return the nearest topic of each chunk.

    Args:
        sequence: Chunk vectors (T, F).

    Raises:
        InvalidInputError: Another shape, or a width that no config has.
    """
    chunks = np.asarray(sequence, dtype=np.float32)
    widths = [config.width for config in TASK.configs]
    if chunks.ndim != 2 or chunks.shape[1] not in widths:
        raise InvalidInputError(f"chunks of shape {chunks.shape}: must be (chunks, width) with a width of {widths}")
    vectors = topic_vectors(chunks.shape[1])
    return [int(np.square(vectors - chunk).sum(axis=1).argmin()) for chunk in chunks]


TASK = Documents()
