"""Class labels of a file: the same classes, names and order whatever format the file has."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

MAX_CLASSES = 100  # classes of a file

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_DIGITS = re.compile(r"-?[0-9]+")
_TRUTH = ("false", "true")


def label_text(value: Any) -> str | None:
    """A value of a label column as text; None where it is missing, as an empty text and NaN are.

    Raises:
        TypeError: The value is neither text, number nor truth value.

    >>> [label_text(value) for value in (" good ", 3, 3.0, np.float32(0.1), True, float("nan"), "")]
    ['good', '3', '3.0', '0.1', 'True', None, None]
    """
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return None
    if not isinstance(value, (str, bool, int, float, Decimal, np.floating)):
        raise TypeError
    return str(value).strip() or None


def class_names(texts: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The classes of a column of labels.

    A column of numbers has them as names, each in its shortest form, in numeric order; one of truth values has `false`
    and `true`. Other labels are texts, in the order of their code points; digits with leading zeros keep these and
    stand in numeric order.

    Args:
        texts: Every label, as `label_text` gives it.

    Returns:
        The class of each text, and all classes in the order of their numbers.

    >>> class_names(["10", "2.0", "-1"])
    ({'-1': '-1', '10': '10', '2.0': '2'}, ('-1', '2', '10'))
    >>> class_names(["True", "false"])[1], class_names(["010", "9"])[1], class_names(["b", "10", "9"])[1]
    (('false', 'true'), ('9', '010'), ('10', '9', 'b'))
    """
    different = sorted(set(texts))
    if all(text.lower() in _TRUTH for text in different):
        names = {text: text.lower() for text in different}
        return names, tuple(sorted(set(names.values())))
    if all(_NUMBER.fullmatch(text) for text in different):
        names = {text: _shortest(text) for text in different}
        return names, tuple(sorted(set(names.values()), key=Decimal))
    if all(_DIGITS.fullmatch(text) for text in different):
        different.sort(key=int)
    return {text: text for text in different}, tuple(different)


def _shortest(text: str) -> str:
    """A number without a fraction of zeros or an exponent."""
    number = Decimal(text)
    return str(int(number)) if number == number.to_integral_value() else format(number.normalize(), "f")
