"""Digit captions: images side by side, splits and errors."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.digit_captions import TASK
from seqhub.tasks.row_images import TASK as ROW_IMAGES
from seqhub.tasks.splits import SPLITS, Split
from tests.helpers.task_cases import assert_follows, first_examples

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.mark.parametrize("split", SPLITS)
def test_single_has_every_published_image_of_the_split(split: str) -> None:
    images, rows = ROW_IMAGES.rows(ROW_IMAGES.configs[0], split), Split("digit_captions/single", split)
    assert rows.size == len(images)
    for (pixels, target), image, label in zip(
        rows.examples(rows.blocks(0, 2)), images.inputs, images.labels, strict=True
    ):
        np.testing.assert_array_equal(pixels.T, image)  # columns of the image are steps
        assert target == NAMES[label]


@pytest.mark.parametrize("split", SPLITS)
def test_several_has_images_of_the_split_side_by_side(split: str) -> None:
    images = ROW_IMAGES.rows(ROW_IMAGES.configs[0], split)
    known = {image.tobytes(): NAMES[label] for image, label in zip(images.inputs, images.labels, strict=True)}
    counts = []
    for pixels, target in first_examples("digit_captions/several", split):
        parts = [np.ascontiguousarray(part.T).tobytes() for part in np.split(pixels, len(pixels) // 8)]
        assert " ".join(known[part] for part in parts) == target
        counts.append(len(parts))
    assert_follows(np.bincount(counts, minlength=5)[1:])


def test_models_are_tested_on_more_digits() -> None:
    rows = first_examples("digit_captions/several@digits5-8", "test")
    assert {len(target.split(" ")) for _, target in rows} == {5, 6, 7, 8}


@pytest.mark.parametrize("shape", [(0, 8), (7, 8), (8, 7), (64,), (12, 8)])
def test_images_of_another_size_are_errors(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="must be columns of 8 pixels, 8 for each digit"):
        TASK.solve(np.zeros(shape))


def test_unknown_images_are_errors() -> None:
    with pytest.raises(InvalidInputError, match="must be an image of row_images"):
        TASK.solve(np.full((8, 8), 0.5))
