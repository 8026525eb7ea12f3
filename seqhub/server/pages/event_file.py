"""Reader of scalars in the event files of TensorBoard: records of TFRecord with messages of protocol buffers.

Only the fields of scalars are read (`event.proto` and `summary.proto` of TensorFlow); checksums are not checked.
"""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE = 1, 2  # DataType of a tensor


class Scalar(NamedTuple):
    """Scalar of an event file."""

    seconds: float  # since 1970
    step: int
    tag: str
    value: float


def scalars(raw: bytes) -> Iterator[Scalar]:
    r"""Yield the scalars of an event file; a record that is cut off or damaged ends them.

    >>> value = b"\n\x04loss\x15" + struct.pack("<f", 0.5)
    >>> summary = b"\n" + bytes([len(value)]) + value
    >>> event = b"\t" + struct.pack("<d", 7) + b"\x10\x03*" + bytes([len(summary)]) + summary
    >>> list(scalars(struct.pack("<QI", len(event), 0) + event + bytes(4)))
    [Scalar(seconds=7.0, step=3, tag='loss', value=0.5)]
    """
    place = 0
    while place + 12 <= len(raw):
        (size,) = struct.unpack_from("<Q", raw, place)
        event = raw[place + 12 : place + 12 + size]
        place += 16 + size
        if len(event) < size:
            return
        try:
            yield from _event(event)
        except (ValueError, struct.error):
            return


def _event(event: bytes) -> Iterator[Scalar]:
    seconds, step, summaries = 0.0, 0, []
    for number, kind, value in _fields(event):
        if (number, kind) == (1, _FIXED64):
            (seconds,) = struct.unpack("<d", value)
        elif (number, kind) == (2, _VARINT):
            step = int.from_bytes(value, "little")
        elif (number, kind) == (5, _BYTES):
            summaries.append(value)
    for summary in summaries:
        for number, kind, entry in _fields(summary):
            tag, found = _entry(entry) if (number, kind) == (1, _BYTES) else ("", math.nan)
            if tag and math.isfinite(found) and math.isfinite(seconds):
                yield Scalar(seconds, step, tag, found)


def _entry(entry: bytes) -> tuple[str, float]:
    """Return tag and value of a `Summary.Value`; NaN if it is not a scalar."""
    tag, value = "", math.nan
    for number, kind, field in _fields(entry):
        if (number, kind) == (1, _BYTES):
            tag = field.decode("utf-8", "replace")
        elif (number, kind) == (2, _FIXED32):
            (value,) = struct.unpack("<f", field)
        elif (number, kind) == (8, _BYTES):
            value = _tensor(field)
    return tag, value


def _tensor(tensor: bytes) -> float:
    """Return the value of a tensor with one number of single or double precision; NaN for any other."""
    data_type, found = 0, b""
    for number, kind, field in _fields(tensor):
        if (number, kind) == (1, _VARINT):
            data_type = int.from_bytes(field, "little")
        elif kind in (_BYTES, _FIXED32, _FIXED64) and number in (4, 5, 6):  # tensor_content, float_val, double_val
            found = field
    form = {(_FLOAT, 4): "<f", (_DOUBLE, 8): "<d"}.get((data_type, len(found)))
    return float(struct.unpack(form, found)[0]) if form else math.nan


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, wire type and value of the fields of a message.

    Raises:
        ValueError: The message is not valid.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, kind, value.to_bytes(10, "little")
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, place = _varint(message, place)
        if size is None or place + size > len(message):
            raise ValueError("not a message")
        yield key >> 3, kind, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("not a number")
