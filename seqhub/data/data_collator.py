"""Data collator for torch's DataLoader and the Trainer of transformers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from seqhub.data.collate import CollatedArrays, collate_table, target_ids, to_tensors
from seqhub.data.tokenizers import schema_of_task
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import NO_LABEL, TaskSchema


class DataCollator:
    """Data collator that pads rows of a task to a batch for the models of seqhub.

    Rows are dictionaries as in `load_dataset`, with the columns of the task: `text` or `input_values`, and `label`,
    `labels` or `target` if the task has them. The `input_ids` of the tokenizer of the task may replace `text`.
    Sequences are padded on the right. A batch has `input_ids` (B, T) int64, 0 in the padding, or `input_values` (B, T,
    F) float32; `attention_mask` (B, T) int64; and `labels` as in `seqhub.data.loader.BatchLoader`, if the rows have
    labels.

    `transformers.Trainer` removes columns that are not arguments of the model. So tokenize the dataset first, with
    `dataset.map(lambda row: tokenizer(row["text"]))`, or set `remove_unused_columns=False`.

    Args:
        task: Task id, as in `qrsu/easy`; the name of a task, if all its configs have the same schema; or a TaskSchema.
        pad_to_multiple_of: Pad to a multiple of this number of steps, at least 1.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: The name of a task with configs that differ in their schema.
        InvalidConfigError: `pad_to_multiple_of` below 1.

    >>> collate = DataCollator("qrsu/easy")
    >>> batch = collate([{"text": "BXaYE", "label": 1}, {"text": "BXE", "label": 0}])
    >>> batch["input_ids"].tolist(), batch["labels"].tolist()
    ([[7, 1, 3, 2, 8], [7, 1, 8, 0, 0]], [1, 0])
    """

    def __init__(self, task: str | TaskRef | TaskSchema, *, pad_to_multiple_of: int = 1) -> None:
        if pad_to_multiple_of < 1:
            raise InvalidConfigError(f"pad_to_multiple_of={pad_to_multiple_of}: must be at least 1")
        self.schema = task if isinstance(task, TaskSchema) else schema_of_task(task)
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate rows.

        Raises:
            InvalidInputError: No rows, a missing column, a sequence without steps, a symbol outside the vocabulary,
                steps of another size, NaN or infinity, or labels of the wrong type; the message has the row.
        """
        if not rows:
            raise InvalidInputError("no rows; need at least one")
        schema = self.schema
        inputs, lengths = self._values(rows) if schema.vocabulary is None else self._ids(rows)
        labels: NDArray[Any] = np.empty((len(rows), 0), np.int64)
        has_labels = True  # for the targets next_symbol and inputs, labels are made of the inputs
        if (name := schema.target_column) is not None:
            name = next((each for each in (name, "labels") if each in rows[0]), None)
            has_labels = name is not None
            if name is not None and schema.target == "sequence":
                labels = target_ids(self._column(rows, name), schema)
            elif name is not None:
                labels = self._labels(self._column(rows, name), name, lengths)
        width = -(-int(lengths.max()) // self.pad_to_multiple_of) * self.pad_to_multiple_of
        batch = to_tensors(CollatedArrays(inputs, lengths, labels, schema), width)
        if not has_labels:
            for made in ("labels", "decoder_input_ids"):
                batch.pop(made, None)
        return batch

    def _ids(self, rows: Sequence[Mapping[str, Any]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return ids (B, T), 0 in the padding, and lengths (B,)."""
        assert self.schema.vocabulary is not None
        if "text" in rows[0]:
            texts = TaskSchema(vocabulary=self.schema.vocabulary, target="next_symbol")  # only the column `text`
            arrays = collate_table(pa.table({"text": pa.array(self._column(rows, "text"), pa.string())}), texts)
            return arrays.inputs, arrays.lengths
        if "input_ids" not in rows[0]:
            raise InvalidInputError(
                f"rows have {_names(rows[0])}; need text or input_ids. Trainer removes text: tokenize the dataset "
                "first, or set remove_unused_columns=False"
            )
        sequences = [np.asarray(each) for each in self._column(rows, "input_ids")]
        last = len(self.schema.vocabulary)
        for row, ids in enumerate(sequences):
            if ids.ndim != 1 or not len(ids) or ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() > last:
                raise InvalidInputError(
                    f"input_ids of row {row}: must be one or more ids from 1 to {last}, or 0 for padding"
                )
        # rows may be padded already, on either side
        sequences = [ids[ids != 0] for ids in sequences]
        lengths = np.array([len(ids) for ids in sequences], np.int64)
        if not lengths.all():
            raise InvalidInputError(f"input_ids of row {int(lengths.argmin())}: only padding; need at least one id")
        padded = np.zeros((len(rows), int(lengths.max())), np.int64)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
        return padded, lengths

    def _values(self, rows: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return values (B, T, F), 0.0 in the padding, and lengths (B,)."""
        if "input_values" not in rows[0]:
            raise InvalidInputError(f"rows have {_names(rows[0])}; need input_values")
        features, sequences = self.schema.num_features, []
        for row, given in enumerate(self._column(rows, "input_values")):
            try:
                values = np.asarray([np.asarray(step) for step in given], dtype=np.float32)
            except (TypeError, ValueError):
                values = np.empty(0, np.float32)
            if values.ndim != 2 or values.shape[1] != features or not len(values):
                raise InvalidInputError(
                    f"input_values of row {row}: must be one or more steps of {features} numbers each"
                )
            if not np.isfinite(values).all():
                step = int((~np.isfinite(values)).any(axis=1).argmax())
                raise InvalidInputError(f"input_values of row {row}, step {step}: must be finite numbers")
            sequences.append(values)
        lengths = np.array([len(values) for values in sequences], np.int64)
        padded = np.zeros((len(rows), int(lengths.max()), features), np.float32)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
        return padded, lengths

    def _labels(self, given: list[Any], name: str, lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Return labels as in `tasks.schema.Batch`."""
        schema = self.schema
        if schema.target == "number":
            numbers = np.empty(len(given), np.float32)
            for row, each in enumerate(given):
                try:
                    numbers[row] = float(each)
                except (TypeError, ValueError):
                    numbers[row] = np.nan
                if not np.isfinite(numbers[row]):
                    raise InvalidInputError(f"{name} of row {row}: {each}; must be a finite number")
            return numbers
        if schema.target == "class":
            classes = np.asarray([np.asarray(each) for each in given])
            self._check_classes(classes, name, range(len(given)))
            return classes.astype(np.int64)
        labels = np.full((len(given), int(lengths.max())), NO_LABEL, np.int64)
        for row, each in enumerate(given):
            steps = np.array([NO_LABEL if label is None else int(label) for label in each], np.int64)
            if len(steps) != lengths[row]:
                raise InvalidInputError(
                    f"{name} of row {row}: {len(steps)}; must be one for each of {lengths[row]} steps"
                )
            self._check_classes(steps[steps != NO_LABEL], name, [row] * len(steps))
            labels[row, : len(steps)] = steps
        return labels

    def _check_classes(self, classes: NDArray[Any], name: str, rows: Sequence[int]) -> None:
        most = len(self.schema.labels) - 1
        wrong = (
            np.ones(len(classes), bool)
            if classes.ndim != 1 or (classes.size and classes.dtype.kind not in "iu")
            else (classes < 0) | (classes > most)
        )
        if wrong.any():
            first = int(wrong.argmax())
            raise InvalidInputError(
                f"{name} of row {rows[first]}: {classes[first]}; must be class numbers from 0 to {most}, "
                f"for {', '.join(self.schema.labels)}"
            )

    @staticmethod
    def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
        values = [row.get(name) for row in rows]
        for row, value in enumerate(values):
            if value is None:
                raise InvalidInputError(f"no {name} in row {row}; need one in every row")
        return values


def _names(row: Mapping[str, Any]) -> str:
    return f"columns {', '.join(row)}" if row else "no columns"
