"""Choice of the kind of rows of a file, and of its columns, from its content.

Each choice can be made by an option instead, see `FileOptions`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqhub.data.long_form import read_grouped
from seqhub.data.table_reader import Header
from seqhub.data.user_table import SPLIT_COLUMN, ColumnKind, UserTable
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.models.tokenizer import split_words
from seqhub.tasks.ref import FILE, TaskRef
from seqhub.tasks.registry import configs_of
from seqhub.tasks.schema import CUSTOM
from seqhub.tasks.vocabulary import MAX_SYMBOLS

TOKENS = ("characters", "words")  # or the folder or repository of a tokenizer
Missing = Literal["refuse", "mask", "last", "mean", "zero"]
Scale = Literal["standard", "robust", "none"]

_TEXT_TARGETS = ("translation", "caption", "captions", "target_text")  # names of columns of texts to be generated
_TARGET_NAMES = (
    *("label", "labels", "target", "class", "category", "y", "sentiment", "stars", "rating", "tags"), *_TEXT_TARGETS
)  # fmt: skip
_CLASS_TARGETS = {*_TARGET_NAMES} - {"target", "y", *_TEXT_TARGETS}  # texts in these columns are classes
_INPUT_NAMES = (
    *("text", "input_values", "sentence", "review", "tokens", "words", "sequence", "series", "values", "x"),
    *("source", "image", "file_name"),
)
_INDEX_NAMES = ("", "id", "index", "idx", "unnamed: 0", "row")
_MAX_TEXT_CLASSES = 100  # more different texts are to be generated, unless the column is named like a label
_MAX_INTEGER_CLASSES = 20  # more different integers are numbers, not classes
_WORDS_OF_A_TEXT = 3  # mean number of words from which on texts are divided into words
_WORDS_OF_A_CAPTION = 1.5  # the same for the texts that a series or an image is to be described by
_SAMPLE = 1_000  # rows


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Options for reading a file of rows; None for the choice of seqhub, see `choose_columns`.

    Args:
        inputs: Column of texts or of series, the columns of several channels, or the columns of the steps of a series.
        target: Column of the labels, numbers, lists of labels or numbers, or labels of the steps; or several columns of
            numbers, or of 0 and 1 for several labels.
        tokens: Symbols of a text: characters, words by the word boundaries of Unicode in lower case, or the tokens of a
            tokenizer of transformers, given by its folder or repository.
        max_vocab: Largest number of different symbols; rarer ones are unknown.
        min_count: Smallest number of occurrences of a symbol in the training rows; by default 2 for words, else 1.
        max_length: Number of steps after which a sequence is cut off; texts without a target are divided instead, by
            default after 128 steps.
        missing: Treatment of missing values in series, see `models.feature_extraction_series`.
        scale: Scaling of series by the training rows: to mean and standard deviation, to median and interquartile
            range, or none.
        group: Column whose equal values stay in the same split, such as a patient.
        time: Column by which rows are ordered: the earliest are for training, the latest for the test.
        separator: Separator of the values in a line of a CSV file.
        header: Line of a CSV file with the names of the columns: first, or none for `column 1`, `column 2` and so on.
        label_separator: Separator of the labels in a text of the target, which a row has any number of.
        id: Column whose equal values are the steps of one series or text, in a table with one step in each row.
        order: Column that orders the steps of an `id`; None for the order of the file.
        vocabulary: Symbols of the texts, those of a base model; None for those of the training rows.
        other_symbols: Whether that vocabulary has an unknown symbol for all others, which are errors without it.
        features: Filling and scaling of series, those of a base model, see `models.feature_extraction_series`; None to
            learn them on the training rows.
    """

    inputs: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    tokens: str | None = None
    max_vocab: int = 20_000
    min_count: int | None = None
    max_length: int | None = None
    missing: Missing = "refuse"
    scale: Scale = "standard"
    group: str | None = None
    time: str | None = None
    separator: str | None = None
    header: Header = "first"
    label_separator: str | None = None
    id: str | None = None
    order: str | None = None
    vocabulary: tuple[str, ...] | None = None
    other_symbols: bool = True
    features: Mapping[str, Any] | None = None

    @property
    def has_tokenizer(self) -> bool:
        """True if `tokens` is a tokenizer of transformers."""
        return self.tokens is not None and self.tokens not in TOKENS

    @property
    def tokens_name(self) -> str | None:
        """Name of the tokens in records: without the path of a folder."""
        return Path(str(self.tokens)).name if self.has_tokenizer and Path(str(self.tokens)).is_dir() else self.tokens

    @classmethod
    def of(cls, given: Mapping[str, Any], task: TaskRef | str) -> "FileOptions":
        """Return the options of a dictionary, as in the settings of a run.

        Raises:
            UnknownNameError: Unknown option or name.
            InvalidConfigError: An option with a wrong type or outside its range.
        """
        hints = get_type_hints(cls)
        values = dict(given)
        for name, value in given.items():
            if name not in hints:
                raise UnknownNameError.of(f"data option of {task}", name, [each.name for each in fields(cls)])
            if name in ("inputs", "target") and value is not None:
                values[name] = (value,) if isinstance(value, str) else tuple(value)
                continue
            if name in ("vocabulary", "other_symbols", "features"):  # set by seqhub, see `training.base_model`
                values[name] = tuple(value) if name == "vocabulary" and value is not None else value
                continue
            allowed = [each for part in (hints[name], *get_args(hints[name])) for each in _names(part)]
            if allowed and value is not None and value not in allowed:
                raise UnknownNameError.of(name, value, allowed)
            kind = int if name in ("max_vocab", "min_count", "max_length") else str
            if value is not None and type(value) is not kind:
                raise InvalidConfigError(f"{name}={value!r}: must be of type {kind.__name__} (data option of {task})")
        options = cls(**values)
        for name, lowest, highest in (
            ("max_vocab", 1, MAX_SYMBOLS - 1),
            ("min_count", 1, 1 << 31),
            ("max_length", 2, CUSTOM.length[1]),
        ):
            value = getattr(options, name)
            if value is not None and not lowest <= value <= highest:
                raise InvalidConfigError.of(name, value, f"{lowest:,} to {highest:,}", task)
        if options.has_tokenizer and "/" not in str(options.tokens) and not Path(str(options.tokens)).is_dir():
            known = (*TOKENS, "the folder or repository of a tokenizer")
            raise UnknownNameError.of("tokens", str(options.tokens), known)
        if options.has_tokenizer and (given.get("max_vocab") is not None or options.min_count is not None):
            raise InvalidConfigError(f"max_vocab and min_count: must be omitted with a tokenizer ({task})")
        if options.order is not None and options.id is None:
            raise InvalidConfigError.of("order", options.order, "omitted without an id, the column of the series", task)
        if options.separator is not None and len(options.separator) != 1:
            raise InvalidConfigError.of("separator", options.separator, "one character", task)
        if options.label_separator is not None and (not options.label_separator or len(options.target) != 1):
            raise InvalidConfigError(
                f"label_separator: needs a separator and one target, the column of labels ({task})"
            )
        if options.group is not None and options.time is not None:
            raise InvalidConfigError(f"group and time: each determines the splits; give one of them ({task})")
        return options


