"""Digits pixel by pixel: order of the pixels and splits."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.row_images import TASK as ROW_IMAGES
from seqhub.tasks.sequential_digits import TASK, permutation
from seqhub.tasks.splits import SPLITS


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_the_images_in_one_order(split):
    plain, permuted = (TASK.rows(config, split) for config in TASK.configs)
    images = ROW_IMAGES.rows(ROW_IMAGES.configs[0], split)
    np.testing.assert_array_equal(plain.inputs.reshape(-1, 8, 8), images.inputs)
    np.testing.assert_array_equal(permuted.inputs, plain.inputs[:, permutation()])
    np.testing.assert_array_equal(permuted.labels, plain.labels)


def test_the_order_is_a_permutation_far_from_the_plain_one():
    order = permutation()
    assert sorted(order.tolist()) == list(range(64))
    assert np.abs(np.diff(order)).mean() > 15  # 1 in rows; 65 / 3 is expected


@pytest.mark.parametrize("pixels", [np.zeros((64, 1)), np.zeros((8, 8)), np.zeros(64)])
def test_other_values_are_errors(pixels):
    with pytest.raises(InvalidInputError, match="must be the 64 pixels of an image"):
        TASK.solve(pixels)
