"""Statistics of the training rows of a source, and warnings about uninformative rows."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.arrow import as_table, numbers_of
from seqhub.data.collate import collate_batch
from seqhub.data.source import DataSource
from seqhub.errors import DataWarning
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS

MAX_UNKNOWN_SHARE = 0.9  # share of unknown words that causes a warning
MAX_MAJORITY_SHARE = 0.95  # share of the most frequent target that causes a warning


def describe(source: DataSource) -> dict[str, Any]:
    """Return statistics of a source as JSON values, for the record of a run.

    Returns:
        `rows`, the number of rows that are measured: all training rows of a file, a folder or published splits, else
        1,024; `length`, least and most steps; and if they apply, `unknown`, the share of unknown words in each split of
        a file; `classes`, the number of rows or labelled steps of each class; `majority`, with the most frequent
        `target` (a symbol, for targets of symbols) and the accuracy of always predicting it in each measured split;
        `numbers`, with `mean` and `deviation` of a real target or of the values to be reconstructed.
    """
    schema = source.schema
    names = SPLITS if source.kind == "file" else ("train",)
    parts = {name: source.first_block if source.kind != "file" else _whole(source, name) for name in names}
    train = parts["train"]
    found: dict[str, Any] = {"rows": len(train), "length": [int(train.lengths.min()), int(train.lengths.max())]}
    vocabulary = schema.vocabulary
    if vocabulary is not None and vocabulary.unknown:
        found["unknown"] = {
            name: round(float((part.inputs == len(vocabulary)).sum() / part.lengths.sum()), 6)
            for name, part in parts.items()
        }
    targets = {name: _targets(part, schema) for name, part in parts.items()}
    if source.kind in ("splits", "folder") and schema.target in ("class", "number", "step_class"):
        import pyarrow.compute as pc  # slow, and not needed for generated rows

        table = as_table(source.training_rows)
        column = table[schema.columns[1]]
        flat = pc.list_flatten(column) if schema.target == "step_class" else column
        targets["train"] = _without_ignored(numbers_of(flat.drop_null()), schema)
        found["rows"] = table.num_rows
    if schema.target in ("number", "inputs"):
        numbers = targets["train"].astype(np.float64)
        found["numbers"] = {"mean": float(numbers.mean()), "deviation": float(numbers.std())}
        return found
    symbols = schema.text_vocabulary
    entries = schema.labels or (() if symbols is None else ("", *symbols.entries))
    counts = {name: np.bincount(each.astype(np.int64), minlength=len(entries)) for name, each in targets.items()}
    if schema.labels:
        found["classes"] = dict(zip(entries, counts["train"].tolist(), strict=True))
    most = int(counts["train"].argmax())
    found["majority"] = {"target": entries[most]} | {
        name: round(float(count[most] / max(1, count.sum())), 6) for name, count in counts.items()
    }
    return found


def data_warnings(source: DataSource) -> list[str]:
    """Return warnings about training rows that carry almost no information, one line each."""
    where = f"{source.task} on {source.name}"
    found, lines = source.statistics, []
    unknown = found.get("unknown", {}).get("train", 0.0)
    if unknown >= MAX_UNKNOWN_SHARE:
        lines.append(
            f"{where}: {unknown:.1%} of the training words are unknown, because each occurs only once; a model can "
            "hardly learn from them"
        )
    majority = found.get("majority")
    if majority is not None and majority["train"] >= MAX_MAJORITY_SHARE:
        kinds = {"class": "rows", "step_class": "steps", "next_symbol": "next symbols", "sequence": "target symbols"}
        what = kinds[source.schema.target]
        lines.append(
            f"{where}: {majority['train']:.1%} of the training {what} have the target {majority['target']!r}; always "
            "predicting it has the same accuracy"
        )
    numbers = found.get("numbers")
    if numbers is not None and numbers["deviation"] <= 1e-12 * max(1.0, abs(numbers["mean"])):
        lines.append(f"{where}: all training targets are {numbers['mean']:g}; there is nothing to learn")
    if not lines and source.kind == "file" and _all_equal(_whole(source, "train"), source.schema):
        lines.append(f"{where}: all training rows have the same model inputs; their classes cannot be distinguished")
    return lines


def warn(source: DataSource) -> None:
    """Issue a DataWarning for each of the `data_warnings`."""
    for line in data_warnings(source):
        warnings.warn(line, DataWarning, stacklevel=3)


def _whole(source: DataSource, name: str) -> Batch:
    """Return all rows of a split of a file."""
    split = source.split(name)
    return split.blocks(0, -(-source.sizes[name] // 1024))


def _targets(part: Batch, schema: TaskSchema) -> NDArray[Any]:
    """Return the concatenated targets of all rows: class numbers, ids of next symbols, or real numbers."""
    if schema.target in ("class", "number", "step_class", "sequence"):
        return _without_ignored(part.labels.reshape(-1), schema)
    arrays = collate_batch(part, schema)
    real = np.arange(arrays.inputs.shape[1]) < arrays.lengths[:, None]
    if schema.target == "next_symbol":
        return arrays.inputs[:, 1:][real[:, 1:]]
    return arrays.inputs[real].reshape(-1)


def _without_ignored(targets: NDArray[Any], schema: TaskSchema) -> NDArray[Any]:
    """Return the targets without NO_LABEL."""
    return targets if schema.target == "number" else targets[targets != NO_LABEL]


def _all_equal(part: Batch, schema: TaskSchema) -> bool:
    """Return True if the model inputs of all rows are equal, in a classification."""
    same = bool((part.lengths == part.lengths[0]).all() and (part.inputs == part.inputs[:1]).all())
    return same and schema.target == "class"
