"""Statistics of the training rows of a source, and warnings about uninformative rows."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.arrow import as_table, numbers_of
from seqhub.data.collate import collate_batch
from seqhub.data.source import DataSource
from seqhub.errors import DataWarning
from seqhub.tasks.schema import NO_LABEL, WHOLE_TARGETS, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS

MAX_UNKNOWN_SHARE = 0.9  # share of unknown words that causes a warning
MAX_MAJORITY_SHARE = 0.95  # share of the most frequent target that causes a warning


def describe(source: DataSource) -> dict[str, Any]:
    """Return statistics of a source as JSON values, for the record of a run.

    Returns:
        `rows`, the number of rows that are measured: all training rows of a file, a folder or published splits, else
        1,024; `length`, least and most steps; and if they apply, `unknown`, the share of unknown words in each split of
        a file; `classes`, the number of rows or labelled steps of each class, or of rows of each label; `majority`,
        with the most frequent `target` (a symbol, for targets of symbols) and the accuracy of always predicting it in
        each measured split; `numbers`, with `mean` and `deviation` of a real target or of the values to be
        reconstructed; lists of them for several numbers.
    """
    schema = source.schema
    names = SPLITS if source.kind == "file" else ("train",)
    parts = {name: _Part(source, name) for name in names}
    lengths = parts["train"].lengths
    found: dict[str, Any] = {"rows": len(lengths), "length": [int(lengths.min()), int(lengths.max())]}
    if (unknown := _unknown_id(source)) is not None:
        found["unknown"] = {
            name: round(
                sum(int((batch.inputs == unknown).sum()) for batch in part.batches()) / int(part.lengths.sum()), 6
            )
            for name, part in parts.items()
        }
    targets = {name: part.targets(schema) for name, part in parts.items()}
    if source.kind in ("splits", "folder") and schema.target in ("class", "number", "step_class"):
        import pyarrow.compute as pc  # slow, and not needed for generated rows

        table = as_table(source.training_rows)
        column = table[schema.columns[1]]
        flat = pc.list_flatten(column) if schema.target == "step_class" else column
        targets["train"] = _without_ignored(numbers_of(flat.drop_null()), schema)
        found["rows"] = table.num_rows
    if schema.target == "numbers":
        numbers = targets["train"].astype(np.float64)
        found["numbers"] = {"mean": numbers.mean(axis=0).tolist(), "deviation": numbers.std(axis=0).tolist()}
        return found
    if schema.target == "multi_label":
        found["classes"] = dict(zip(schema.labels, targets["train"].sum(axis=0).astype(int).tolist(), strict=True))
        return found
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
    if numbers is not None:
        pairs = np.atleast_1d(numbers["mean"]), np.atleast_1d(numbers["deviation"])
        names = source.schema.numbers or ("",)
        for name, mean, deviation in zip(names, *pairs, strict=True):
            if deviation <= 1e-12 * max(1.0, abs(mean)):
                of = f" of {name!r}" if name else ""
                lines.append(f"{where}: all training targets{of} are {mean:g}; there is nothing to learn")
    if not lines and source.kind == "file" and _all_equal(source):
        lines.append(f"{where}: all training rows have the same model inputs; their classes cannot be distinguished")
    return lines


def warn(source: DataSource) -> None:
    """Issue a DataWarning for each of the `data_warnings`."""
    for line in data_warnings(source):
        warnings.warn(line, DataWarning, stacklevel=3)


class _Part:
    """Measured rows of a split: all rows of a file, or the first block of other sources."""

    def __init__(self, source: DataSource, name: str) -> None:
        self._split = source.split(name)
        self._first = None if source.kind == "file" else source.first_block
        ragged = self._split.ragged
        self.lengths = ragged.lengths if ragged else np.concatenate([batch.lengths for batch in self.batches()])

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in batches."""
        if self._first is not None:
            yield self._first
        else:
            yield from self._split.batches(0)

    def targets(self, schema: TaskSchema) -> NDArray[Any]:
        """Return the targets of all rows, see `_targets`."""
        ragged = self._split.ragged
        if ragged is not None and schema.target in WHOLE_TARGETS:
            return ragged.labels
        if ragged is not None and schema.target == "step_class":
            return _without_ignored(ragged.step_labels(), schema)
        return np.concatenate([_targets(batch, schema) for batch in self.batches()])


def _unknown_id(source: DataSource) -> int | None:
    """Return the id of unknown symbols; None if there is none."""
    vocabulary = source.schema.vocabulary
    if vocabulary is None:
        return None
    if vocabulary.unknown:
        return len(vocabulary)
    token = None if source.file_rows is None else source.file_rows.reading.get("unknown_token")
    return None if token is None else vocabulary.ids.get(token)


def _targets(part: Batch, schema: TaskSchema) -> NDArray[Any]:
    """Return the concatenated targets of all rows: class numbers, ids of next symbols, or real numbers; or (N, C)."""
    if schema.target in ("multi_label", "numbers"):
        return part.labels
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


def _all_equal(source: DataSource) -> bool:
    """Return True if the model inputs of all training rows are equal, in a classification."""
    if source.schema.target not in ("class", "multi_label"):
        return False
    first: Batch | None = None
    for batch in source.split().batches(0):
        first = first or batch[:1]
        if batch.inputs.shape[1:] != first.inputs.shape[1:] or (batch.lengths != first.lengths[0]).any():
            return False
        if (batch.inputs != first.inputs).any():
            return False
    return True