def _names(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def task_of_file(file: Path, given: Mapping[str, Any], kind: str | None = None) -> tuple[TaskRef, dict[str, Any]]:
    """Return the task of a file, as in `file/text-class`, and its options with the columns that were chosen.

    Args:
        file: The file.
        given: Options, see `FileOptions`.
        kind: Kind of rows, a config of the task `file`; None to choose it.

    Raises:
        UnknownNameError, InvalidConfigError: See `FileOptions.of`; or an unknown kind.
        InvalidInputError: The file cannot be read, or its columns do not determine a choice. The message has the file.
    """
    if kind is not None and kind not in configs_of(FILE):
        raise UnknownNameError.of("kind", kind, configs_of(FILE))
    options = FileOptions.of(given, f"{FILE}/{kind}" if kind else str(file))
    chosen_kind, chosen = choose_columns(read_grouped(file, options), options, kind)
    named = {
        "inputs": list(chosen.inputs),
        "target": chosen.target[0] if len(chosen.target) == 1 else list(chosen.target) or None,
        "tokens": chosen.tokens,
    }
    return TaskRef.parse(f"{FILE}/{chosen_kind}"), {
        **given,
        **{name: value for name, value in named.items() if value is not None},
    }


def choose_columns(table: UserTable, options: FileOptions, kind: str | None = None) -> tuple[str, FileOptions]:
    """Return the kind of rows of a table, and the options with the columns of inputs and target.

    The target is the column with a name such as `label` or `target`, else the only one with few different values, else
    the only one that is left after the inputs. The inputs are the column with a name such as `text`, else the only one
    of lists, else all of lists of numbers (channels), else the texts with the most characters, else all numbers
    (steps). Texts without a target are to be continued. If all that is left beside texts or lists are columns of 0 and
    1, two or more, they are labels, of which a row has any number. A target is a number if it is not an integer or has
    more than 20 values, and a text to be generated if it has a name such as `translation`, or more than 100 different
    texts and no name such as `label`. Lists are labels of the steps if most have one element for each step; else
    numbers if they are numbers of one length, else labels.

    Raises:
        InvalidInputError: The columns do not determine a choice, or do not fit the kind.
    """
    kinds = {name: table.kind(name) for name in table.columns.column_names}
    shown = f"columns {', '.join(map(repr, list(kinds)[:12]))} of {table.file}"
    for option in ("group", "time"):
        _require_column(getattr(options, option), option, kinds, shown)
    for option in ("inputs", "target"):
        for name in getattr(options, option):
            _require_column(name, option, kinds, shown)
    for name in options.target:
        if name in options.inputs:
            raise InvalidInputError(f"column {name!r} is both an input and the target ({table.file})")
    continued = kind is not None and kind.endswith("next-symbol")
    excluded = {SPLIT_COLUMN, options.group, options.time, options.id, options.order, *options.inputs}
    pool = [name for name in kinds if name not in excluded and kinds[name] not in ("empty", "other")]
    target = options.target
    if not target and not continued:
        found = _named(pool, _TARGET_NAMES) or _only_classes(table, pool, kinds)
        target = () if found is None else (found,)
    pool = [name for name in pool if name not in target]
    inputs = options.inputs or _inputs(table, pool, kinds)
    rest = [name for name in pool if name not in inputs and name.lower() not in _INDEX_NAMES]
    if not target and not continued:
        if len(rest) == 1 or (rest and inputs and kinds[inputs[0]] != "number" and _flags(table, rest, kinds)):
            target = tuple(rest)
        elif rest or not inputs or kinds[inputs[0]] not in ("text", "words"):
            raise InvalidInputError(f"{shown}: none is named like a target; give --target COLUMN")
    if not inputs:
        raise InvalidInputError(
            f"{shown}: no column of texts, lists or numbers besides the target; give --inputs COLUMN"
        )
    texts = kinds[inputs[0]] in ("text", "words") or (kind is not None and kind.startswith("text-"))
    if texts and len(inputs) > 1:
        raise InvalidInputError(f"inputs {', '.join(inputs)} of {table.file}: must be one column of texts")
    tokens = options.tokens
    if texts and tokens is None:
        tokens = "words" if kinds[inputs[0]] == "words" else _tokens(table, inputs[0], bool(target))
    if options.has_tokenizer and (kinds[inputs[0]] != "text" or continued or not target):
        raise InvalidInputError(
            f"--tokens {tokens}: needs a column of texts with a target; {inputs[0]!r} of {table.file} has "
            + ("no target" if kinds[inputs[0]] == "text" else kinds[inputs[0]])
        )
    several = options.label_separator is not None
    found_kind = "multi-label" if several else _target_kind(table, target, inputs, tokens, kinds)
    chosen = kind or f"{'text' if texts else 'series'}-{found_kind}"
    if several and not chosen.endswith("multi-label"):
        raise InvalidInputError(f"--label-separator: must be omitted for the kind {chosen} ({table.file})")
    writes = chosen.endswith("-sequence") and bool(target)
    if writes:
        tokens = _written_tokens(table, options, inputs if texts else (), target, kinds)
    return chosen, replace(options, inputs=tuple(inputs), target=target, tokens=tokens if texts or writes else None)


def _require_column(name: str | None, option: str, kinds: Mapping[str, ColumnKind], shown: str) -> None:
    if name is not None and name not in kinds:
        raise InvalidInputError(f"--{option} {name}: no such column; {shown}")
    if name is not None and kinds[name] in ("empty", "other"):
        what = "no values" if kinds[name] == "empty" else "values of another type than texts, numbers and lists of them"
        raise InvalidInputError(f"--{option} {name}: the column has {what}; {shown}")


def _named(names: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    found = {name.strip().lower(): name for name in names}
    return next((found[name] for name in wanted if name in found), None)


def _only_classes(table: UserTable, names: Iterable[str], kinds: Mapping[str, ColumnKind]) -> str | None:
    """Return the only column whose values are classes: few of them, each twice on average or more often."""
    rows = table.columns.num_rows
    found = []
    for name in names:
        if kinds[name] in ("text", "number") and name.lower() not in _INDEX_NAMES:
            different = pc.count_distinct(table.columns.column(name)).as_py()
            if 2 <= different <= min(_MAX_TEXT_CLASSES, rows // 2) and _whole(table.column(name)):
                found.append(name)
    return found[0] if len(found) == 1 else None


def _whole(column: pa.ChunkedArray) -> bool:
    """Return whether a column has no numbers with a fraction."""
    return not pa.types.is_floating(column.type) or bool(
        pc.all(pc.equal(column, pc.round(column)), skip_nulls=True).as_py()
    )


def _inputs(table: UserTable, pool: list[str], kinds: Mapping[str, ColumnKind]) -> tuple[str, ...]:
    usable = [name for name in pool if kinds[name] != "number"]
    named = _named(usable, _INPUT_NAMES)
    if named is not None:
        return (named,)
    for kind in ("steps", "words"):
        found = [name for name in usable if kinds[name] == kind]
        if len(found) == 1:
            return (found[0],)
    channels = tuple(name for name in usable if kinds[name] == "numbers")
    if channels:
        return channels
    texts = [name for name in usable if kinds[name] == "text"]
    if texts:
        length = {name: pc.sum(pc.utf8_length(table.texts(name).cast(pa.large_string()))).as_py() for name in texts}
        return (max(texts, key=lambda name: length[name] or 0),)
    steps = tuple(name for name in pool if kinds[name] == "number" and name.lower() not in _INDEX_NAMES)
    return steps if len(steps) > 1 else ()


def _tokens(table: UserTable, name: str, has_target: bool) -> str:
    """Return words for texts of several words each; characters for texts to be continued, too."""
    texts = [str(text) for text in table.texts(name)[:_SAMPLE].to_pylist() if text is not None]
    if not has_target or not texts:
        return "characters"
    words = sum(len(found) for found in split_words(text[:_SAMPLE] for text in texts))
    return "words" if words / len(texts) >= _WORDS_OF_A_TEXT else "characters"


def _written_tokens(
    table: UserTable,
    options: FileOptions,
    inputs: tuple[str, ...],
    target: tuple[str, ...],
    kinds: Mapping[str, ColumnKind],
) -> str:
    """Return the symbols of texts that are to be generated, and of the texts of the inputs.

    They are words if the texts of each column have several on average, separated by white space.
    """
    listed = next((name for name in (*inputs, *target) if kinds[name] == "words"), None)
    if options.has_tokenizer:
        raise InvalidInputError(
            f"--tokens {options.tokens}: must be characters or words for texts that are to be generated, as in "
            f"{target[0]!r} of {table.file}"
        )
    if listed is not None and options.tokens == "characters":
        raise InvalidInputError(f"--tokens characters: must be words; {listed!r} of {table.file} has lists of words")
    if options.tokens is not None or listed is not None:
        return options.tokens or "words"
    least = _WORDS_OF_A_TEXT if inputs else _WORDS_OF_A_CAPTION
    for name in (name for name in (*inputs, *target) if kinds[name] in ("text", "number")):
        texts = table.texts(name)[:_SAMPLE].drop_null()
        if not len(texts) or not pa.types.is_large_string(texts.type):
            return "characters"
        words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts)))
        if pc.mean(words).as_py() < least:
            return "characters"
    return "words"


