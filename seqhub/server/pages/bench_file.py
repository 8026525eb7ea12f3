"""Results of a benchmark in a repository: the rows of its bench.json, as far as a page shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from seqhub.server import strict_json
from seqhub.server.pages.markdown import plain
from seqhub.server.request import RequestContext
from seqhub.server.types import Commit

NAME: Final = "bench.json"
FORMAT: Final = 1
TEST: Final = "test"  # name of the distribution with the lengths of training
MAX_BYTES: Final = 8_000_000  # of the file up to the end of its rows; the cells behind them are not read
MAX_ROWS: Final = 5000
_FIELDS: Final = ("format", "rows")
_MAX_NAME: Final = 200  # characters
_MAX_PROBLEMS: Final = 20  # of a row


class BenchFileError(ValueError):
    """Raised for a bench.json that a page cannot show; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """Results of all seeds of a row on one test distribution."""

    mean_length: float
    seeds: int
    solved: int
    median: float | None  # of the scaled score, which is 0 at chance and 1 at best
    least: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One model of one size on one task; None for what was not measured."""

    task: str
    model: str
    params: int | None  # requested number of parameters
    budget: int  # training tokens; 0 if its first measurement failed
    seeds: int
    sized_model: str
    parameters: int | None
    state: tuple[int, ...]  # floats after 1 and 256 tokens; () if it is not known
    ms_per_token: float | None
    learning_rate: float | None
    tokens: float | None  # training tokens until solved, median
    exceptions: tuple[tuple[str, str], ...]  # settings that differ from the common ones
    problems: tuple[tuple[str, str], ...]  # what failed or diverged, and why
    results: Mapping[str, Result]  # by distribution

    @property
    def has_failed(self) -> bool:
        """Return whether it has problems and no results."""
        return bool(self.problems) and not self.results


class Group(NamedTuple):
    """Size and budget, within which models are compared; some tasks may have budgets of their own."""

    params: int | None
    budget: int
    others: tuple[tuple[str, int], ...] = ()  # task id, budget

    @property
    def slug(self) -> str:
        """Value in a URL."""
        return f"{'own' if self.params is None else self.params}-{self.budget}"

    @property
    def title(self) -> str:
        """Text of a link."""
        size = "own size of each model" if self.params is None else f"{self.params:,} parameters"
        others = ", ".join(f"{task}: {budget:,}" for task, budget in self.others)
        return f"{size}, {self.budget:,} training tokens" + (f" ({others})" if others else "")


def has_bench(context: RequestContext, commit: Commit) -> bool:
    """Return whether a repository has the results of a benchmark."""
    entry = context.store.revisions.entry(context.repo, commit, NAME)
    return entry is not None and not entry.is_folder


def read_rows(raw: bytes, *, is_whole: bool) -> list[BenchRow]:
    """Return the rows of a bench.json.

    Args:
        raw: Beginning of the file.
        is_whole: Whether that is the whole file.

    Raises:
        BenchFileError: It is not valid, of another format, or too large.
    """
    try:
        fields = strict_json.parse_fields(raw, _FIELDS)
    except ValueError as error:
        if not is_whole:
            raise BenchFileError(f"{NAME} has no valid rows in its first {MAX_BYTES:,} bytes.") from None
        raise BenchFileError(f"{NAME} is not valid JSON: {plain(error)[:200]}.") from None
    if fields.get("format") != FORMAT:
        given = plain(repr(fields.get("format")))[:60]
        raise BenchFileError(f"{NAME} has format {given}; this Hub shows format {FORMAT}.")
    rows = fields.get("rows")
    if not isinstance(rows, list):
        raise BenchFileError(f"{NAME} has no list of rows.")
    if len(rows) > MAX_ROWS:
        raise BenchFileError(f"{NAME} has {len(rows):,} rows; this Hub shows at most {MAX_ROWS:,}.")
    return [_row(_Object(row, f"rows.{number}")) for number, row in enumerate(rows)]


def groups(rows: Iterable[BenchRow]) -> dict[Group, list[BenchRow]]:
    """Return the rows by size and budget; within a group one row for each model and task, that with the most seeds.

    If each task has one budget, all rows of a size are one group. A row without a budget is in all groups of its size.
    """
    sizes: dict[int | None, list[BenchRow]] = {}
    for row in rows:
        sizes.setdefault(row.params, []).append(row)
    found: dict[Group, list[BenchRow]] = {}
    for params, own in sizes.items():
        pairs = dict.fromkeys((row.task, row.budget) for row in own if row.budget)
        budgets = [budget for _, budget in pairs] or [0]
        common = max(budgets, key=budgets.count)
        if len(pairs) == len({task for task, _ in pairs}):
            all_groups = [Group(params, common, tuple(pair for pair in pairs if pair[1] != common))]
        else:
            all_groups = [Group(params, budget) for budget in dict.fromkeys(budgets)]
        for group in all_groups:
            found[group] = _members(group, own)
    return found


def longest_common(rows: Sequence[BenchRow]) -> dict[str, str]:
    """Return, for each task, the longest test distribution on which all models with results were tested."""
    of_task: dict[str, list[BenchRow]] = {}
    for row in rows:
        if row.results:
            of_task.setdefault(row.task, []).append(row)
    found = {}
    for task, tested in of_task.items():
        first = tested[0].results
        common = [name for name in first if all(name in row.results for row in tested)]
        found[task] = max(common, key=lambda name: (first[name].mean_length, name), default=TEST)
    return found


def _members(group: Group, rows: Iterable[BenchRow]) -> list[BenchRow]:
    members: dict[tuple[str, str], BenchRow] = {}
    allowed = dict(group.others)
    for row in rows:
        name = (row.task, row.model)
        if row.budget in (0, allowed.get(row.task, group.budget)) and (
            name not in members or members[name].seeds < row.seeds
        ):
            members[name] = row
    return list(members.values())


class _Object:
    """Object of the file, whose fields are checked when they are read."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise BenchFileError(f"{NAME}: {where} is not an object.")
        self._fields = value
        self._where = where

    def object(self, name: str) -> "_Object":
        return _Object(self._fields.get(name), f"{self._where}.{name}")

    def objects(self, name: str) -> "list[tuple[str, _Object]]":
        found = self.object(name)
        return [(_name(key), _Object(value, f"{found._where}.{_name(key)}")) for key, value in found._fields.items()]

    def texts(self, name: str) -> list[tuple[str, str]]:
        fields = self.object(name)._fields
        return [(_name(key), plain(value)) for key, value in list(fields.items())[:_MAX_PROBLEMS]]

    def name(self, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not _name(value):
            raise self._wrong(name)
        return _name(value)

    def whole(self, name: str) -> int:
        value = self._fields.get(name)
        if type(value) is not int or not 0 <= value < 10**15:
            raise self._wrong(name)
        return value

    def whole_or_none(self, name: str) -> int | None:
        return None if self._fields.get(name) is None else self.whole(name)

    def number_or_none(self, name: str) -> float | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not abs(value) < 1e15:
            raise self._wrong(name)
        return float(value)

    def items(self, name: str) -> list[Any]:
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise self._wrong(name)
        return value

    def wholes(self, name: str) -> tuple[int, ...]:
        values = [] if self._fields.get(name) is None else self.items(name)
        if len(values) > 2 or any(type(value) is not int or not 0 <= value < 10**15 for value in values):
            raise self._wrong(name)
        return tuple(values)

    def has(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def _wrong(self, name: str) -> BenchFileError:
        return BenchFileError(f"{NAME}: {self._where}.{name} is missing or not valid.")


def _row(row: _Object) -> BenchRow:
    results = {}
    problems = [(f"seed {what}" if what.isdecimal() else what, why) for what, why in row.texts("failed")]
    problems += [(f"seed {seed}, diverged", why) for seed, why in row.texts("diverged")]
    for name, each in row.objects("distributions"):
        results[name] = _result(each)
        if name != TEST:
            problems += [(f"seed {seed} on {name}", why) for seed, why in each.texts("failed")]
    return BenchRow(
        task=row.name("task"),
        model=row.name("model"),
        params=row.whole_or_none("params"),
        budget=row.whole("budget"),
        seeds=len(row.items("seeds")),
        sized_model=row.name("sized_model") if row.has("sized_model") else row.name("model"),
        parameters=row.whole_or_none("parameters"),
        state=row.wholes("state_floats"),
        ms_per_token=row.number_or_none("ms_per_token"),
        learning_rate=row.number_or_none("learning_rate"),
        tokens=row.object("tokens").number_or_none("median") if row.has("tokens") else None,
        exceptions=tuple(row.texts("exceptions")),
        problems=tuple(problems[:_MAX_PROBLEMS]),
        results=results,
    )


def _result(given: _Object) -> Result:
    score = given.object("score")
    mean_length = given.number_or_none("mean_length")
    return Result(
        mean_length=0.0 if mean_length is None else mean_length,
        seeds=given.whole("seeds"),
        solved=given.whole("solved"),
        median=score.number_or_none("median"),
        least=score.number_or_none("least"),
        most=score.number_or_none("most"),
    )


def _name(text: str) -> str:
    return plain(text)[:_MAX_NAME]
