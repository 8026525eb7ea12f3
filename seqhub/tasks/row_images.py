"""Handwritten digits read row by row: an image is a sequence, its rows the steps.

Source: Alpaydin & Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
(CC BY 4.0): the 1,797 images of its test part, 8 x 8 counts of ink from 0 to 16, as scikit-learn ships them. Reading
the rows of an image by a recurrent network follows Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent
Networks of Rectified Linear Units", who read MNIST pixel by pixel, and the many tutorials that read it row by row.

`digits8` has the images as they are, `digits28` the same at the size of MNIST: bilinear, pixel centres at
(i + 1/2) * 8 / 28. Values are shares of the most ink, 0 to 1. The rows are given, not drawn; eight tenths of each
digit are for training, chosen by a hash of the image, the same ones in both configs. Images of a Hub, like those of
MNIST, are `row_images/custom`.

    >>> image = TASK.rows(TASK.configs[1], "test").inputs[0]
    >>> image.shape, TASK.solve(image)
    ((28, 28), '7')

Chance level is about 1/10: the digits are almost equally frequent.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.schema import CUSTOM, Batch, FiniteDomain, TaskConfig, TaskSchema
from seqhub.tasks.splits import SPLITS, split_indices

_MOST_INK = 16
_SIDE = 8  # pixels of the images as they were published


@dataclass(frozen=True, kw_only=True)
class RowImagesConfig(TaskConfig):
    """Square images; `length` is their height."""

    pixels: int  # of a side

    def __post_init__(self) -> None:
        self.require(self.pixels >= _SIDE and self.length == (self.pixels, self.pixels), "length = pixels, 8 or more")


class RowImages(Task[RowImagesConfig]):
    """Ten classes of real images."""

    name = "row_images"
    version = 1
    title = "Handwritten digits read row by row"
    labels = tuple("0123456789")
    custom_format = "vectors"
    description = (
        "A sequence is the rows of an image of a handwritten digit, from top to bottom, each value the share of ink of "
        "one pixel. The label is the digit that was written."
    )
    license = "cc-by-4.0"
    limits = (
        "1,797 small images by 13 writers: good for comparing recurrent networks with each other, far too few and too "
        "easy to say how one would read digits in the wild."
    )
    source = """@misc{alpaydin1998optical,
  author       = {Alpaydin, Ethem and Kaynak, Cenk},
  title        = {Optical Recognition of Handwritten Digits},
  howpublished = {UCI Machine Learning Repository},
  year         = {1998},
  doi          = {10.24432/C50P49}
}"""
    configs = (
        RowImagesConfig(name="digits8", length=(8, 8), pixels=8),
        RowImagesConfig(name="digits28", length=(28, 28), pixels=28),
    )

    def schema(self, config: RowImagesConfig) -> TaskSchema:
        pixels = 1 if config is CUSTOM else config.pixels  # a file says its own
        return TaskSchema(step_shape=(pixels,), labels=self.labels)

    def rows(self, config: RowImagesConfig, split: str) -> Batch:
        return _rows(config.pixels, split)

    def solve(self, sequence: Any) -> str:
        """Look the image up: what was written is known, not computed."""
        values = np.asarray(sequence, dtype=np.float32)
        known = _known(values.shape[0]) if values.ndim == 2 and values.shape[0] == values.shape[1] >= _SIDE else {}
        if values.tobytes() not in known:
            raise InvalidInputError(f"values {values.shape} are no image of {self.name}")
        return self.labels[known[values.tobytes()]]


@cache
def _rows(pixels: int, split: str) -> Batch:
    images, labels = _published()
    inks = np.ascontiguousarray(images.reshape(len(images), -1))  # of both configs: the same images to each split
    whole = Batch(inks, np.full(len(inks), inks.shape[1]), labels)
    mine = np.flatnonzero(
        split_indices(FiniteDomain(whole, np.ones(len(whole), np.int64))) == list(SPLITS).index(split)
    )
    values = _resized(images[mine], pixels)
    return Batch(values, np.full(len(mine), pixels, np.int64), labels[mine])


@cache
def _published() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Ink (1797, 8, 8) and digits (1797,), each image once."""
    with (files("seqhub.tasks") / "files" / "digits.npz").open("rb") as file, np.load(file) as content:
        return content["images"], content["labels"].astype(np.int64)


@cache
def _known(pixels: int) -> dict[bytes, int]:
    rows = [_rows(pixels, split) for split in SPLITS]
    return {image.tobytes(): int(label) for part in rows for image, label in zip(part.inputs, part.labels, strict=True)}


def _resized(images: NDArray[np.uint8], pixels: int) -> NDArray[np.float32]:
    """Bilinear (N, pixels, pixels) of (N, 8, 8), in [0, 1].

    All in whole numbers, with one division at the end: the same values on every machine.
    """
    weights = np.zeros((pixels, _SIDE), dtype=np.int64)  # of each pixel, times 2 * pixels
    for pixel in range(pixels):
        place = (2 * pixel + 1) * _SIDE - pixels  # of its centre between the centres of the given pixels
        left, share = divmod(place, 2 * pixels)
        for source, weight in ((left, 2 * pixels - share), (left + 1, share)):
            weights[pixel, min(max(source, 0), _SIDE - 1)] += weight
    sums = np.einsum("pi,nij,qj->npq", weights, images.astype(np.int64), weights)
    shares: NDArray[np.float32] = (sums / (_MOST_INK * (2 * pixels) ** 2)).astype(np.float32)
    return shares


TASK = RowImages()