def _flags(table: UserTable, names: Iterable[str], kinds: Mapping[str, ColumnKind]) -> bool:
    """Return whether all columns have only 0 and 1, without missing values."""
    return all(kinds[name] == "number" and is_flag(table.column(name)) for name in names)


def is_flag(column: pa.ChunkedArray) -> bool:
    """Return whether a column of numbers has only 0 and 1, without missing values."""
    flags = pc.is_in(column, pa.array([0.0, 1.0], column.type))
    return not column.null_count and bool(pc.all(flags).as_py())


def _target_kind(
    table: UserTable,
    target: tuple[str, ...],
    inputs: tuple[str, ...],
    tokens: str | None,
    kinds: Mapping[str, ColumnKind],
) -> str:
    if not target:
        return "next-symbol"
    if len(target) > 1:
        wrong = next((name for name in target if kinds[name] != "number"), None)
        if wrong is not None:
            raise InvalidInputError(
                f"targets {', '.join(target)} of {table.file}: {wrong!r} has values that are not numbers; need several "
                "columns of numbers, or of 0 and 1"
            )
        return "multi-label" if _flags(table, target, kinds) else "numbers"
    (name,) = target
    if kinds[name] in ("numbers", "words"):
        return _list_kind(table, name, inputs, tokens, kinds)
    if kinds[name] == "steps":
        raise InvalidInputError(f"column {name!r} of {table.file} has lists of lists; need labels or numbers")
    if kinds[name] == "text":
        plain = name.strip().lower()
        many = plain not in _CLASS_TARGETS and pc.count_distinct(table.texts(name)).as_py() > _MAX_TEXT_CLASSES
        return "sequence" if many or plain in _TEXT_TARGETS else "class"
    if pa.types.is_boolean(table.columns.column(name).type):
        return "class"
    column = table.column(name)
    few = pc.count_distinct(column).as_py() <= _MAX_INTEGER_CLASSES
    return "class" if few and _whole(column) else "number"


def _list_kind(
    table: UserTable, name: str, inputs: tuple[str, ...], tokens: str | None, kinds: Mapping[str, ColumnKind]
) -> str:
    """Return the kind of a target of lists, from the lengths of up to 1,000 rows."""
    lists = table.column(name)[:_SAMPLE]
    sizes = np.array(pc.fill_null(pc.list_value_length(lists), -1).to_pylist())
    first = table.column(inputs[0])[:_SAMPLE]
    if kinds[inputs[0]] == "number":
        steps = np.full(len(sizes), len(inputs))
    elif kinds[inputs[0]] == "text":
        texts = [text or "" for text in first.to_pylist()]
        steps = np.array([len(each) for each in (split_words(texts) if tokens == "words" else texts)])
    else:
        steps = np.array(pc.fill_null(pc.list_value_length(first), -2).to_pylist())
    if (sizes == steps).mean() >= 0.5:  # a few others are mistakes
        return "step-class"
    known = sizes[sizes >= 0]
    return "numbers" if kinds[name] == "numbers" and len(known) and (known == known[0]).all() else "multi-label"
