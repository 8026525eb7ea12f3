"""Long lines of a commit, compared with a JSON parser for any split into pieces."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.long_lines import LongLine


@pytest.fixture(autouse=True)
def few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqhub.server.long_lines.SHORT_CHARACTERS", 20)


def read(raw: bytes, piece: int) -> LongLine:
    line = LongLine(io.BytesIO)
    line.read(raw[start : start + piece] for start in range(0, len(raw), piece))
    return line


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=21, max_size=200)


@settings(max_examples=200, deadline=None)
@given(TEXT, st.booleans(), st.integers(1, 40))
def test_a_long_string_goes_to_the_file(text: str, ascii: bool, piece: int) -> None:
    value = {"key": "file", "value": {"path": 'a"\\ü\n', "content": text, "n": [1, {"x": "yz"}]}}
    line = read(json.dumps(value, ensure_ascii=ascii).encode(), piece)
    assert line.file is not None
    line.file.seek(0)
    found = json.loads(line.text)
    assert found["value"].pop("content") == line.mark
    assert line.file.read().decode() == value["value"].pop("content")  # type: ignore[attr-defined]
    assert found == value


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "' + b"x" * 50,
        b'{"a": "' + b"x" * 50 + b"\x01" + b'"}',
        b'{"a": "' + b"x" * 50 + rb"\q" + b'"}' + b" " * 20,
        b'{"a": "' + b"x" * 50 + rb"\ud800" + b"x" * 50 + b'"}',
        b'{"a": "' + b"x" * 50 + rb"\u0000" + b"x" * 50 + b'"}',
        b'{"a": "' + b"x" * 50 + b'\xff"}',
        b'{"a": "' + b"x" * 50 + b'", "b": "' + b"x" * 50 + b'"}',
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_invalid_json_is_rejected(raw: bytes, piece: int) -> None:
    with pytest.raises(HubHTTPError) as caught:
        read(raw, piece)
    assert caught.value.status in (400, 413)
