"""Dataset cards: the record of a build and its task in, Markdown out, with the metadata that `datasets` reads."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import DatasetCardData

from seqhub.cards.citations import bibliography
from seqhub.cards.rendering import NAMESPACE, fill, split_repo_id
from seqhub.records import DatasetRecord
from seqhub.tasks.base import Task
from seqhub.tasks.registry import resolve
from seqhub.tasks.rng import BLOCK_SIZE

_SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}  # rows below
_EXAMPLES = 5


def render(record: DatasetRecord, *, repo_id: str | None = None) -> str:
    """The README.md of a dataset folder: `datasets` loads the folder by what stands at its top.

    Args:
        record: What the build left. Sections for which it holds no data are left out.
        repo_id: Where the folder is, or will be, published; `seqhub/<task>` unless said otherwise.

    Raises:
        InvalidInputError: `repo_id` is not `namespace/name`.
        UnknownNameError: The record is of a task or config that does not exist.
    """
    repo_id = repo_id or f"{NAMESPACE}/{record.task}"
    split_repo_id(repo_id)
    configs = {name: resolve(f"{record.task}/{name}")[1] for name in record.configs}
    task = resolve(f"{record.task}/{next(iter(configs))}")[0]
    default = _default(task, list(configs))
    shown = next((name for name, facts in record.configs.items() if facts.get("examples")), None)
    return fill(
        "dataset_card",
        front_matter=_front_matter(record, task, default).to_yaml(),
        record=record,
        task=task,
        repo_id=repo_id,
        default=default,
        chance=task.chance(configs[default]),
        parameters={name: _parameters(config.parameters()) for name, config in configs.items()},
        splits=[
            (name, split, facts)
            for name, content in record.configs.items()
            for split, facts in content["splits"].items()
        ],
        overlaps=[
            (name, *pair.split("/"), shared)
            for name, content in record.configs.items()
            for pair, shared in content.get("overlap", {}).items()
        ],
        shown=shown,
        examples=record.configs[shown]["examples"][:_EXAMPLES] if shown else [],
        block_size=BLOCK_SIZE,
        bibliography=bibliography(task.source),
    )


def _default(task: Task[Any], names: list[str]) -> str:
    """The config that is loaded where none is named: the one of the paper if it is there, else the first."""
    return next((name for name in names if name in task.paper_sequences), names[0])


def _front_matter(record: DatasetRecord, task: Task[Any], default: str) -> DatasetCardData:
    """Metadata in the shape that `Dataset.push_to_hub` gives them."""
    rows = sum(facts["rows"] for content in record.configs.values() for facts in content["splits"].values())
    return DatasetCardData(
        pretty_name=task.title,
        license="apache-2.0",
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        source_datasets=["original"],
        task_categories=["text-classification"],
        size_categories=[next((name for name, limit in _SIZES.items() if rows < limit), "n>10M")],
        tags=["seqhub", "sequence-memory", "synthetic", task.name],
        configs=[
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"{name}/{split}-*"} for split in content["splits"]],
                **({"default": True} if name == default else {}),
            }
            for name, content in record.configs.items()
        ],
        dataset_info=[_info(name, content["splits"], task) for name, content in record.configs.items()],
    )


def _info(name: str, splits: Mapping[str, Mapping[str, Any]], task: Task[Any]) -> dict[str, Any]:
    names = {str(i): label for i, label in enumerate(task.labels)}
    sizes = {split: _loaded_size(facts) for split, facts in splits.items()}
    return {
        "config_name": name,
        "features": [
            {"name": "text", "dtype": "string"},
            {"name": "label", "dtype": {"class_label": {"names": names}}},
        ],
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": facts["rows"]} for split, facts in splits.items()
        ],
        "download_size": sum(facts["bytes"] for facts in splits.values()),
        "dataset_size": sum(sizes.values()),
    }


def _loaded_size(facts: Mapping[str, Any]) -> int:
    """Bytes of a split in memory, as `datasets` counts them: characters, and for each row an offset and a label."""
    rows: int = facts["rows"]
    characters: float = rows * facts["mean_length"]
    return round(characters) + (4 + 8) * rows


def _parameters(values: Mapping[str, object]) -> dict[str, str]:
    """Parameters of a config as text: ranges as `low to high`."""
    return {
        name: f"{value[0]} to {value[1]}" if isinstance(value, tuple) and len(value) == 2 else str(value)
        for name, value in values.items()
    }
