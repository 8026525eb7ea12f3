"""Date translation: notations, years of the splits and invalid dates."""

import functools
import operator
from collections import Counter
from datetime import date

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.date_translation import _FORMS, TASK, _pattern, years_of
from seqhub.tasks.splits import SPLITS
from tests.helpers.task_cases import assert_follows, first_examples

CONFIG = TASK.configs[0]
TASK_ID = f"date_translation/{CONFIG.name}"


@pytest.mark.parametrize(
    "text",
    [
        "3 March 1987", "March 3, 1987", "3rd March 1987", "March 3rd, 1987", "the 3rd of March 1987", "Mar 3, 1987",
        "3 Mar 1987", "Mar 3rd, 1987", "Tuesday, 3 March 1987", "Tue, Mar 3 1987", "1987 March 3", "03-Mar-1987",
        "3. März 1987", "03. März 1987", "Dienstag, 3. März 1987", "Di., 3. März 1987", "den 3. März 1987",
        "03.03.1987", "3.3.1987", "03/03/1987", "1987/03/03", "19870303",
    ],
)  # fmt: skip
def test_every_notation_is_translated(text: str) -> None:
    assert TASK.solve(text) == "1987-03-03"
    assert any(_pattern(form).fullmatch(text) for form in _FORMS)


def test_the_first_number_is_the_day_with_points_and_the_month_with_slashes() -> None:
    assert [TASK.solve(text) for text in ("04.12.2001", "4.12.2001", "12/04/2001")] == ["2001-12-04"] * 3


def test_generated_texts_name_the_date_that_the_calendar_of_python_names() -> None:
    """Weekdays, ordinals and the last days of months."""
    rows = first_examples(TASK_ID, rows=2_048)
    for text, target in rows:
        day = date.fromisoformat(target)
        if text.startswith("the "):
            suffix = {1: "st", 21: "st", 31: "st", 2: "nd", 22: "nd", 3: "rd", 23: "rd"}.get(day.day, "th")
            assert text == f"the {day.day}{suffix} of {day:%B} {day.year}"
        elif "day, " in text:
            assert text == f"{day:%A}, {day.day} {day:%B} {day.year}"
    assert {date.fromisoformat(target).day for _, target in rows} == set(range(1, 32))


def test_notations_and_months_are_uniform() -> None:
    rows = first_examples(TASK_ID, rows=8_192)
    same = [form.replace("{dd}", "{day}").replace("{mm}", "{month}") for form in _FORMS]  # equal from day 10 on
    shares = Counter(same)
    found = Counter(
        next(form for form in shares if _pattern(form).fullmatch(text) or _pattern(_padded(form)).fullmatch(text))
        for text, target in rows
        if target[5:7] != "05"  # May is its own abbreviation
    )
    assert_follows(np.array([found[form] for form in shares]), np.array([shares[form] for form in shares]))
    assert_follows(np.bincount([int(target[5:7]) for _, target in rows], minlength=13)[1:])


def _padded(form: str) -> str:
    return form.replace("{day}", "{dd}").replace("{month}", "{mm}")


@pytest.mark.parametrize("config", [CONFIG, *TASK.test_distributions(CONFIG).values()], ids=lambda each: each.name)
def test_the_splits_have_different_years(config) -> None:
    years = {split: years_of(config, split) for split in SPLITS}
    low, high = config.years
    assert sorted(functools.reduce(operator.iadd, years.values(), [])) == list(range(low, high + 1))
    assert [len(each) * 10 // (high - low + 1) for each in years.values()] == [8, 1, 1]
    digits = {(place, digit) for year in years["train"] for place, digit in enumerate(str(year)[1:])}
    assert digits == {(place, str(digit)) for place in range(3) for digit in range(10)}


def test_generated_years_are_those_of_the_split() -> None:
    for split in SPLITS:
        rows = first_examples(TASK_ID, split)
        assert {int(target[:4]) for _, target in rows} <= set(years_of(CONFIG, split))


@pytest.mark.parametrize(
    "text",
    ["", "March", "30 February 1987", "Monday, 3 March 1987", "3 march 1987", "3 March 87", "31.04.1999", "1987-03-03"],
)
def test_other_texts_are_errors(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a date in a notation of date_translation"):
        TASK.solve(text)
