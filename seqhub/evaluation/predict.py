"""Predictions of a saved classifier, regression model or encoder-decoder for the rows of a file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa

from seqhub._logging import quiet_transformers
from seqhub.data.file_inputs import prepare_series, read_series, symbols_of
from seqhub.data.file_kinds import FileOptions
from seqhub.data.long_form import read_grouped
from seqhub.data.table_reader import Header, iterate_tables
from seqhub.data.user_sources import as_file, resolve_file
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.evaluation.load import head_of, load_model
from seqhub.hub.fetch import fetch
from seqhub.models.feature_extraction_series import SeriesFeatureExtractor
from seqhub.models.predict import generate_texts, is_regression, labels_of, predict_logits, probabilities_of
from seqhub.records import RunRecord

if TYPE_CHECKING:
    from torch import Tensor

_GIVEN = Path("the list of rows")  # in messages, instead of a file


@dataclass(frozen=True)
class Prediction:
    """Prediction for one row.

    Attributes:
        row: Number of the row, from 0, or of the series in such a table.
        value: Label, number in the unit of the target, or generated text; for several labels or numbers and for a
            classifier of steps, a list of them.
        probabilities: Probability of each class, or the classes of each step; empty for numbers and texts.
        id: Value of the id of a series, for a model of a table with one step in each row.
    """

    row: int
    value: Any
    probabilities: dict[str, float] | list[dict[str, float]]
    id: Any = None


def predict(
    model: Path | str,
    data: Any,
    *,
    inputs: str | Sequence[str] | None = None,
    separator: str | None = None,
    header: Header = "first",
    batch_size: int = 256,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Iterator[Prediction]:
    """Yield the predictions of a saved model for the rows of a file or a list, in order.

    A file is read in parts, so that memory does not depend on its size. Texts are divided into symbols, and series are
    filled and scaled, as for the training of the model.

    Args:
        model: Model folder, or repository on a Hub, as in `me/reviews-lstm`; HF_ENDPOINT is the address of the Hub.
        data: File of rows, see `data.table_reader`; a list of texts, or of raw series (steps, channels); or a dataset,
            a data frame or a dictionary of columns, see `data.user_sources.as_file`.
        inputs: Column of the texts or series, or columns of channels or steps; None for those of the training file, or
            `text` or `input_values` for another model.
        separator: Separator of the values in a line of a CSV file; None for a comma or a tab.
        header: Line of such a file with the names of the columns: `first` or `none`.
        batch_size: Sequences in a batch.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Consent to run the code of a wrapped module, see `load.load_model`.

    Raises:
        UnknownNameError: Unknown `header`.
        FileNotFoundError, CorruptFileError, InvalidConfigError: See `load.load_model`.
        HubError: The Hub does not respond, or has no such repository.
        InvalidInputError: The model continues texts or reconstructs its inputs, the file has no such column, or a row
            is not valid; the message has its position.
    """
    if header not in get_args(Header):
        raise UnknownNameError.of("header", header, get_args(Header))
    folder = fetch(model, revision=revision, repo_type="model")
    predictor = _Predictor(folder, inputs, batch_size, trust_remote_code)
    if not isinstance(data, (str, Path, Sequence, np.ndarray)):
        return _of_columns(predictor, data)
    if isinstance(data, (str, Path)):
        data = resolve_file(data)
    if isinstance(data, (str, Path)) and predictor.options.id is not None:
        tables = iter([read_grouped(Path(data), replace(predictor.options, separator=separator, header=header))])
    elif isinstance(data, (str, Path)):
        tables = iterate_tables(Path(data), separator, header)
    else:
        tables = iter([_table(data)])
        predictor.options = FileOptions(inputs=("rows",), max_length=predictor.options.max_length)
    return predictor.predictions(tables)


def _of_columns(predictor: "_Predictor", data: Any) -> Iterator[Prediction]:
    """Yield the predictions for rows that are written to a temporary file."""
    with as_file(data) as file:
        tables = iterate_tables(file) if predictor.options.id is None else iter([read_grouped(file, predictor.options)])
        yield from predictor.predictions(tables)


class _Predictor:
    """Loaded model with all that a prediction needs."""

    def __init__(self, folder: Path, inputs: str | Sequence[str] | None, batch_size: int, trusted: bool) -> None:
        from transformers import AutoTokenizer

        record = RunRecord.load(folder) if (folder / RunRecord.FILE_NAME).is_file() else None
        self.model = load_model(folder, head_of(folder), trust_remote_code=trusted)
        target = None if record is None else record.schema.target
        if target in ("next_symbol", "inputs"):
            what = "continues texts; use `generate`" if target == "next_symbol" else "reconstructs its inputs"
            raise InvalidInputError(
                f"the model in {folder} {what}, as on its card; need a model of labels, numbers or texts"
            )
        self.reads_series = self.model.main_input_name == "input_values"
        if not self.reads_series and getattr(self.model.config, "inputs", None) == "values":
            self.reads_series = True
        reading: dict[str, Any] = {} if record is None else record.data.get("reading", {})
        self.reading = reading
        self.labels = () if record is None else record.schema.labels
        chosen = (inputs,) if isinstance(inputs, str) else tuple(inputs or reading.get("inputs", ()))
        tokens = reading.get("tokens")
        self.options = FileOptions(
            inputs=chosen or (("input_values",) if self.reads_series else ("text",)),
            tokens="words" if tokens == "words" else "characters",
            max_length=reading.get("max_length"),
            id=reading.get("id"),
            order=reading.get("order"),
        )
        self.batch_size = batch_size
        self.tokenizer: Any = None
        self.extractor: SeriesFeatureExtractor | None = None
        if self.reads_series:
            channels = getattr(self.model.config, "num_features", 1) or 1
            plain = {"scale": "none", **{name: [0.0] * channels for name in ("mean", "center")}}
            features = reading.get("features") or {**plain, "spread": [1.0] * channels}
            self.extractor = SeriesFeatureExtractor(**features)
        self.writes = bool(self.model.config.is_encoder_decoder)
        if self.writes or not self.reads_series:
            with quiet_transformers():
                self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if tokens == "tokens" and (longest := reading.get("max_length")) is not None:
                self.tokenizer = partial(self.tokenizer, truncation=True, max_length=longest)

    def predictions(self, tables: Iterator[UserTable]) -> Iterator[Prediction]:
        first = 0
        for table in tables:
            if not table.columns.num_rows:
                continue
            missing = [name for name in self.options.inputs if name not in table.columns.column_names]
            if missing:
                shown = ", ".join(map(repr, table.columns.column_names[:12]))
                raise InvalidInputError(
                    f"columns {shown} of {table.file}; need {missing[0]!r}, or give --inputs COLUMN"
                )
            rows = self._series(table) if self.reads_series else self._texts(table)
            found: Iterable[Prediction]
            if self.writes:
                texts = generate_texts(self.model, rows, self.tokenizer, batch_size=self.batch_size)
                found = (Prediction(row, text, {}) for row, text in enumerate(texts, first))
            else:
                logits = predict_logits(self.model, rows, self.tokenizer, batch_size=self.batch_size)
                found = (self._prediction(row, each) for row, each in enumerate(logits, first))
            if self.options.id is None:
                yield from found
            else:
                ids = table.columns.column(self.options.id).to_pylist()
                yield from (replace(each, id=id) for each, id in zip(found, ids, strict=True))
            first += table.columns.num_rows

    def _texts(self, table: UserTable) -> list[str]:
        if self.reading.get("tokens", "tokens") == "tokens":  # the tokenizer divides the texts
            (name,) = self.options.inputs
            texts = ["" if text is None else str(text).strip() for text in table.texts(name).to_pylist()]
            empty = next((row for row, text in enumerate(texts) if not text), None)
            if empty is not None:
                raise InvalidInputError(f"no text in column {name!r} in {table.where(empty)}")
            return texts
        listed = table.kind(self.options.inputs[0]) == "words"
        separator = " " if listed or self.options.tokens == "words" else ""
        longest = self.options.max_length
        parts = symbols_of(table, self.options.inputs[0], self.options.tokens)
        return [separator.join(each[:longest]) for _, found in parts for each in found]

    def _series(self, table: UserTable) -> "list[Tensor]":
        import torch

        assert self.extractor is not None
        series = read_series(table, self.options)
        channels = series.values.shape[1]
        if channels != self.extractor.num_channels and self.options.inputs[0] in table.images:
            raise InvalidInputError(
                f"images of height {channels} in {table.file}; the model needs a height of "
                f"{self.extractor.num_channels} pixels"
            )
        if channels != self.extractor.num_channels:
            raise InvalidInputError(
                f"{channels} values a step in {table.file}; the model needs {self.extractor.num_channels}"
            )
        steps = torch.from_numpy(prepare_series(self.extractor, series, table, self.options))
        return list(steps.split(series.lengths.tolist()))

    def _prediction(self, row: int, logits: "Tensor") -> Prediction:
        if is_regression(self.model):
            number = labels_of(self.model, logits)
            if "target_mean" in self.reading:
                unit, mean = np.array(self.reading["target_deviation"]), np.array(self.reading["target_mean"])
                number = (np.array(number) * unit + mean).tolist()
            return Prediction(row, number, {})
        probabilities = probabilities_of(self.model, logits).numpy()
        if probabilities.ndim == 2:
            steps = [self._named(each) for each in probabilities]
            return Prediction(row, [max(step, key=step.__getitem__) for step in steps], steps)
        named = self._named(probabilities)
        if self.model.config.problem_type == "multi_label_classification" and len(probabilities) > 1:
            return Prediction(row, [name for name, value in named.items() if value > 0.5], named)
        return Prediction(row, max(named, key=named.__getitem__), named)

    def _named(self, probabilities: Any) -> dict[str, float]:
        """Return the probability of each class by its name; a single logit has the two classes of the task."""
        names: Any = self.model.config.id2label
        if len(probabilities) != len(names):
            names = dict(enumerate(self.labels if len(self.labels) == len(probabilities) else ("0", "1")))
        return {str(names[number]): float(each) for number, each in enumerate(probabilities)}


def _table(rows: Sequence[Any]) -> UserTable:
    """Return a table of texts or series that are given as a list."""
    if not all(isinstance(row, str) for row in rows):
        try:
            rows = [_nested(row) for row in rows]
        except (TypeError, ValueError):
            raise InvalidInputError("rows of several types; need texts, or series of numbers") from None
    if not len(rows):
        raise InvalidInputError("no rows; need at least one")
    try:
        return UserTable(_GIVEN, pa.table({"rows": pa.array(rows)}))
    except pa.ArrowException as error:
        raise InvalidInputError(f"rows of several types: {str(error).partition(chr(10))[0]}") from None


def _nested(row: Any) -> Any:
    """Return a series as nested lists, with NaN for None."""
    array = np.array(row, dtype=np.float64)  # None becomes NaN
    if array.ndim not in (1, 2):
        raise ValueError(array.shape)
    return array.tolist()
