"""Handwritten digits side by side, to be named in words.

Source: Vinyals, Toshev, Bengio & Erhan (2015), "Show and Tell: A Neural Image Caption Generator", which describes an
image by a sequence of words of any length. Here the images are the 1,797 digits of 8 x 8 pixels by Alpaydin & Kaynak
(1998) that `row_images` reads, with the same splits.

    >>> pixels = TASK.rows(TASK.configs[0], "test").inputs[0]
    >>> pixels.shape, TASK.solve(pixels)
    ((8, 8), 'seven')

A step is a column of 8 pixels, from left to right, with values from 0 to 1. `single` has one digit and all published
images once. `several` has 1 to 4 digits side by side, sampled from the images of its split, so every text of digits can
occur in every split, but no image in two. The test distribution `digits5-8` has more digits than in training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.number_words import in_words
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.row_images import TASK as ROW_IMAGES
from seqhub.tasks.schema import NO_LABEL, Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

_PIXELS = 8
_IMAGES = ROW_IMAGES.configs[0]  # 8 x 8
_MAX_DIGITS = 8
_NAMES = tuple(map(in_words, range(10)))
_WORDS = Vocabulary(_NAMES, " ", "digit_captions")


@dataclass(frozen=True, kw_only=True)
class DigitCaptionsConfig(TaskConfig):
    """Range of the number of digits; `fixed_rows` has every published image once."""

    digits: IntRange
    fixed_rows: bool

    def __post_init__(self) -> None:
        self.require(1 <= self.digits[0] <= self.digits[1] <= _MAX_DIGITS, f"1 to {_MAX_DIGITS} digits")
        self.require(self.length == (_PIXELS * self.digits[0], _PIXELS * self.digits[1]), "a length of 8 * digits")
        self.require(not self.fixed_rows or self.digits == (1, 1), "one digit for fixed rows")


def _config(name: str, digits: IntRange, *, fixed_rows: bool = False) -> DigitCaptionsConfig:
    length = (_PIXELS * digits[0], _PIXELS * digits[1])
    return DigitCaptionsConfig(name=name, length=length, digits=digits, fixed_rows=fixed_rows)


class DigitCaptions(Task[DigitCaptionsConfig]):
    """Captions of images with handwritten digits."""

    name = "digit_captions"
    version = 1
    title = "Handwritten digits side by side, named in words"
    description = (
        "A sequence consists of the columns of an image with one or more handwritten digits side by side, from left to "
        "right. Each value is the intensity of a pixel, from 0 to 1. The target has the English name of each digit."
    )
    license = ROW_IMAGES.license
    limits = ROW_IMAGES.limits
    source = ROW_IMAGES.source
    configs = (_config("single", (1, 1), fixed_rows=True), _config("several", (1, 4)))

    def schema(self, config: DigitCaptionsConfig) -> TaskSchema:
        return TaskSchema(step_shape=(_PIXELS,), target="sequence", target_vocabulary=_WORDS, max_target=_MAX_DIGITS)

    def sizes(self, config: DigitCaptionsConfig) -> Mapping[str, int]:
        return {"train": 20_000, "validation": 2_000, "test": 2_000}

    def test_distributions(self, config: DigitCaptionsConfig) -> Mapping[str, DigitCaptionsConfig]:
        return {} if config.fixed_rows else {"digits5-8": _config("digits5-8", (5, _MAX_DIGITS))}

    def rows(self, config: DigitCaptionsConfig, split: str) -> Batch | None:
        if not config.fixed_rows:
            return None
        images = ROW_IMAGES.rows(_IMAGES, split)
        columns = np.ascontiguousarray(images.inputs.transpose(0, 2, 1))
        return Batch(columns, images.lengths, images.labels[:, None] + 1)

    def generate(self, config: DigitCaptionsConfig, random: BlockRandom) -> Batch:
        images = ROW_IMAGES.rows(_IMAGES, random.split)
        counts = random.integers(*config.digits)
        chosen = random.integers_2d(0, len(images) - 1, config.digits[1])
        absent = np.arange(config.digits[1]) >= counts[:, None]
        columns = images.inputs.transpose(0, 2, 1)[chosen]  # (N, digits, columns, pixels)
        columns[absent] = 0
        labels = images.labels[chosen] + 1
        labels[absent] = NO_LABEL
        return Batch(columns.reshape(len(chosen), -1, _PIXELS), counts * _PIXELS, labels)

    def solve(self, sequence: Any) -> str:
        """Return the names of the digits of published images, from a table."""
        columns: NDArray[np.float32] = np.asarray(sequence, dtype=np.float32)
        if columns.ndim != 2 or columns.shape[1] != _PIXELS or not len(columns) or len(columns) % _PIXELS:
            raise InvalidInputError(
                f"values of shape {columns.shape}: must be columns of {_PIXELS} pixels, {_PIXELS} for each digit"
            )
        images = columns.reshape(-1, _PIXELS, _PIXELS).transpose(0, 2, 1)
        return " ".join(in_words(int(ROW_IMAGES.solve(np.ascontiguousarray(image)))) for image in images)


TASK = DigitCaptions()
