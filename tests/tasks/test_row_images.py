"""Row images: digits of scikit-learn, splits, and bilinear interpolation."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from seqhub.cards.write import write_card
from seqhub.data.parquet import write_folder
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.row_images import TASK, RowImagesConfig
from seqhub.tasks.splits import SPLITS, Split
from tests.helpers.task_cases import first_rows

module = import_module("seqhub.tasks.row_images")


def interpolated(image: np.ndarray, pixels: int) -> np.ndarray:
    """Return an image resized by bilinear interpolation, pixel by pixel, as a reference."""
    side = len(image)
    result = np.empty((pixels, pixels))
    places = [min(max((pixel + 0.5) * side / pixels - 0.5, 0), side - 1) for pixel in range(pixels)]
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            top, left = min(int(y), side - 2), min(int(x), side - 2)
            down, right = y - top, x - left
            above = image[top, left] * (1 - right) + image[top, left + 1] * right
            below = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
            result[row, column] = above * (1 - down) + below * down
    return result


def test_large_images_are_interpolated_small_images() -> None:
    for split in SPLITS:
        small, large = (first_rows(f"row_images/{config.name}", split) for config in TASK.configs)
        assert len(small) == len(large)
        np.testing.assert_array_equal(small.labels, large.labels)
        for one, other in list(zip(small.inputs, large.inputs, strict=True))[:60]:
            np.testing.assert_allclose(other, interpolated(one, 28), atol=1e-6)


def test_interpolation_agrees_with_torch() -> None:
    import torch

    small, large = (first_rows(f"row_images/{config.name}", "test") for config in TASK.configs)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(small.inputs)[:, None], size=(28, 28), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(large.inputs, resized[:, 0].numpy(), atol=1e-5)


def test_values_are_multiples_of_a_sixteenth() -> None:
    small = first_rows("row_images/digits8", "train").inputs
    np.testing.assert_array_equal(np.unique(small), np.arange(17, dtype=np.float32) / 16)
    assert first_rows("row_images/digits28", "train").inputs.min() >= 0
    assert first_rows("row_images/digits28", "train").inputs.max() <= 1


def test_every_image_is_in_one_split_and_every_digit_in_each() -> None:
    parts = {split: first_rows("row_images/digits8", split) for split in SPLITS}
    assert {split: len(part) for split, part in parts.items()} == {"train": 1_438, "validation": 180, "test": 179}
    images, labels = module._published()
    assert len({image.tobytes() for image in images}) == len(images) == 1_797
    for digit in range(10):
        counts = [int((part.labels == digit).sum()) for part in parts.values()]
        assert sum(counts) == (labels == digit).sum()
        assert np.allclose(np.array(counts) / sum(counts), (0.8, 0.1, 0.1), atol=0.01)


def test_images_equal_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn, with the same images, is not installed")
    digits = datasets.load_digits()
    images, labels = module._published()
    np.testing.assert_array_equal(images, digits.images)
    np.testing.assert_array_equal(labels, digits.target)


def test_card_has_the_licence_of_the_images(tmp_path: Path) -> None:
    write_folder("row_images", tmp_path / "digits", configs=["digits8"])
    write_card(tmp_path / "digits")
    card = (tmp_path / "digits" / "README.md").read_text(encoding="utf-8")
    assert "\nlicense: cc-by-4.0\n" in card
    assert "Alpaydin" in card


def test_other_images_and_invalid_configs_are_errors() -> None:
    image = Split("row_images/digits28", "test")[0].inputs
    assert TASK.solve(image) in TASK.labels
    for wrong in (image[:27], image[:, :27], image + np.float32(1e-6), image[0], np.zeros((3, 3)), []):
        with pytest.raises(InvalidInputError, match=r"values of shape .*: must be an image of row_images"):
            TASK.solve(wrong)
    for length, pixels in (((28, 28), 27), ((7, 7), 7)):
        with pytest.raises(InvalidConfigError, match="8 or more"):
            RowImagesConfig(name="x", length=length, pixels=pixels)
