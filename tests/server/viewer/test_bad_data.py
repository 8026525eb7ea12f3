"""Data and queries that are not valid: one clear JSON error each, and limits on time and memory."""

import datetime
import decimal
import gzip
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqhub.server.viewer import prepare
from seqhub.server.viewer.datasets import remove_old_copies
from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.process import ViewerProcess
from tests.server.viewer.conftest import ViewerHub, parquet

TABLE = pa.table({"x": list(range(1000)), "text": [f"text {n}" for n in range(1000)]})
WHOLE = parquet(TABLE)
BAD_FILES = {
    "truncated.parquet": (WHOLE[:-100], "not a readable Parquet file"),
    "cut.parquet": (WHOLE[:50], "not a readable Parquet file"),
    "damaged.parquet": (WHOLE[:200] + b"\xff" * 600 + WHOLE[800:], "not a readable Parquet file"),
    "empty.parquet": (b"", "not a readable Parquet file"),
    "text.parquet": (b"x\n1\n", "not a readable Parquet file"),
    "parquet.csv": (WHOLE, "its content is Parquet; rename it to .parquet"),
    "parquet.jsonl": (WHOLE, "its content is Parquet; rename it to .parquet"),
    "empty.csv": (b"", "Empty CSV"),
    "ragged.csv": (b"x,y\n1,2\n1,2,3\n", "Expected 2 columns, got 3"),
    "twice.csv": (b"x,x\n1,2\n", "the column 'x' occurs more than once"),
    "latin.csv": ("text\n\u00e9\n".encode("latin-1") * 3, ""),
    "bad.jsonl": (b'{"x": 1}\n{"x": \n', "JSON parse error"),
    "empty.jsonl": (b"", "Empty JSON"),
    "mixed.jsonl": (b'{"x": 1}\n{"x": "a"}\n', "changed from number to string"),
    "array.json": (b'[{"x": 1}, 2]', "each item of the array must be an object"),
    "array.json.gz": (gzip.compress(b'[{"x": 1}'), "not a readable JSON lines file"),
    "not.csv.gz": (b"x\n1\n", "not a readable CSV file"),
    "short.csv.gz": (gzip.compress(b"x\n" + b"1\n" * 10_000)[:-20], "not a readable CSV file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_cannot_be_read(hub: ViewerHub, name: str) -> None:
    content, text = BAD_FILES[name]
    dataset = f"ada/bad-{name.replace('.', '-')}"
    hub.make(dataset, {name: content})
    if name == "latin.csv":  # Arrow reads it as bytes
        assert hub.ok("/rows", dataset=dataset)["rows"][0]["row"] == {"text": "6Q=="}
        return
    for path in ("/rows", "/first-rows", "/statistics", "/filter"):
        message = hub.error(path, 422, "UnreadableFileError", dataset=dataset)
        assert message.startswith(f"{name} is not a readable")
        assert text in message
    if name == "damaged.parquet":  # its footer can be read
        return
    assert hub.ok("/is-valid", dataset=dataset)["viewer"] is False
    answer = hub.ok("/size", dataset=dataset)
    assert answer["failed"][0]["error"]["code"] == "UnreadableFileError"
    assert hub.error("/info", 422, "UnreadableFileError", dataset=dataset, config="default")
    assert hub.ok("/info", dataset=dataset)["dataset_info"] == {}
    assert hub.ok("/croissant-crumbs", dataset=dataset)["recordSet"] == []


@pytest.mark.parametrize(
    ("path", "query", "code", "text"),
    [
        ("/rows", {"offset": -1}, "InvalidParameterError", "'offset' must not be negative: -1"),
        ("/rows", {"offset": "x"}, "InvalidParameterError", "'offset' must be an integer, not 'x'"),
        ("/rows", {"offset": "9" * 30}, "InvalidParameterError", "'offset' must be an integer"),
        ("/rows", {"length": 101}, "InvalidParameterError", "'length' must not be greater than 100, not 101"),
        ("/rows", {"length": 1.5}, "InvalidParameterError", "'length' must be an integer, not '1.5'"),
        ("/rows", {"config": None}, "MissingRequiredParameter", "'config' is required"),
        ("/rows", {"split": " "}, "MissingRequiredParameter", "'split' is required"),
        ("/search", {}, "MissingRequiredParameter", "'query' is required"),
        ("/search", {"query": "x" * 2000}, "InvalidParameterError", "'query' has 2000 characters"),
        ("/filter", {"where": '"x" = '}, "InvalidParameterError", "'where', character 7: a value is missing"),
        ("/filter", {"where": '"no"=1'}, "InvalidParameterError", "there is no column 'no'; allowed: x, text"),
        ("/filter", {"where": "x" * 5000}, "InvalidParameterError", "'where' has 5000 characters"),
        ("/filter", {"orderby": '"no"'}, "InvalidParameterError", "'orderby', character 1"),
        ("/assets", {"row": 1}, "MissingRequiredParameter", "'column' is required"),
        ("/assets", {"row": 10**6, "column": "x"}, "InvalidParameterError", "'row' must be below"),
    ],
)
def test_parameters_that_are_not_valid(
    hub: ViewerHub, good: str, path: str, query: dict[str, Any], code: str, text: str
) -> None:
    assert text in hub.error(path, 422, code, dataset=good, **query)


@pytest.fixture(scope="module")
def good(hub: ViewerHub) -> str:
    hub.make("ada/good", {"data/train.parquet": WHOLE})
    return "ada/good"


def test_names_that_do_not_exist(hub: ViewerHub, good: str) -> None:
    message = hub.error("/rows", 404, "ConfigNotFoundError", dataset=good, config="hard")
    assert message == "The config 'hard' does not exist; allowed: default."
    message = hub.error("/rows", 404, "SplitNotFoundError", dataset=good, split="test")
    assert message == "The split 'test' of config 'default' does not exist; allowed: train."
    assert hub.error("/assets", 404, "ColumnNotFoundError", dataset=good, row=0, column="no")
    assert hub.error("/assets", 404, "AssetNotFoundError", dataset=good, row=0, column="x")
    assert hub.error("/splits", 404, "ConfigNotFoundError", dataset=good, config="")
    for dataset in ("ada/a/b", "ada", "/", "a" * 5000, "ada/../good", "%00"):
        assert hub.get("/rows", "ada", dataset=dataset).status_code == 404, dataset
    assert hub.get("/rows", "ada", dataset="a\0b").status_code == 400
    assert hub.get("/rows").headers["x-error-code"] == "MissingRequiredParameter"
    assert hub.get("/api/models/ada/x/croissant").status_code == 401


def test_datasets_without_data(hub: ViewerHub) -> None:
    hub.make("ada/nothing", {"notes.txt": b"x"})
    hub.make("ada/bad-card", {"README.md": b"---\nconfigs: 3\n---\n", "a.csv": b"x\n1\n"})
    for path in ("/splits", "/rows", "/info", "/size", "/parquet"):
        message = hub.error(path, 422, "EmptyDatasetError", dataset="ada/nothing")
        assert ".parquet" in message
        assert "configs" in hub.error(path, 422, "InvalidCardError", dataset="ada/bad-card")


def test_columns_that_differ_between_files(hub: ViewerHub) -> None:
    """A missing column is null; types that cannot be unified are an error."""
    hub.make("ada/wider", {"a.csv": b"x\n1\n", "b.csv": b"x,y\n1.5,b\n"})
    assert [item["row"] for item in hub.ok("/rows", dataset="ada/wider")["rows"]] == [
        {"x": 1.0, "y": None},
        {"x": 1.5, "y": "b"},
    ]
    assert hub.ok("/filter", dataset="ada/wider", where='"y" IS NULL')["num_rows_total"] == 1
    hub.make("ada/mismatch", {"a.csv": b"x\n1\n", "b.csv": b"x\na\n"})
    message = hub.error("/rows", 422, "SchemaMismatchError", dataset="ada/mismatch")
    assert message.startswith("b.csv has other columns than a.csv")


def test_one_huge_row_group(hub: ViewerHub) -> None:
    """A file with large row groups is converted once; all its rows can be read."""
    count = prepare.MAX_GROUP_ROWS + 1000
    table = pa.table({"x": np.arange(count)})
    hub.make("ada/huge", {"a.parquet": parquet(table, count)})
    for offset in (0, 100_000, count - 10):
        answer = hub.ok("/rows", dataset="ada/huge", offset=offset, length=10)
        assert [item["row"]["x"] for item in answer["rows"]] == list(range(offset, offset + 10))
        assert (answer["num_rows_total"], answer["partial"]) == (count, False)
    copies = list((hub.store.root / "tmp").glob("viewer-*-*"))
    assert any(pq.ParquetFile(path).metadata.num_row_groups >= count // prepare.ROWS for path in copies)


def test_types_that_change_after_the_first_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "BLOCK", 1024)
    rows = 1000
    for name, content in {
        "a.csv": b"x,y,z\n" + b"1,1,\n" * rows + b"2.5,word,3\n",
        "a.jsonl": b'{"x": 1, "y": null}\n' * rows + b'{"x": 2.5, "y": "word", "z": 3}\n',
    }.items():
        path, copy = tmp_path / name, tmp_path / f"{name}.copy"
        path.write_bytes(content)
        file = {"name": name, "path": str(path), "copy": str(copy), "separator": None}
        _, found = prepare.open_prepared(file | {"format": "csv" if name == "a.csv" else "json"})
        last = found.read().to_pylist()[-1]
        assert (last["x"], last["y"]) == (2.5, "word")
        assert found.metadata.num_rows == rows + 1


def test_a_compressed_file_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MAX_CONVERTED", 2**20)
    path, copy = tmp_path / "a.csv.gz", tmp_path / "copy"
    path.write_bytes(gzip.compress(b"x\n" + b"12345678\n" * 5_000_000))
    file = {"name": "a.csv.gz", "path": str(path), "copy": str(copy), "format": "csv", "separator": None}
    _, found = prepare.open_prepared(file)
    assert 100_000 < found.metadata.num_rows < 5_000_000
    assert prepare.is_partial(found.metadata)


def test_long_cells_are_truncated(hub: ViewerHub) -> None:
    texts = [f"{number}" + "x" * 200_000 for number in range(60)]
    hub.make("ada/long", {"a.parquet": parquet(pa.table({"n": list(range(60)), "text": texts}))})
    for path, limit in (("/first-rows", 1_100_000), ("/rows", 4_400_000)):
        answer = hub.get(path, dataset="ada/long")
        assert len(answer.content) < limit
        rows = answer.json()["rows"]
        assert rows[0]["truncated_cells"] in ([], ["text"])
        assert rows[-1]["truncated_cells"] == ["text"]
        assert rows[-1]["row"]["text"].startswith(f'"{rows[-1]["row_idx"]}xxx')
        assert len(rows[-1]["row"]["text"]) == 100
    assert answer.json()["rows"][0]["row"]["text"] == texts[0]


def test_cells_of_all_types_are_json(hub: ViewerHub) -> None:
    values = {
        "nan": [float("nan"), float("inf")],
        "bytes": [b"\xff\x00", b""],
        "time": [datetime.datetime(2020, 1, 2, 3, 4, 5, 6), None],
        "day": [datetime.date(2020, 1, 2), datetime.date(1, 1, 1)],
        "span": [datetime.timedelta(seconds=1), None],
        "price": [decimal.Decimal("1.10"), None],
        "nested": [{"a": [1.5, None], "b": {"c": b"x"}}, None],
    }
    columns = {name: pa.array(items) for name, items in values.items()}
    columns["nanoseconds"] = pa.array([1234567890123456789, None]).cast(pa.timestamp("ns"))
    columns["year 9999999"] = pa.array([2**50, 0]).cast(pa.timestamp("s"))
    columns["zone"] = pa.array([0, None]).cast(pa.timestamp("us", "Mars/Base"))
    columns["map"] = pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64()))
    columns["big"] = pa.array([2**64 - 1, 0], pa.uint64())
    invalid = pa.array([b"\xff", b"a"]).view(pa.string())
    columns["invalid"] = invalid
    hub.make("ada/types", {"a.parquet": parquet(pa.table(columns))})
    first, second = (item["row"] for item in hub.ok("/rows", dataset="ada/types")["rows"])
    assert first["nan"] is second["nan"] is None
    assert (first["bytes"], first["time"], first["day"]) == ("/wA=", "2020-01-02T03:04:05.000006", "2020-01-02")
    assert (first["price"], first["nested"]) == ("1.10", {"a": [1.5, None], "b": {"c": "eA=="}})
    assert first["nanoseconds"].startswith("2009-02-13 23:31:30.123456789")
    assert (first["big"], first["map"], first["invalid"]) == (2**64 - 1, [["k", 1]], "\ufffd")
    assert hub.get("/statistics", dataset="ada/types").status_code == 200
    assert hub.get("/first-rows", dataset="ada/types").status_code == 200


