"""Files that the user supplies: their rows, and one-line errors for invalid files."""

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.data import local_files
from seqhub.data.assignment import split_index_of
from seqhub.data.loader import loader_of
from seqhub.data.local_files import OTHER
from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.tasks.schema import CUSTOM
from seqhub.tasks.splits import SPLITS, Split

TEXT, CSV = "char_completion/custom", "sentiment/custom"
LINES = [f"line number {number} of many" for number in range(40)]


def rows_of(source: DataSource) -> dict[str, list[Any]]:
    return {name: [row for batch in source.split(name).batches(0) for row in source.split(name).examples(batch)]
            for name in SPLITS}  # fmt: skip


def write_csv(file: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")) -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])
    return file


def reviews(number: int = 60) -> list[tuple[str, str]]:
    return [(f"the {'good' if n % 2 else 'bad'} film number{n}", "good" if n % 2 else "bad") for n in range(number)]


def test_rows_of_a_text_are_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "my.txt"
    file.write_bytes("\r\n".join([*LINES, "x", "", LINES[0]]).encode("utf-8-sig"))
    rows = rows_of(DataSource(TEXT, file))
    assert sorted(row.inputs for part in rows.values() for row in part) == sorted([*LINES, LINES[0]])
    for place, name in enumerate(SPLITS):
        assert {row.inputs for row in rows[name]} == {line for line in LINES if split_index_of(line.encode()) == place}
    assert all(row.target is None for part in rows.values() for row in part)


def test_long_lines_are_divided_into_windows(tmp_path: Path) -> None:
    file = tmp_path / "my.txt"
    text = "".join(chr(ord("a") + hashlib.sha256(bytes([n])).digest()[0] % 26) for n in range(201))
    file.write_text(text)
    rows = rows_of(DataSource(TEXT, file, {"window": 10}))
    pieces = {row.inputs for part in rows.values() for row in part}
    assert pieces == {
        text[start : start + 10] for start in range(0, 200, 10)
    }  # without the last character, which has no next one


@settings(max_examples=50, deadline=None)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=2, max_size=12),
                      min_size=10, max_size=30))  # fmt: skip
