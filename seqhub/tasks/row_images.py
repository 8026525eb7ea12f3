"""Handwritten digits as sequences of image rows.

Source: Alpaydin & Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
(CC BY 4.0): the 1,797 images of its test set, 8 x 8 pixel counts from 0 to 16, as included in scikit-learn. Reading the
rows of an image with a recurrent network follows Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent
Networks of Rectified Linear Units", who read MNIST pixel by pixel, and tutorials that read it row by row.

`digits8` has the original images, `digits28` the same images at the size of MNIST: bilinear interpolation, pixel
centres at (i + 1/2) * 8 / 28. Values are divided by 16, so they are from 0 to 1. The rows are fixed. Eight tenths of
each digit are for training, chosen by a hash of the image, the same images in both configs. `row_images/custom` takes
images of a Hub dataset such as MNIST.

    >>> image = TASK.rows(TASK.configs[1], "test").inputs[0]
    >>> image.shape, TASK.solve(image)
    ((28, 28), '7')

The chance level is about 1/10, because the digits are almost equally frequent.
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

_MAX_INK = 16
_SIDE = 8  # width and height of the published images


@dataclass(frozen=True, kw_only=True)
class RowImagesConfig(TaskConfig):
    """Square images; `length` is their height."""

    pixels: int  # width and height

    def __post_init__(self) -> None:
        self.require(self.pixels >= _SIDE and self.length == (self.pixels, self.pixels), "length = pixels, 8 or more")


class RowImages(Task[RowImagesConfig]):
    """Classification of handwritten digits."""

    name = "row_images"
    version = 1
    title = "Handwritten digits read row by row"
    labels = tuple("0123456789")
    custom_format = "vectors"
    description = (
        "A sequence consists of the rows of an image of a handwritten digit, from top to bottom. Each value is the "
        "intensity of a pixel, from 0 to 1. The label is the digit."
    )
    license = "cc-by-4.0"
    limits = (
        "1,797 small images by 13 writers: suitable for comparing recurrent networks with each other, but too few and "
        "too easy to estimate how well a network reads other handwriting."
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
        pixels = 1 if config is CUSTOM else config.pixels  # a file determines its own width
        return TaskSchema(step_shape=(pixels,), labels=self.labels)

    def rows(self, config: RowImagesConfig, split: str) -> Batch:
        return _rows(config.pixels, split)

    def solve(self, sequence: Any) -> str:
        """Return the digit of a published image, from a table."""
        values = np.asarray(sequence, dtype=np.float32)
        known = _known(values.shape[0]) if values.ndim == 2 and values.shape[0] == values.shape[1] >= _SIDE else {}
        if values.tobytes() not in known:
            raise InvalidInputError(f"values of shape {values.shape}: must be an image of {self.name}")
        return self.labels[known[values.tobytes()]]


@cache
def _rows(pixels: int, split: str) -> Batch:
    images, labels = _published()
    inks = np.ascontiguousarray(images.reshape(len(images), -1))  # not resized, so that configs have equal splits
    whole = Batch(inks, np.full(len(inks), inks.shape[1]), labels)
    members = np.flatnonzero(
        split_indices(FiniteDomain(whole, np.ones(len(whole), np.int64))) == list(SPLITS).index(split)
    )
    values = _resized(images[members], pixels)
    return Batch(values, np.full(len(members), pixels, np.int64), labels[members])


@cache
def _published() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the published images (1797, 8, 8) and digits (1797,)."""
    with (files("seqhub.tasks") / "files" / "digits.npz").open("rb") as file, np.load(file) as content:
        return content["images"], content["labels"].astype(np.int64)


@cache
def _known(pixels: int) -> dict[bytes, int]:
    rows = [_rows(pixels, split) for split in SPLITS]
    return {image.tobytes(): int(label) for part in rows for image, label in zip(part.inputs, part.labels, strict=True)}


def _resized(images: NDArray[np.uint8], pixels: int) -> NDArray[np.float32]:
    """Return images (N, 8, 8) resized to (N, pixels, pixels) by bilinear interpolation, in [0, 1].

    Computed with integers and one division at the end, so values are the same on every machine.
    """
    weights = np.zeros((pixels, _SIDE), dtype=np.int64)  # of each pixel, times 2 * pixels
    for pixel in range(pixels):
        place = (2 * pixel + 1) * _SIDE - pixels  # position of its centre relative to the published centres
        left, share = divmod(place, 2 * pixels)
        for source, weight in ((left, 2 * pixels - share), (left + 1, share)):
            weights[pixel, min(max(source, 0), _SIDE - 1)] += weight
    sums = np.einsum("pi,nij,qj->npq", weights, images.astype(np.int64), weights)
    shares: NDArray[np.float32] = (sums / (_MAX_INK * (2 * pixels) ** 2)).astype(np.float32)
    return shares


TASK = RowImages()
