"""Parts of C++ text."""

import math
from collections.abc import Iterable


def address(array: str, weight: int, offset: int) -> str:
    """Return the address of an element of a weight; null for a gradient that is not needed."""
    if array == "d_weights" and offset:
        return f"d_weights[{weight}] ? d_weights[{weight}] + {offset} : nullptr"
    return f"{array}[{weight}]" + (f" + {offset}" if offset else "")


def number(value: float) -> str:
    """Return a number as an expression."""
    if math.isnan(value):
        return '__builtin_nan("")'
    if math.isinf(value):
        return "-__builtin_inf()" if value < 0 else "__builtin_inf()"
    return repr(value)


def indented(lines: Iterable[str], spaces: int) -> str:
    """Return lines as a text, each after some spaces."""
    return "\n".join(" " * spaces + line for line in lines)
