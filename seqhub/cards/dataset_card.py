"""Dataset cards, rendered from the record of a build, with the metadata that `datasets` reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from seqhub.cards import text
from seqhub.cards.citations import bibliography
from seqhub.cards.rendering import count, fill, place
from seqhub.records import DatasetRecord
from seqhub.tasks.base import Task
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import Split

_SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}  # rows below
_EXAMPLES = 5
_NUMBERS = ("least", "mean", "largest")


def render(record: DatasetRecord, *, repo_id: str | None = None, folder: str | None = None) -> str:
    """Return the README.md of a dataset folder; `datasets` loads the folder by its metadata.

    Args:
        record: Record of the build. Sections that it has no data for are omitted.
        repo_id: Repository that the folder is or will be published as; None for a card that is read in the folder.
        folder: Path of the folder, relative to where the code on the card is run; default `./<task>`.

    Raises:
        InvalidInputError: `repo_id` is not `namespace/name`.
        UnknownNameError: The record is of a task or config that does not exist.
    """
    where = place(repo_id, folder, record.task)
    refs = {name: TaskRef.parse(f"{record.task}/{name}") for name in record.configs}
    configs = {name: ref.config for name, ref in refs.items()}
    task = next(iter(refs.values())).definition
    default = _default(task, list(configs))
    schemas = {name: task.schema(config) for name, config in configs.items()}
    fixed = [name for name in configs if Split(refs[name]).size is not None]
    shown = next((name for name, facts in record.configs.items() if facts.get("examples")), None)
    return fill(
        "dataset_card",
        front_matter=_front_matter(record, task, default, schemas, fixed).to_yaml(),
        record=record,
        task=task,
        where=where,
        same_rows=_same_rows(record, default, default in fixed),
        default=default,
        say=text,
        schema=schemas[default],
        inputs_are=text.inputs_are(task, schemas),
        columns_are=_columns_are(schemas),
        columns=_columns(schemas),
        cells=lambda facts: _cells(facts, schemas),
        fixed=fixed,
        generated=[name for name in configs if name not in fixed],
        chance=task.chance(configs[default]),
        constants={
            name: (constant, schemas[name].tolerance)
            for name, config in configs.items()
            if (constant := task.constant_baseline(config)) is not None
        },
        guessing=record.guessing,
        guesses={name: _guesses(facts) for name, facts in record.guessing.items()},
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
    """Return the config that is loaded if none is named: the one of the paper if there is one, else the first."""
    return next((name for name in names if name in task.paper_sequences), names[0])


def _same_rows(record: DatasetRecord, config: str, fixed: bool) -> str:
    """Return further arguments of `seqhub.load_dataset` that reproduce the test rows of a config."""
    arguments = {"seed": record.seed} if record.seed else {}
    if "test" in record.configs[config]["splits"]:
        arguments["test_size"] = record.configs[config]["splits"]["test"]["rows"]
    if fixed:
        arguments = {}
    return "".join(f", {name}={value}" for name, value in arguments.items())


def _labels(schemas: Mapping[str, TaskSchema]) -> tuple[str, ...]:
    """Return the classes of all configs, each once; without those of configs with too many to list."""
    return tuple(dict.fromkeys(label for schema in schemas.values() if schema.lists_classes for label in schema.labels))


def _columns_are(schemas: Mapping[str, TaskSchema]) -> str:
    """Return a sentence on the columns to the right of the number of rows."""
    targets = {schema.target for schema in schemas.values()}
    counts = [
        f"count the {what} of each class"
        for target, what in (("class", "rows"), ("step_class", "steps"))
        if target in targets
    ]
    numbers = ["are the least, the mean and the largest target"] if "number" in targets else []
    columns = ", or ".join(counts + numbers)
    return f"The columns on the right {columns}." if columns else ""


def _columns(schemas: Mapping[str, TaskSchema]) -> tuple[str, ...]:
    """Return the headings of these columns."""
    return (*_labels(schemas), *(_NUMBERS if any(schema.target == "number" for schema in schemas.values()) else ()))


def _cells(facts: Mapping[str, Any], schemas: Mapping[str, TaskSchema]) -> list[str]:
    """Return the cells of these columns for one split; empty where a config has no such value."""
    counts = [count(facts["labels"].get(label, 0)) if facts["labels"] else "" for label in _labels(schemas)]
    if not any(schema.target == "number" for schema in schemas.values()):
        return counts
    return [*counts, *(f"{number:.3f}" for number in facts["numbers"])] if "numbers" in facts else [*counts, "", "", ""]


def _guesses(facts: Mapping[str, Any]) -> list[str]:
    """Return the number of guesses until a network met the criterion, for each seed."""
    return [f"none in {count(facts['trials'])}" if tried is None else count(tried) for tried in facts["guesses"]]


def _front_matter(
    record: DatasetRecord, task: Task[Any], default: str, schemas: Mapping[str, TaskSchema], fixed: Sequence[str]
) -> DatasetCardData:
    """Return the metadata in the format of `Dataset.push_to_hub`."""
    rows = sum(facts["rows"] for content in record.configs.values() for facts in content["splits"].values())
    synthetic = len(fixed) < len(schemas)
    origin = "machine-generated" if synthetic else "found"  # the Hub's own values
    return DatasetCardData(
        pretty_name=task.title,
        license=task.license,
        annotations_creators=[origin],
        language_creators=[origin] if schemas[default].vocabulary is not None else None,
        source_datasets=["original"],
        task_categories=list(dict.fromkeys(text.hub_task(schema) for schema in (schemas[default], *schemas.values()))),
        size_categories=[next((name for name, limit in _SIZES.items() if rows < limit), "n>10M")],
        tags=["seqhub", "sequence-memory", *(["synthetic"] if synthetic else []), task.name],
        configs=[
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"{name}/{split}-*"} for split in content["splits"]],
                **({"default": True} if name == default else {}),
            }
            for name, content in record.configs.items()
        ],
        dataset_info=[_info(name, content["splits"], schemas[name]) for name, content in record.configs.items()],
    )


def _info(name: str, splits: Mapping[str, Mapping[str, Any]], schema: TaskSchema) -> dict[str, Any]:
    sizes = {split: _loaded_size(facts, schema) for split, facts in splits.items()}
    listed = schema.lists_classes or not schema.labels  # otherwise `datasets` reads them from the Parquet files
    return {
        "config_name": name,
        **({"features": [_feature(column, schema) for column in schema.columns]} if listed else {}),
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": facts["rows"]} for split, facts in splits.items()
        ],
        "download_size": sum(facts["bytes"] for facts in splits.values()),
        "dataset_size": sum(sizes.values()),
    }


def _feature(column: str, schema: TaskSchema) -> dict[str, Any]:
    """Return the type of a column in the format that `datasets` writes into a card."""
    classes = {"class_label": {"names": {str(i): label for i, label in enumerate(schema.labels)}}}
    if column == "input_values":
        return {"name": column, "list": {"list": "float32", "length": schema.num_features}}
    if column == "labels":
        return {"name": column, "list": classes}
    return {
        "name": column,
        "dtype": "string" if column in ("text", "target") else classes if schema.labels else "float32",
    }


def _loaded_size(facts: Mapping[str, Any], schema: TaskSchema) -> int:
    """Return the bytes of a split in memory as `datasets` counts them: values, characters and list offsets."""
    rows: int = facts["rows"]
    steps = round(rows * facts["mean_length"])
    characters: int = facts.get("characters", steps)  # a symbol of one ASCII character is one byte
    inputs: int = characters if schema.vocabulary is not None else 4 * schema.num_features * steps
    text_target = 4 * rows + facts.get("target_characters", 0)
    sizes = {"class": 8 * rows, "number": 4 * rows, "step_class": 8 * steps + 4 * rows, "sequence": text_target}
    target: int = sizes.get(schema.target, 0)
    return 4 * rows + inputs + target


def _parameters(values: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters of a config as text; ranges as `low to high`."""
    return {name: _parameter(value) for name, value in values.items()}


def _parameter(value: object) -> str:
    if isinstance(value, tuple):
        return (" to " if len(value) == 2 else " x ").join(map(str, dict.fromkeys(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
