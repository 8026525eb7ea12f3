"""Strict parsing of JSON in requests and in files of repositories."""

# ruff: noqa: E501  # tables are more readable in long lines

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**300), 10**300) | st.floats() | st.text(st.characters(codec=None)),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=3), items, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [(b'{"a": NaN}', "NaN"), (b"[-Infinity]", "Infinity"), (b"[1e999]", "finite"), (b"[-1e999]", "finite"),
     (b'{"a": 1, "b": 2, "a": 3}', "twice"), (b'["\\ud800"]', "surrogate"), (b'{"\\uDFFF": 1}', "surrogate"),
     (b"1" * 310, "309 digits"), (b"[" * 33 + b"]" * 33, "deeper"), (b"[" * 10**6, "deeper"), (b'{"a": {"b": "\\udc00x"}}', "surrogate"),
     (b"\xff", "utf-8"), (b"", "Expecting"), (b"{} {}", "Extra"), (b'"\x01"', "control")],
)  # fmt: skip
def test_requests_are_read_strictly(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_json.parse(text)


def test_surrogate_pairs_are_characters() -> None:
    text = json.dumps({"\U0001f917": ["\U0001f917", "[" * 100]}).encode()
    assert strict_json.parse(text) == strict_json.parse_content(text) == {"\U0001f917": ["\U0001f917", "[" * 100]}


@given(VALUES)
def test_content_can_be_written_into_any_answer(value: Any) -> None:
    """Values of the `json` module, including NaN and lone surrogates."""
    found = strict_json.parse_content(json.dumps(value).encode())
    assert strict_json.parse(json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")) == found


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_strict_values_can_be_written_into_any_answer(text: bytes) -> None:
    try:
        found = strict_json.parse(text)
    except ValueError:
        return
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert strict_json.parse_content(text) == found
