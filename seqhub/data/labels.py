"""Class labels of a file, with the same names and order in every file format."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

MAX_CLASSES = 1_000  # of a file

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_DIGITS = re.compile(r"-?[0-9]+")
_TRUTH = ("false", "true")


def label_text(value: Any) -> str | None:
    """Return a value of a label column as text; None for missing values: None, NaN and empty text.

    Raises:
        TypeError: The value is not a text, number or boolean.

    >>> [label_text(value) for value in (" good ", 3, 3.0, np.float32(0.1), True, float("nan"), "")]
    ['good', '3', '3.0', '0.1', 'True', None, None]
    """
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return None
    if not isinstance(value, (str, bool, int, float, Decimal, np.floating)):
        raise TypeError
    return str(value).strip() or None


def class_names(texts: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the classes of a column of labels.

    The classes of a column of numbers are the numbers in their shortest form, in numeric order. The classes of a column
    of booleans are `false` and `true`. Other labels are texts in the order of their code points. Digits with leading
    zeros keep the zeros and are in numeric order.

    Args:
        texts: All labels, as `label_text` returns them.

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
    """Return a number without trailing zeros of the fraction and without an exponent."""
    number = Decimal(text)
    return str(int(number)) if number == number.to_integral_value() else format(number.normalize(), "f")
