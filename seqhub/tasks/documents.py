"""Long documents as the vectors of their chunks: which of two topics, planted among many others, comes first.

Source: Pappagari, Zelasko, Villalba, Carmiel & Dehak (2019), "Hierarchical Transformers for Long Document
Classification", ASRU, section 3: a document is cut into overlapping chunks, each chunk becomes one vector by an
encoder, and a recurrence reads the vectors (RoBERT). The documents here are drawn, so that what decides is known.

Ten topics have a vector of random signs each, the same for every document. A chunk is the vector of its topic with
normal noise of deviation 1/2 on every value, rounded to 32nds. One chunk of a document is on the topic `question`, one
on `answer`, each at a random place; the others are on the other eight. The label is which of the two comes first:

    >>> chunks = topic_vectors(64)
    >>> TASK.solve(chunks[[5, 0, 7, 7, 1, 2]])
    'question-first'

What stands in a document says nothing about its class, so whoever averages the chunks is right half of the time.
`width64` has 8 to 24 chunks, `width768`, as wide as the vectors of BERT, 4 to 12. Vectors of real texts, made by an
encoder, are `documents/custom`. Chance level is 1/2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom, philox_key
from seqhub.tasks.schema import CUSTOM, Batch, TaskConfig, TaskSchema

TOPICS = 10  # the first two are the planted ones
QUESTION, ANSWER = 0, 1
NOISE = 0.5  # deviation of each value

_GRID = 32  # values are multiples of 1 / 32: few different ones, which Parquet stores in a third of the space


@dataclass(frozen=True, kw_only=True)
class DocumentsConfig(TaskConfig):
    """How wide the vectors of the chunks are; `length` counts chunks."""

    width: int  # values

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1] < 2**16, "2 <= fewest <= most chunks, below 65,536")
        self.require(self.width >= 64, "width of 64 or more, so that no noise makes one topic of another")


class Documents(Task[DocumentsConfig]):
    """Two planted chunks and their order."""

    name = "documents"
    version = 1
    title = "Order of two planted topics among the chunk vectors of a document"
    labels = ("question-first", "answer-first")
    custom_format = "vectors"
    description = (
        "A sequence is a document: a vector for each of its chunks, which is that of one of ten topics with normal "
        "noise of deviation 0.5. The topics question and answer stand in every document, in one chunk each. The label "
        "says which of them comes first."
    )
    limits = (
        "The vectors are synthetic: topics as clear as these tell how well a network keeps the order of chunks, and "
        "nothing about real documents or encoders."
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
        width = 1 if config is CUSTOM else config.width  # a file says its own
        return TaskSchema(step_shape=(width,), labels=self.labels)

    def sizes(self, config: DocumentsConfig) -> Mapping[str, int]:
        return {"train": 4_096, "validation": 1_024, "test": 1_024}  # a row of width768 has some 25,000 bytes

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
        values = random.normal(longest * config.width).reshape(-1, longest, config.width)
        values *= np.float32(NOISE)
        values += topic_vectors(config.width)[topics]
        values *= np.float32(_GRID)
        np.rint(values, out=values)
        values *= np.float32(1 / _GRID)
        values[np.arange(longest) >= lengths[:, None]] = 0
        return Batch(values, lengths, labels)

    def solve(self, sequence: Any) -> str:
        topics = topics_of(sequence)
        planted = [topic for topic in topics if topic in (QUESTION, ANSWER)]
        if sorted(planted) != [QUESTION, ANSWER]:
            raise InvalidInputError(f"chunks on topics {topics}; a document has one of topic 0 and one of topic 1")
        return self.labels[planted[0] == ANSWER]


@cache
def topic_vectors(width: int) -> NDArray[np.float32]:
    """Signs (TOPICS, width), from a fixed key: the same in every split, at every seed."""
    words = np.random.Philox(key=philox_key({"topics": TOPICS, "width": width})).random_raw(-(-TOPICS * width // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: TOPICS * width]
    signs = bits.reshape(TOPICS, width).astype(np.float32) * 2 - 1
    signs.flags.writeable = False
    return signs


def topics_of(sequence: Any) -> list[int]:
    """The nearest topic of each chunk.

    Args:
        sequence: Chunk vectors (T, F).

    Raises:
        InvalidInputError: Of another shape, or of a width that no config has.
    """
    chunks = np.asarray(sequence, dtype=np.float32)
    widths = [config.width for config in TASK.configs]
    if chunks.ndim != 2 or chunks.shape[1] not in widths:
        raise InvalidInputError(f"chunks of shape {chunks.shape}; need (chunks, width), width one of {widths}")
    vectors = topic_vectors(chunks.shape[1])
    return [int(np.square(vectors - chunk).sum(axis=1).argmin()) for chunk in chunks]


TASK = Documents()
