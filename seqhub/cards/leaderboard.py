"""The table of released runs, grouped by task id, fewest training sequences to the criterion first."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqhub.cards import text
from seqhub.cards.rendering import fill
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import list_tasks

_FIRST = ("paper", "st3")  # the criterion of the task's paper comes first; others follow by name


def render(records: Sequence[RunRecord], *, folder: str = "") -> str:
    """Return the leaderboard as Markdown, with links to a folder with one subfolder for each run.

    Args:
        records: In any order; the page does not depend on it.
        folder: Path of the folder, relative to the page; empty for the folder of the page.

    Raises:
        UnknownNameError: A record is of a task or config that does not exist.
    """
    groups: list[Mapping[str, Any]] = []
    for ref in sorted({record.task for record in records}, key=_rank):
        members = [record for record in records if record.task == ref]
        task, config = ref.definition, ref.config
        paper = config.name in task.paper_sequences
        criteria = sorted(  # without criteria that neither a run of the task met nor its paper used
            {name for record in members for name, met in record.criteria.items() if met or paper or name not in _FIRST},
            key=lambda name: (*(name != each for each in _FIRST), name),
        )
        groups.append(
            {
                "task": str(ref),
                "criteria": criteria,
                "records": sorted(members, key=lambda record: _order(record, criteria)),
                "schema": ref.schema,
                "chance": task.chance(config),
                "rule": next((name for name in _FIRST if name in criteria), _FIRST[-1]),
                "paper_sequences": task.paper_sequences.get(config.name),
            }
        )
    return fill("leaderboard", groups=groups, links=f"{folder}/" if folder else "", say=text)


def _rank(ref: TaskRef) -> tuple[int, int]:
    """Return the sort key of a task id: tasks by name, configs in the order of their task file, `custom` last.

    Rows of files follow all tasks.
    """
    configs, names = ref.definition.configs, list_tasks()
    place = names.index(ref.name) if ref.name in names else len(names)
    return place, configs.index(ref.config) if ref.config in configs else len(configs)


def _order(record: RunRecord, criteria: Sequence[str]) -> tuple[Any, ...]:
    """Return the sort key of a run: sequences to each criterion, criteria not met last; then name and seed."""
    met = (record.criteria.get(name) for name in criteria)
    return *(float("inf") if at is None else at for at in met), record.name, record.seed or 0
