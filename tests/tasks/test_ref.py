"""Task ids."""

import pytest

from seqhub.tasks.ref import TaskRef


@pytest.mark.parametrize(
    ("task", "chance"),
    [
        ("square/fixed", 0.5),
        ("adding/hs97-t100", None),
        ("file/text-class", None),  # its classes are in the file; one class of the task would be chance level 1
        ("sentiment/custom", None),
    ],
)
def test_chance_level(task: str, chance: float | None) -> None:
    assert TaskRef.parse(task).chance == chance