def test_any_text_is_read_with_its_vocabulary(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("own") / "my.txt"
    file.write_bytes("\n".join(lines).encode())
    expected = [line for line in "\n".join(lines).removeprefix("\ufeff").splitlines() if len(line) >= 2]
    if len(set(expected)) < 10:
        with pytest.raises(InvalidInputError, match=r"different lines .* in .*my\.txt; need 10 or more|is empty"):
            DataSource(TEXT, file)
        return
    if {split_index_of(line.encode()) for line in expected} != {0, 1, 2}:
        with pytest.raises(InvalidInputError, match=r"no row for \w+ among the \d+ different lines .* in .*my\.txt"):
            DataSource(TEXT, file)
        return
    source = DataSource(TEXT, file)
    rows = rows_of(source)
    assert sorted(row.inputs for part in rows.values() for row in part) == sorted(expected)
    vocabulary = source.schema.vocabulary
    assert vocabulary is not None
    assert list(vocabulary.symbols) == sorted(set("".join(expected)))
    parts = [{row.inputs for row in part} for part in rows.values()]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_order_and_repetition_of_lines_do_not_move_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("\n".join(LINES))
    two.write_text("\n".join([*reversed(LINES), *LINES]))
    for name in SPLITS:
        assert {row.inputs for row in rows_of(DataSource(TEXT, one))[name]} == {
            row.inputs for row in rows_of(DataSource(TEXT, two))[name]
        }


def test_csv_file_gives_texts_labels_and_words(tmp_path: Path) -> None:
    extra = [("one, two and  the film", "good"), ('the "good" bad film\nhere', "bad")]
    file = write_csv(tmp_path / "my.csv", [(label, text) for text, label in [*reviews(), *extra]], ("stars", "review"))
    source = DataSource(CSV, file, {"text": "review", "label": "stars"})
    assert source.schema.labels == ("bad", "good")
    assert source.schema.vocabulary is not None
    assert set(source.schema.vocabulary.symbols) >= {"the", "good", "bad", "film"}
    assert not any(word.startswith("number") for word in source.schema.vocabulary.symbols)  # each occurs once
    rows = [tuple(row) for part in rows_of(source).values() for row in part]
    assert sorted(rows) == sorted(
        [(f"the {label} film {OTHER}", label) for _, label in reviews()]
        + [(f"{OTHER} {OTHER} {OTHER} the film", "good"), (f"the {OTHER} bad film {OTHER}", "bad")]
    )


def test_without_unknown_every_word_has_an_id(tmp_path: Path) -> None:
    source = DataSource(CSV, write_csv(tmp_path / "my.csv", reviews()), {"unknown": False})
    assert source.schema.vocabulary is not None
    assert {f"number{n}" for n in range(60)} < set(source.schema.vocabulary.symbols)
    assert {row.inputs for part in rows_of(source).values() for row in part} == {text for text, _ in reviews()}
    with pytest.raises(InvalidInputError, match="symbol 'boring' at position 1 of 'the boring film'"):
        source.schema.vocabulary.encode("the boring film")


def test_equal_texts_are_in_the_same_split_with_any_label(tmp_path: Path) -> None:
    twice = [(text, {"good": "bad", "bad": "good"}[label]) for text, label in reviews()]
    rows = rows_of(DataSource(CSV, write_csv(tmp_path / "my.csv", reviews() + twice), {"unknown": False}))
    for part in rows.values():
        assert len(part) == 2 * len({row.inputs for row in part})


@pytest.mark.parametrize("task_id", [TEXT, CSV])
def test_batches_have_the_ids_of_the_vocabulary(task_id: str, tmp_path: Path) -> None:
    file = tmp_path / "my"
    file.write_text("\n".join([*LINES, "déjà vu"])) if task_id == TEXT else write_csv(file, reviews())
    source = DataSource(task_id, file)
    assert source.schema.vocabulary is not None
    for name, size in source.sizes.items():
        split = source.split(name)
        assert split.size == size
        (batch,) = loader_of(split, size)
        texts = [row.inputs for row in rows_of(source)[name]]
        assert batch["input_ids"].tolist() == source.schema.vocabulary.encode_batch(texts).tolist()


WRONG_TEXTS = [
    (b"", r"my is empty; need 10 rows or more"),
    (b"\xef\xbb\xbf \n\t\n", r"my is empty"),
    ("\n".join(LINES).encode("utf-16"), r"byte 0xff at position 0 of .*my; need a text in UTF-8"),
    ("\n".join(LINES).encode("utf-16-le"), r"byte 0x00 at position 1 of .*my; need a text in UTF-8"),
    ("caf\xe9\n".encode("latin-1") * 20, r"byte 0xe9 at position 3 of .*my; need a text in UTF-8"),
    (b"\xef\xbb\xbfabc\xff", r"byte 0xff at position 6 of .*my"),
    (b"\n".join(b"line %d" % n for n in range(9)), r"9 different lines of two characters or more in .*my; need 10"),
    (b"same line\n" * 100, r"1 different lines"),
    (b"a\nb\nc\n" * 100, r"0 different lines"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_TEXTS)
def test_invalid_texts_raise_errors_with_the_position(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "my").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        DataSource(TEXT, tmp_path / "my")
    assert "\n" not in str(caught.value)


def lines_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


GOOD = [f"{text},{label}" for text, label in reviews()]
WRONG_CSVS = [
    (b"", r"my is empty"),
    (lines_of("sentence,class", *GOOD), r"columns 'sentence', 'class' of .*my; need 'text' once, or choose another"),
    (lines_of("text,text,label", *GOOD), r"2 values in line 2 of .*my; the header has 3 columns"),
    (lines_of("text,text,label", "a,b,c"), r"column 'text' occurs 2 times in .*my; need other names"),
    (lines_of("text", *(text for text, _ in reviews())), r"columns 'text' of .*my; need 'label' once"),
    (lines_of("text,label", *GOOD, "no label here"), r"1 values in line 62 of .*my; the header has 2 columns"),
    (lines_of("text,label", *GOOD, "a,b,c"), r"3 values in line 62 of"),
    (lines_of("text,label", *GOOD, " ,good"), r"no text in line 62 of"),
    (lines_of("text,label", *GOOD, "fine, "), r"no label in line 62 of"),
    (
        lines_of("text,label", *(f"{n} x,l{n}" for n in range(1_001))),
        r"1,001 different labels in column 'label' of .*1,000",
    ),
    (lines_of("text,label", *(f"{n} x,good" for n in range(20))), r"1 different labels in column 'label' of"),
    (lines_of("text,label", *GOOD[:9]), r"9 different texts in .*my; need 10 or more"),
    (lines_of("text,label", *(f"{n},l{n}" for n in range(12))), r"label 'l\d+' of .*my has no training row"),
    (lines_of("text,label", *(f"w{n},{'ab'[n % 2]}" for n in range(30))), r"0 different words that occur more than"),
    (lines_of("text,label", '"a' + "x" * 200_000 + ",a"), r"line 2 of .*my is not valid CSV: unexpected end of data"),
    (lines_of("text,label", *GOOD, "\xe9,good").decode().encode("latin-1"), r"byte 0xe9 at position 1,621 of .*my"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_CSVS)
def test_invalid_csv_files_raise_errors_with_the_position(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "my").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        DataSource(CSV, tmp_path / "my")
    assert "\n" not in str(caught.value)


def test_missing_and_too_large_files_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.txt"
    with pytest.raises(InvalidInputError, match=r"my\.txt cannot be read: No such file"):
        DataSource(TEXT, file)
    with pytest.raises(InvalidInputError, match="is a folder; need a file"):
        DataSource(TEXT, tmp_path)
    file.write_text("\n".join(LINES))
    monkeypatch.setattr(local_files, "_MAX_VALUES", 100)
    with pytest.raises(InvalidInputError, match=r"40 rows of up to 22 symbols in .*my\.txt; allowed"):
        DataSource(TEXT, file)


def test_invalid_options_are_errors(tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("\n".join(LINES))
    with pytest.raises(UnknownNameError, match=r"no data option of char_completion/custom 'text'; known: window"):
        DataSource(TEXT, tmp_path / "my.txt", {"text": "review"})
    with pytest.raises(
        UnknownNameError, match=r"no data option of sentiment/custom 'window'; known: text, label, unknown"
    ):
        DataSource(CSV, tmp_path / "my.txt", {"window": 3})
    for value in (1, 65_537, True, "8", 8.0):
        with pytest.raises(InvalidConfigError, match=f"window={value!r}: must be .*data option of {TEXT}"):
            DataSource(TEXT, tmp_path / "my.txt", {"window": value})
    with pytest.raises(UnknownNameError, match="no data option of qrsu/easy 'window'"):
        DataSource("qrsu/easy", None, {"window": 3})


def test_only_the_config_custom_takes_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("\n".join(LINES))
    for name in list_tasks():
        task = get_task(name)
        if task.custom_format:
            assert resolve(f"{name}/custom") == (task, CUSTOM)
            assert CUSTOM not in task.configs
            assert resolve(f"{name}/own") == (task, CUSTOM), "the name in records of 0.1"
            with pytest.raises(InvalidInputError, match=f"^{name}/custom: no file given"):
                Split(f"{name}/custom", "test")
        else:
            with pytest.raises(UnknownNameError, match=f"no config of {name} 'custom'"):
                resolve(f"{name}/custom")
        with pytest.raises(InvalidInputError, match=f"for {name}/{task.configs[0].name}: only the config custom"):
            DataSource(f"{name}/{task.configs[0].name}", tmp_path / "my.txt")


def test_source_without_a_file_has_the_rows_of_the_task() -> None:
    source = DataSource("qrsu/easy")
    assert source.split("test", 3)[7] == Split("qrsu/easy", "test", 3)[7]
    assert source.schema == Split("qrsu/easy").schema
    assert source.sizes == {"train": 100_000, "validation": 10_000, "test": 10_000}
