"""Handwritten digits as sequences of single pixels, in order or permuted.

Source: Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", who read
MNIST pixel by pixel, also after one fixed random permutation of the pixels. Here the images are the 1,797 digits of 8 x
8 pixels by Alpaydin & Kaynak (1998) that `row_images` reads, with the same splits, so a sequence has 64 steps instead
of 784, and its numbers are not comparable with those of MNIST.

`plain` reads the rows of an image from top to bottom, each from left to right. `permuted` reads the pixels of all
images in one other order, sorted by a hash of their place. Values are from 0 to 1.

    >>> pixels = TASK.rows(TASK.configs[0], "test").inputs[0]
    >>> pixels.shape, TASK.solve(pixels)
    ((64, 1), '7')

The chance level is about 1/10, because the digits are almost equally frequent.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.row_images import TASK as ROW_IMAGES
from seqhub.tasks.schema import Batch, IntRange, TaskConfig, TaskSchema

_PIXELS = 64
_IMAGES = ROW_IMAGES.configs[0]  # 8 x 8


@dataclass(frozen=True, kw_only=True)
class SequentialDigitsConfig(TaskConfig):
    """Order of the pixels."""

    length: IntRange = (_PIXELS, _PIXELS)
    permuted: bool

    def __post_init__(self) -> None:
        self.require(self.length == (_PIXELS, _PIXELS), f"length ({_PIXELS}, {_PIXELS})")


class SequentialDigits(Task[SequentialDigitsConfig]):
    """Classification of handwritten digits, pixel by pixel."""

    name = "sequential_digits"
    version = 1
    title = "Handwritten digits read pixel by pixel, in order or permuted"
    labels = ROW_IMAGES.labels
    description = (
        "A sequence consists of the 64 pixels of an image of a handwritten digit, row by row or in one fixed random "
        "order. Each value is the intensity of a pixel, from 0 to 1. The label is the digit."
    )
    license = ROW_IMAGES.license
    limits = ROW_IMAGES.limits
    source = ROW_IMAGES.source
    configs = (
        SequentialDigitsConfig(name="plain", permuted=False),
        SequentialDigitsConfig(name="permuted", permuted=True),
    )

    def schema(self, config: SequentialDigitsConfig) -> TaskSchema:
        return TaskSchema(step_shape=(1,), labels=self.labels)

    def rows(self, config: SequentialDigitsConfig, split: str) -> Batch:
        images = ROW_IMAGES.rows(_IMAGES, split)
        pixels = images.inputs.reshape(len(images), _PIXELS, 1)
        if config.permuted:
            pixels = pixels[:, permutation()]
        return Batch(pixels, np.full(len(images), _PIXELS, np.int64), images.labels)

    def solve(self, sequence: Any) -> str:
        """Return the digit of a published image, in either order."""
        pixels = np.asarray(sequence, dtype=np.float32)
        if pixels.shape == (_PIXELS, 1):
            restored = np.empty_like(pixels)
            restored[permutation()] = pixels
            for each in (pixels, restored):
                try:
                    return ROW_IMAGES.solve(each.reshape(8, 8))
                except InvalidInputError:
                    continue
        raise InvalidInputError(f"values of shape {pixels.shape}: must be the 64 pixels of an image of {self.name}")


@cache
def permutation() -> NDArray[np.int64]:
    """Return the pixel that is read at each step of `permuted`: (64,), sorted by SHA-256."""
    hashes = [hashlib.sha256(f"sequential_digits {pixel}".encode()).digest() for pixel in range(_PIXELS)]
    return np.array(sorted(range(_PIXELS), key=hashes.__getitem__))


TASK = SequentialDigits()
