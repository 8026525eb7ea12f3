"""Statistics of columns, in the JSON form of the public dataset viewer.

Quantities are those of NumPy in float64, without rounding; the standard deviation has n - 1 in the denominator. Bins
of integers have an integer width, so that there may be fewer than 10.

Source: `libcommon.statistics_utils` of the public dataset viewer, and its documentation of `/statistics`.
"""

import datetime
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seqhub.server.viewer import media
from seqhub.server.viewer.feature_types import kind_of
from seqhub.server.viewer.split import Split

BINS: Final = 10
MAX_ROWS: Final = 4_000_000  # of which statistics are computed
MAX_LABELS: Final = 1000  # different strings in a column of labels
MAX_LABEL_SHARE: Final = 0.2  # of the rows, for more than BINS labels

Statistics = dict[str, Any]
Values = npt.NDArray[Any]
_YEARS = (-62_135_596_800, 253_402_300_799)  # seconds from 1970 to the first and the last time of `datetime`
_EMPTY = dict.fromkeys(("min", "max", "mean", "median", "std", "histogram"))


def statistics_of(split: Split) -> Statistics:
    """Return the statistics of all columns; columns of other types, such as structs, are omitted."""
    rows = min(split.num_rows, MAX_ROWS)
    found = []
    for field in split.schema:
        column = _Column(split, field.name, rows)
        statistics = column.statistics()
        if statistics is not None:
            kind, values = statistics
            found.append({"column_name": field.name, "column_type": kind, "column_statistics": values})
    return {"num_examples": rows, "statistics": found, "partial": split.is_partial or rows < split.num_rows}


class _Column:
    """Statistics of one column, which is read batch by batch."""

    def __init__(self, split: Split, name: str, rows: int) -> None:
        self.split, self.name, self.rows = split, name, rows
        self.type = split.schema.field(name).type
        self.kind = kind_of(split.features[name])

    def statistics(self) -> tuple[str, Statistics] | None:
        types, arrow = pa.types, self.type
        if self.kind == "ClassLabel":
            return "class_label", self._labels(self.split.features[self.name]["names"])
        if self.kind == "Image":
            return "image", self._numbers(_image_widths)
        if types.is_boolean(arrow):
            return "bool", self._booleans()
        if types.is_integer(arrow):
            return "int", self._numbers(lambda values: values)
        if types.is_floating(arrow) or types.is_decimal(arrow):
            return "float", self._numbers(lambda values: values.cast(pa.float64()))
        if types.is_date(arrow) or types.is_timestamp(arrow):
            return "datetime", self._times()
        if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
            return "list", self._numbers(pc.list_value_length)
        if types.is_dictionary(arrow):
            arrow = arrow.value_type
        if types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow):
            return self._strings()
        return None

    def _arrays(self) -> Iterator[pa.Array]:
        for _, batch in self.split.batches([self.name], self.rows):
            values = batch.column(0)
            yield values.dictionary_decode() if pa.types.is_dictionary(values.type) else values

    def _missing(self, missing: int) -> Statistics:
        return {"nan_count": missing, "nan_proportion": _share(missing, self.rows)}

    def _labels(self, names: list[str]) -> Statistics:
        missing, none, counts = 0, 0, np.zeros(len(names), np.int64)
        for array in self._arrays():
            missing += array.null_count
            values = array.drop_null().to_numpy().astype(np.int64)
            none += int((values == -1).sum())
            counts += np.bincount(values[(values >= 0) & (values < len(names))], minlength=len(names))
        return {
            **self._missing(missing),
            "no_label_count": none,
            "no_label_proportion": _share(none, self.rows),
            "n_unique": len(names),
            "frequencies": {name: int(count) for name, count in zip(names, counts, strict=True)},
        }

    def _booleans(self) -> Statistics:
        missing, true, total = 0, 0, 0
        for array in self._arrays():
            missing += array.null_count
            true += array.true_count
            total += len(array)
        counts = {"False": total - missing - true, "True": true}
        return {**self._missing(missing), "frequencies": {name: count for name, count in counts.items() if count}}

    def _numbers(self, convert: Any) -> Statistics:
        pieces, missing = [], 0
        for array in self._arrays():
            values = convert(array).drop_null().to_numpy(zero_copy_only=False)
            if values.dtype.kind == "f":
                values = values[~np.isnan(values)].astype(np.float64, copy=False)
            missing += len(array) - len(values)
            pieces.append(values)
        return {**self._missing(missing), **describe(_joined(pieces))}

    def _strings(self) -> tuple[str, Statistics]:
        """Return counts of labels if there are few different strings, otherwise statistics of the lengths."""
        counts: Counter[str] | None = Counter()
        pieces, missing = [], 0
        for array in self._arrays():
            missing += array.null_count
            if counts is not None:
                found = pc.value_counts(array.drop_null())
                texts = found.field("values").cast(pa.large_binary()).to_pylist()  # they may not be valid UTF-8
                for text, count in zip(texts, found.field("counts").to_pylist(), strict=True):
                    counts[text.decode(errors="replace")] += count
                counts = counts if len(counts) <= MAX_LABELS else None
            pieces.append(pc.utf8_length(array).drop_null().to_numpy(zero_copy_only=False))
        if counts is not None and (len(counts) <= BINS or len(counts) <= MAX_LABEL_SHARE * self.rows):
            labels = {"no_label_count": 0, "no_label_proportion": 0.0, "n_unique": len(counts)}
            return "string_label", {**self._missing(missing), **labels, "frequencies": dict(counts.most_common())}
        return "string_text", {**self._missing(missing), **describe(_joined(pieces))}

    def _times(self) -> Statistics:
        """Return statistics of seconds since the first time, as texts."""
        unit = pa.timestamp("s")
        found = self._numbers(lambda values: values.cast(unit, safe=False).cast(pa.int64()))
        if found["min"] is None:
            return found
        for name in ("min", "max", "mean", "median"):
            found[name] = _time(found[name])
        found["std"] = _span(found["std"])
        found["histogram"]["bin_edges"] = [_time(edge) for edge in found["histogram"]["bin_edges"]]
        return found