def test_a_schema_with_other_features_than_columns(hub: ViewerHub) -> None:
    """Features in the metadata of a file are used only if they describe its columns."""
    for number, features in enumerate(
        [None, 3, [], {"x": 1}, {"x": {"_type": "ClassLabel"}}, {"x": {"_type": "Image"}}, {"x": {"feature": {}}},
         {"x": {"_type": "List", "feature": None}}, {"y": {"_type": "Value"}}, {"x": {"_type": "Value"}}]
    ):  # fmt: skip
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table({"x": [1]}).replace_schema_metadata(metadata)
        hub.make(f"ada/features-{number}", {"a.parquet": parquet(table)})
        for path in ("/rows", "/first-rows", "/statistics", "/info", "/croissant-crumbs"):
            answer = hub.ok(path, dataset=f"ada/features-{number}")
        assert answer["recordSet"][1]["field"][0]["dataType"] == "cr:Int64"


def test_images(hub: ViewerHub) -> None:
    """Width, height and URL of an image; the URL gives the bytes, under the same permission."""
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30).to_bytes(4, "big") + (20).to_bytes(4, "big") + b"\x08\2\0\0\0"
    wave = b"RIFF\0\0\0\0WAVEfmt "
    cells = [{"bytes": png, "path": "a.png"}, {"bytes": b"?", "path": None}, None]
    table = pa.table({"image": cells, "sound": [{"bytes": wave, "path": None}] * 3})
    features = {"image": {"_type": "Image"}, "sound": {"_type": "Audio"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    hub.make("ada/images", {"a.parquet": parquet(table.replace_schema_metadata(metadata))}, private=True)
    answer = hub.get("/rows", "ada", dataset="ada/images").json()
    assert [feature["type"] for feature in answer["features"]] == list(features.values())
    first, second, third = (item["row"] for item in answer["rows"])
    assert (first["image"]["height"], first["image"]["width"]) == (20, 30)
    assert (second["image"]["height"], third["image"]) == (None, None)
    assert first["sound"][0]["type"] == "audio/wav"
    url = first["image"]["src"]
    headers = {"Authorization": f"Bearer {hub.tokens['ada']}"}
    found = hub.client.get(url, headers=headers)
    assert (found.content, found.headers["content-type"]) == (png, "image/png")
    assert hub.client.get(url).status_code == 401
    assert hub.client.get(second["image"]["src"], headers=headers).headers["content-type"] == "application/octet-stream"
    statistics = hub.get("/statistics", "ada", dataset="ada/images").json()["statistics"]
    assert [(item["column_name"], item["column_statistics"]["max"]) for item in statistics] == [("image", 30)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("large")
    path = folder / "a.parquet"
    text = pa.array(["abcdefgh" * 200] * 60_000)
    pq.write_table(pa.table({"text": text}), path, row_group_size=10_000)
    file = {"name": "a.parquet", "path": str(path), "copy": f"{path}.copy", "format": "parquet", "separator": None}
    return {"files": [file], "features": [], "partial": False, "assets": "", "offset": 0, "length": 1, "query": "x"}


@pytest.mark.timeout(120)
def test_random_damage_of_a_file_has_one_clear_error(tmp_path: Path) -> None:
    """The reader of Parquet may raise, or end its process; the next query works."""
    numbers = range(500)
    columns = {"x": list(numbers), "text": [f"text {n % 50}" for n in numbers], "list": [[n, 1] for n in numbers]}
    random_ = random.Random(0)
    process = ViewerProcess(seconds=20)
    statuses = set()
    for number, compression in enumerate(["snappy", "none", "zstd"] * 12):
        content = bytearray(parquet(pa.table(columns), compression=compression))
        for _ in range(random_.choice((1, 3, 20))):
            start = random_.choice((0, 2 * len(content) // 3))  # data, or the footer
            content[random_.randrange(start, len(content))] = random_.randrange(256)
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content)
        file = {"name": "a", "path": str(path), "copy": f"{path}.copy", "format": "parquet", "separator": None}
        given = {"files": [file], "features": [], "partial": False, "assets": "", "offset": 350, "length": 100}
        for operation in ("rows", "filter", "statistics"):
            try:
                process.run(operation, given | {"where": '"x">3', "orderby": '"text" DESC'})
                statuses.add((200, ""))
            except ViewerError as problem:
                statuses.add((problem.status, problem.code))
    process.close()
    assert statuses == {(200, ""), (422, "UnreadableFileError")}


@pytest.mark.timeout(60)
def test_a_query_has_limits(large: dict[str, Any]) -> None:
    small = ViewerProcess(memory_bytes=4 * 2**20)
    with pytest.raises(ViewerError, match="more than 4 MiB of memory") as caught:
        small.run("search", large)
    assert (caught.value.status, caught.value.code) == (422, "TooBigContentError")
    small.close()
    process = ViewerProcess()
    assert json.loads(process.run("search", large).body)["num_rows_total"] == 0
    pid = process.pid
    process.run("rows", large)
    assert process.pid == pid
    process.close()
    with pytest.raises(ViewerError, match="stopping"):
        process.run("rows", large)


@pytest.mark.timeout(60)
def test_a_query_that_ends_its_process_ends_no_other_query(large: dict[str, Any]) -> None:
    process = ViewerProcess(seconds=1)
    many = {**large, "files": large["files"] * 400}
    with pytest.raises(ViewerError, match="took more than 1 s") as caught:
        process.run("search", many)
    assert caught.value.status == 503
    assert process.run("rows", large)
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.run("rows", large)
    assert process.pid != pid
    process.close()


def test_copies_are_limited_in_total(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"viewer-{number}"
        path.write_bytes(bytes(1000))
        os.utime(path, (number, number))
    (tmp_path / "other").write_bytes(bytes(5000))
    remove_old_copies(tmp_path, 2500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "viewer-3", "viewer-4"]


def test_answers_are_cached_by_content(hub: ViewerHub) -> None:
    """The same content in another repository needs no new query."""
    viewer = hub.client.app.router.default.viewer  # type: ignore[attr-defined]
    hub.make("ada/original", {"a.csv": b"x\n17\n"})
    hub.make("ada/copy", {"a.csv": b"x\n17\n"})
    expected = hub.ok("/statistics", dataset="ada/original")
    run, viewer.process.run = viewer.process.run, None
    try:
        assert hub.ok("/statistics", dataset="ada/original") == hub.ok("/statistics", dataset="ada/copy") == expected
    finally:
        viewer.process.run = run


def test_a_file_in_the_temporary_folder_that_was_removed(hub: ViewerHub) -> None:
    """It is written again."""
    hub.make("ada/again", {"a.csv": b"x\n18\n"})
    assert hub.ok("/rows", dataset="ada/again")["num_rows_total"] == 1
    for path in (hub.store.root / "tmp").glob("viewer-*"):
        path.unlink()
    assert hub.ok("/rows", dataset="ada/again", length=1)["num_rows_total"] == 1


def test_separators(hub: ViewerHub) -> None:
    card = b"---\nconfigs:\n- config_name: default\n  data_files: '*.csv'\n  sep: ';'\n---\n"
    hub.make("ada/semicolons", {"README.md": card, "a.csv": b'x;y\n1;"a\nb"\n'})
    hub.make("ada/tabs", {"a.tsv": b"x\ty\n1\ta,b\n"})
    assert hub.ok("/rows", dataset="ada/semicolons")["rows"][0]["row"] == {"x": 1, "y": "a\nb"}
    assert hub.ok("/rows", dataset="ada/tabs")["rows"][0]["row"] == {"x": 1, "y": "a,b"}
