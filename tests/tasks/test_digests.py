"""Digests of the first rows of every config, which change only with the version of the task.

They are in tests/data/digests.json. Update them for a new task or config, or after increasing a version because rows
have to change:

    python -m tests.tasks.test_digests
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from seqhub.data.arrow import rows_table
from seqhub.data.digest import digest
from seqhub.tasks.registry import builtin_tasks, get_task
from seqhub.tasks.splits import SPLITS, Split

FILE = Path(__file__).parent.parent / "data" / "digests.json"
ROWS = 2048


def measured(task: str) -> dict[str, Any]:
    """Return the version of a task, and the digest of the first rows of each split of each config at seed 0."""
    configs = [config.name for config in get_task(task).configs]
    splits = {config: [Split(f"{task}/{config}", split) for split in SPLITS] for config in configs}
    return {
        "version": get_task(task).version,
        "configs": {
            config: {rows.name: digest(rows_table(rows, 0, min(ROWS, rows.size or ROWS))) for rows in splits[config]}
            for config in configs
        },
    }


def changed(pinned: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the splits with changed rows and an unchanged version."""
    if pinned["version"] != now["version"]:
        return []
    return [
        f"{config}/{split}"
        for config, splits in pinned["configs"].items()
        for split, digest in splits.items()
        if now["configs"].get(config, {}).get(split) != digest
    ]


def pin(file: Path, tasks: list[str]) -> list[str]:
    """Write the digests of tasks, unless rows changed without their version; return the changed splits."""
    pinned = json.loads(file.read_text()) if file.exists() else {}
    now = {task: measured(task) for task in tasks}
    wrong = [f"{task}/{part}" for task in pinned if task in now for part in changed(pinned[task], now[task])]
    if not wrong:
        file.write_text(json.dumps(now, indent=2) + "\n")
    return wrong


PINNED = json.loads(FILE.read_text())


@pytest.mark.parametrize("task", PINNED)
def test_rows_agree_with_the_pinned_digests(task):
    now = measured(task)
    assert changed(PINNED[task], now) == [], "rows changed: increase the version of the task, or undo the change"
    assert PINNED[task] == now, "new version or config: pin its digests (see the top of this file)"


def test_every_released_task_is_pinned():
    """The rows of a task that is not released may still change."""
    released = {path.stem for path in (FILE.parents[2] / "dataset_scripts" / "cards").glob("*.json")}
    assert released <= set(PINNED) <= set(builtin_tasks())


def test_changed_rows_are_pinned_only_under_a_new_version(tmp_path):
    file, tasks = tmp_path / "digests.json", ["echo", "qrsu"]
    assert pin(file, tasks) == []
    good = file.read_text()
    pinned = json.loads(good)
    pinned["qrsu"]["configs"]["hard"]["test"] = "0" * 64
    file.write_text(json.dumps(pinned))
    assert pin(file, tasks) == ["qrsu/hard/test"]
    assert json.loads(file.read_text()) == pinned
    pinned["qrsu"]["version"] = 0
    file.write_text(json.dumps(pinned))
    assert pin(file, tasks) == []
    assert file.read_text() == good


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    wrong = pin(FILE, list(builtin_tasks()))
    sys.exit(
        f"rows changed under the same version: {', '.join(wrong)}; increase the version of the task first"
        if wrong
        else 0
    )
