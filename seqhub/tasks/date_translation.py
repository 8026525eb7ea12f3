"""Dates in many notations, to be translated into ISO 8601.

Source: the sequence-to-sequence model with attention is from Bahdanau, Cho & Bengio (2015), "Neural Machine Translation
by Jointly Learning to Align and Translate". Dates in many notations are a common exercise for it, because the decoder
has to copy some characters, to reorder the parts, and to translate the names of months.

    >>> TASK.solve("Dienstag, 3. März 1987"), TASK.solve("Mar 3rd, 1987"), TASK.solve("03/04/1987")
    ('1987-03-03', '1987-03-03', '1987-03-04')

A text is written in one of 22 notations: with English or German names of months, in full or shortened, with and without
the day of the week, or in numbers. Numbers with slashes begin with the month, as in the United States, unless the year
is first; numbers with points begin with the day, as in Germany. Year, month, day and notation are uniform.

The splits have different years: those of 1000 to 2999 are ranked by a hash, and 1,600 are for training, 200 for
validation and 200 for the test. So a model must copy a year that it has never seen, from digits that it has seen at
every position. The test distribution `years3000-9999` has years with other first digits. Days of the week are those of
the Gregorian calendar, also before its introduction.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.splits import SPLITS

_ENGLISH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_GERMAN = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
    "Dezember",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WOCHENTAGE = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
_FORMS = (
    "{day} {Month} {year}", "{Month} {day}, {year}", "{nth} {Month} {year}", "{Month} {nth}, {year}",
    "the {nth} of {Month} {year}", "{Mon} {day}, {year}", "{day} {Mon} {year}", "{Mon} {nth}, {year}",
    "{Weekday}, {day} {Month} {year}", "{Wday}, {Mon} {day} {year}", "{year} {Month} {day}", "{dd}-{Mon}-{year}",
    "{day}. {Monat} {year}", "{dd}. {Monat} {year}", "{Wochentag}, {day}. {Monat} {year}",
    "{Wt}., {day}. {Monat} {year}", "den {day}. {Monat} {year}", "{dd}.{mm}.{year}", "{day}.{month}.{year}",
    "{mm}/{dd}/{year}", "{year}/{mm}/{dd}", "{year}{mm}{dd}",
)  # fmt: skip
_FIELDS: dict[str, tuple[str, ...]] = {  # field of a form -> its text for each number from 0 on
    "day": tuple(map(str, range(32))),
    "dd": tuple(f"{day:02}" for day in range(32)),
    "nth": tuple(f"{day}{'th' if day in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
                 for day in range(32)),
    "month": tuple(map(str, range(13))),
    "mm": tuple(f"{month:02}" for month in range(13)),
    "Month": ("", *_ENGLISH),
    "Mon": ("", *(name[:3] for name in _ENGLISH)),
    "Monat": ("", *_GERMAN),
    "Weekday": _WEEKDAYS,
    "Wday": tuple(name[:3] for name in _WEEKDAYS),
    "Wochentag": _WOCHENTAGE,
    "Wt": tuple(name[:2] for name in _WOCHENTAGE),
    "year": tuple(f"{year:04}" for year in range(10_000)),
}  # fmt: skip
_NUMBER_OF = {"day": 0, "dd": 0, "nth": 0, "month": 1, "mm": 1, "Month": 1, "Mon": 1, "Monat": 1, "year": 2}  # else 3
_ISO = "{year}-{mm}-{dd}"


@dataclass(frozen=True, kw_only=True)
class DateConfig(TaskConfig):
    """Range of the years; each split has some of them."""

    length: IntRange = (8, 30)  # of "19870303" and "Donnerstag, 31. Dezember 1987"
    years: IntRange

    def __post_init__(self) -> None:
        self.require(self.years[0] >= 1000 and self.years[0] + 9 <= self.years[1] <= 9999, "ten years in 1000 to 9999")


class DateTranslation(Task[DateConfig]):
    """Translation of dates in many notations into ISO 8601."""

    name = "date_translation"
    version = 1
    title = "Dates in English, German or numbers, translated into ISO 8601"
    symbols = tuple(
        sorted(
            {
                *"".join(re.sub(r"\{\w+\}", "", form) for form in (*_FORMS, _ISO)),
                *"".join(map("".join, _FIELDS.values())),
            }
        )
    )
    description = (
        "A text is a date in one of 22 notations, with English or German names of months, or in numbers. The target is "
        "the date in ISO 8601, as in 1987-03-31. Each split has years of its own."
    )
    limits = (
        "The data are synthetic and have no spelling mistakes. They test whether a model can copy, reorder and "
        "translate the parts of a text, not whether it can read the dates of real documents."
    )
    source = """@inproceedings{bahdanau2015neural,
  author    = {Bahdanau, Dzmitry and Cho, Kyunghyun and Bengio, Yoshua},
  title     = {Neural Machine Translation by Jointly Learning to Align and Translate},
  booktitle = {International Conference on Learning Representations},
  year      = {2015}
}"""
    configs = (DateConfig(name="years1000-2999", years=(1000, 2999)),)

    def schema(self, config: DateConfig) -> TaskSchema:
        return TaskSchema(
            vocabulary=self.vocabulary, target="sequence", target_vocabulary=self.vocabulary, max_target=10
        )

    def test_distributions(self, config: DateConfig) -> Mapping[str, DateConfig]:
        name = "years3000-9999"
        return {name: replace(config, name=name, years=(3000, 9999))}

    def generate(self, config: DateConfig, random: BlockRandom) -> Batch:
        known = np.array(years_of(config, random.split))
        years = known[random.integers(0, len(known) - 1)]
        months = random.integers(1, 12)
        first = (years - 1970) * 12 + months - 1
        starts, ends = (
            each.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for each in (first, first + 1)
        )
        days = 1 + (random.uniform(1)[:, 0] * (ends - starts)).astype(np.int64)
        weekdays = (starts + days - 1 + 3) % 7  # 1970-01-01 was a Thursday
        numbers = np.stack([days, months, years, weekdays], axis=1)
        forms = random.integers(0, len(_FORMS) - 1)
        inputs = np.zeros((len(forms), config.length[1]), np.uint16)
        for number, form in enumerate(_FORMS):
            rows = np.flatnonzero(forms == number)
            written = write(form, numbers[rows])
            inputs[rows, : written.shape[1]] = written
        return Batch(inputs, (inputs != 0).sum(axis=1), write(_ISO, numbers).astype(np.int64))

    def solve(self, sequence: str) -> str:
        for form in _FORMS:
            found = _pattern(form).fullmatch(sequence)
            if found is None:
                continue
            numbers = [0, 0, 0, -1]
            for field, text in found.groupdict().items():
                numbers[_NUMBER_OF.get(field, 3)] = _FIELDS[field].index(text)
            try:
                day = date(numbers[2], numbers[1], numbers[0])
            except ValueError:
                break
            if numbers[3] in (-1, day.weekday()):
                return day.isoformat()
        raise InvalidInputError(f"{sequence[:40]!r} is not a date in a notation of {self.name}")


def years_of(config: DateConfig, split: str) -> list[int]:
    """Return the years of a split: tenths of all years, which are ranked by SHA-256."""
    years = range(config.years[0], config.years[1] + 1)
    ranked = sorted(years, key=lambda year: hashlib.sha256(f"date_translation {year}".encode()).digest())
    shares = np.cumsum([0, *SPLITS.values()]) * len(ranked) // sum(SPLITS.values())
    place = list(SPLITS).index(split)
    return sorted(ranked[shares[place] : shares[place + 1]])


def write(form: str, numbers: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Return the ids (N, T) of dates in one form, padded on the right with 0.

    Args:
        form: Element of `_FORMS`.
        numbers: (N, 4), day, month, year, and day of the week from 0 for Monday.
    """
    parts = []
    for literal, field in re.findall(r"([^{]*)(?:\{(\w+)\})?", form):
        if literal:
            parts.append(np.broadcast_to(_ids((literal,))[0], (len(numbers), len(literal))))
        if field:
            parts.append(_ids(_FIELDS[field])[numbers[:, _NUMBER_OF.get(field, 3)]])
    spaced = np.concatenate(parts, axis=1)  # with padding after each part
    order = np.argsort(spaced == 0, axis=1, kind="stable")
    ids = np.take_along_axis(spaced, order, axis=1)
    return ids[:, : int((ids != 0).sum(axis=1).max(initial=0))]


@cache
def _ids(texts: tuple[str, ...]) -> NDArray[np.uint16]:
    """Return the ids of texts, (N, T), padded on the right with 0."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.uint16)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = [TASK.vocabulary.ids[symbol] for symbol in text]
    return ids


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """Return a regular expression with a group for each field of a form."""
    parts = re.findall(r"([^{]*)(?:\{(\w+)\})?", form)
    return re.compile(
        "".join(
            re.escape(literal) + (f"(?P<{field}>{_alternatives(field)})" if field else "") for literal, field in parts
        )
    )


def _alternatives(field: str) -> str:
    """Return a regular expression for the texts of a field."""
    return "[0-9]{4}" if field == "year" else "|".join(filter(None, _FIELDS[field]))


TASK = DateTranslation()
