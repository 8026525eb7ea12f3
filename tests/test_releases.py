"""Released datasets: every task has one."""

from pathlib import Path

from seqhub.tasks.registry import list_tasks

RECORDS = Path(__file__).parent.parent / "dataset_scripts" / "cards"


def test_every_task_is_released() -> None:
    assert sorted(path.stem for path in RECORDS.glob("*.json")) == sorted(list_tasks())