def describe(values: Values) -> Statistics:
    """Return minimum, maximum, mean, median, standard deviation and histogram; None for each without values.

    >>> describe(np.array([0, 0, 1]))["histogram"]
    {'hist': [2, 1], 'bin_edges': [0, 1, 1]}
    """
    if not len(values):
        return dict(_EMPTY)
    low, high = values.min().item(), values.max().item()
    mean, std = float(values.mean(dtype=np.float64)), _std(values)
    median = float(np.median(values))
    histogram = (
        integer_histogram(values, low, high) if values.dtype.kind in "iu" else float_histogram(values, low, high)
    )
    return {
        "min": _finite(low),
        "max": _finite(high),
        "mean": _finite(mean),
        "median": _finite(median),
        "std": _finite(std),
        "histogram": histogram,
    }


def integer_histogram(values: Values, low: int, high: int) -> Statistics:
    """Return a histogram with at most 10 bins of equal integer width; the last one may be narrower."""
    width = -(-(high - low + 1) // BINS)
    edges = [*range(low, high + 1, width), high]
    offsets = values.astype(np.uint64) - np.uint64(low % 2**64)  # modulo 2**64, since high - low may exceed int64
    places = np.minimum(offsets // np.uint64(width), np.uint64(len(edges) - 2)).astype(np.int64)
    return {"hist": np.bincount(places, minlength=len(edges) - 1).tolist(), "bin_edges": edges}


def float_histogram(values: Values, low: float, high: float) -> Statistics | None:
    """Return a histogram with 10 bins of equal width, or one for equal values; None if it would not be finite."""
    if not math.isfinite(high - low):
        return None
    if low == high:
        return {"hist": [len(values)], "bin_edges": [low, high]}
    edges = np.linspace(low, high, BINS + 1)
    if (np.diff(edges) <= 0).any():  # the values differ by rounding only
        return {"hist": [len(values)], "bin_edges": [low, high]}
    return {"hist": np.histogram(values, edges)[0].tolist(), "bin_edges": edges.tolist()}


def _std(values: Values) -> float | None:
    if len(values) < 2:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        return float(values.std(ddof=1, dtype=np.float64))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _joined(pieces: list[Values]) -> Values:
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def _image_widths(values: pa.Array) -> pa.Array:
    contents = pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values
    widths = [None if content is None else media.image_size(content)[0] for content in contents.to_pylist()]
    return pa.array(widths, pa.int64())


def _span(seconds: float | None) -> str | None:
    """Return a duration as text; None for one that Python does not have."""
    return None if seconds is None or seconds > _YEARS[1] else str(datetime.timedelta(seconds=seconds))


def _time(seconds: float) -> str | None:
    """Return a time in seconds since 1970 as text; None for a year that Python does not have."""
    if not _YEARS[0] <= seconds <= _YEARS[1]:
        return None
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=round(seconds))
    return moment.isoformat(" ")
