"""Responses of the viewer: the shapes of the public one, permissions, redirects and the host name of `datasets`."""

import gzip
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from seqhub.server.metrics import Metrics
from seqhub.server.middleware import Guard
from seqhub.server.settings import Settings
from tests.server.viewer.conftest import ViewerHub, parquet

CARD = """---
license: mit
dataset_info:
- config_name: easy
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': even
          '1': odd
configs:
- config_name: easy
  data_files:
  - split: train
    path: easy/train-*.parquet
  - split: test
    path: easy/test.parquet
- config_name: table
  data_files: table/*.csv
- config_name: lines
  data_files:
  - split: train
    path: lines.jsonl.gz
---
# A dataset
"""
NAME = "ada/shapes"
TEXT = {"dtype": "string", "_type": "Value"}
INTEGER = {"dtype": "int64", "_type": "Value"}
LABEL = {"names": ["even", "odd"], "_type": "ClassLabel"}


@pytest.fixture(scope="module", autouse=True)
def dataset(hub: ViewerHub) -> None:
    train = pa.table({"text": [f"row {i}" for i in range(250)], "label": [i % 2 for i in range(250)]})
    lines = b"".join(b'{"a": %d, "b": [%d, 1], "c": {"d": "x"}}\n' % (i, i) for i in range(5))
    files = {
        "README.md": CARD.encode(),
        "easy/train-0.parquet": parquet(train.slice(0, 150)),
        "easy/train-1.parquet": parquet(train.slice(150)),
        "easy/test.parquet": parquet(train.slice(0, 3)),
        "table/a.csv": b"x,y\n1,a\n2,\n",
        "lines.jsonl.gz": gzip.compress(lines),
    }
    hub.make(NAME, files)
    hub.make("ada/hidden", files, private=True)
    gated = hub.make("ada/gated", files)
    hub.store.repos.update(gated, gated="manual")


def test_splits(hub: ViewerHub) -> None:
    names = [("easy", "train"), ("easy", "test"), ("table", "train"), ("lines", "train")]
    expected = [{"dataset": NAME, "config": config, "split": split} for config, split in names]
    assert hub.ok("/splits", dataset=NAME) == {"splits": expected, "pending": [], "failed": []}
    assert hub.ok("/splits", dataset=NAME, config="easy")["splits"] == expected[:2]


def test_rows(hub: ViewerHub) -> None:
    assert hub.ok("/rows", dataset=NAME, config="easy", offset=149, length=2) == {
        "features": [
            {"feature_idx": 0, "name": "text", "type": TEXT},
            {"feature_idx": 1, "name": "label", "type": LABEL},
        ],
        "rows": [
            {"row_idx": 149, "row": {"text": "row 149", "label": 1}, "truncated_cells": []},
            {"row_idx": 150, "row": {"text": "row 150", "label": 0}, "truncated_cells": []},
        ],
        "num_rows_total": 250,
        "num_rows_per_page": 100,
        "partial": False,
    }
    assert hub.ok("/rows", dataset=NAME, config="lines", length=1)["rows"] == [
        {"row_idx": 0, "row": {"a": 0, "b": [0, 1], "c": {"d": "x"}}, "truncated_cells": []}
    ]
    assert [item["row"] for item in hub.ok("/rows", dataset=NAME, config="table")["rows"]] == [
        {"x": 1, "y": "a"},
        {"x": 2, "y": None},
    ]


def test_pages_beyond_the_end_are_empty(hub: ViewerHub) -> None:
    """As in the public viewer."""
    for offset in (250, 251, 10**14):
        answer = hub.ok("/rows", dataset=NAME, config="easy", offset=offset)
        assert (answer["rows"], answer["num_rows_total"]) == ([], 250)
        given = {"where": '"label"=1', "orderby": '"text"', "offset": offset}
        answer = hub.ok("/filter", dataset=NAME, config="easy", **given)
        assert (answer["rows"], answer["num_rows_total"]) == ([], 125)
    assert hub.ok("/rows", dataset=NAME, config="easy", length=0)["rows"] == []


def test_first_rows(hub: ViewerHub) -> None:
    answer = hub.ok("/first-rows", dataset=NAME, config="easy")
    assert {key: answer[key] for key in ("dataset", "config", "split", "truncated")} == {
        "dataset": NAME,
        "config": "easy",
        "split": "train",
        "truncated": False,
    }
    assert len(answer["rows"]) == 100


def test_search_and_filter(hub: ViewerHub) -> None:
    found = hub.ok("/search", dataset=NAME, config="easy", query="ROW 24", length=2)
    assert ([item["row_idx"] for item in found["rows"]], found["num_rows_total"]) == ([24, 240], 11)
    assert hub.ok("/search", dataset=NAME, config="lines", query="X")["num_rows_total"] == 5
    found = hub.ok("/filter", dataset=NAME, config="easy", where='"label"=1', orderby='"text" DESC', length=2)
    assert ([item["row_idx"] for item in found["rows"]], found["num_rows_total"]) == ([99, 97], 125)
    assert hub.ok("/filter", dataset=NAME, config="lines", where='"c"."d"=\'x\' AND "a">=3')["num_rows_total"] == 2


def test_size(hub: ViewerHub) -> None:
    answer = hub.ok("/size", dataset=NAME)
    assert (answer["pending"], answer["failed"], answer["partial"]) == ([], [], False)
    size = answer["size"]
    assert [item["num_rows"] for item in size["splits"]] == [250, 3, 2, 5]
    assert [item["num_rows"] for item in size["configs"]] == [253, 2, 5]
    assert [item["num_columns"] for item in size["configs"]] == [2, 2, 3]
    assert size["dataset"]["num_rows"] == 260
    assert size["configs"][1]["num_bytes_original_files"] == 11
    of_config = hub.ok("/size", dataset=NAME, config="easy")["size"]
    assert (of_config["config"], of_config["splits"]) == (size["configs"][0], size["splits"][:2])


def test_parquet(hub: ViewerHub) -> None:
    answer = hub.ok("/parquet", dataset=NAME)
    files = answer["parquet_files"]
    assert [(item["split"], item["filename"]) for item in files] == [
        ("train", "train-0.parquet"),
        ("train", "train-1.parquet"),
        ("test", "test.parquet"),
    ]
    assert [item["config"] for item in answer["failed"]] == ["table", "lines"]
    for item in files:
        assert len(hub.client.get(item["url"]).content) == item["size"]
    assert hub.ok("/parquet", dataset=NAME, config="easy")["failed"] == []
    urls = hub.ok(f"/api/datasets/{NAME}/parquet")
    assert urls == {"easy": {s: [f["url"] for f in files if f["split"] == s] for s in ("train", "test")}}


def test_info_can_be_read_by_datasets(hub: ViewerHub) -> None:
    from datasets import ClassLabel, DatasetInfo, List, Value

    answer = hub.ok("/info", dataset=NAME)
    assert (answer["pending"], answer["failed"], answer["partial"]) == ([], [], False)
    infos = {name: DatasetInfo.from_dict(info) for name, info in answer["dataset_info"].items()}
    assert infos["easy"].features == {"text": Value("string"), "label": ClassLabel(names=["even", "odd"])}
    assert {split: it.num_examples for split, it in infos["easy"].splits.items()} == {"train": 250, "test": 3}
    assert infos["lines"].features["b"] == List(Value("int64"))
    assert hub.ok("/info", dataset=NAME, config="table")["dataset_info"] == answer["dataset_info"]["table"]


def test_is_valid(hub: ViewerHub) -> None:
    works = dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), True)
    assert hub.ok("/is-valid", dataset=NAME) == works
    hub.make("ada/empty", {"a.txt": b"text"})
    assert hub.ok("/is-valid", dataset="ada/empty") == dict.fromkeys(works, False)
    hub.make("ada/numbers", {"a.csv": b"x\n1\n"})
    assert hub.ok("/is-valid", dataset="ada/numbers") == works | {"search": False}


def test_croissant(hub: ViewerHub) -> None:
    crumbs = hub.ok("/croissant-crumbs", dataset=NAME)
    whole = hub.ok(f"/api/datasets/{NAME}/croissant")
    assert whole.items() >= crumbs.items()
    assert (whole["name"], whole["license"], whole["url"]) == ("shapes", "mit", f"http://testserver/datasets/{NAME}")
    ids = [item["@id"] for item in whole["distribution"]] + [item["@id"] for item in whole["recordSet"]]
    ids += [field["@id"] for item in whole["recordSet"] for field in item["field"]]
    assert len(ids) == len(set(ids))
    known = {item["@id"] for item in whole["distribution"]}
    sources = [field["source"] for item in whole["recordSet"] for field in item["field"] if "source" in field]
    assert {source["fileSet"]["@id"] for source in sources} <= known
    fields = {field["@id"]: field for item in whole["recordSet"] for field in item["field"]}
    assert (fields["easy/text"]["dataType"], fields["easy/label"]["dataType"]) == ("sc:Text", "sc:Integer")
    assert (fields["lines/b"]["dataType"], fields["lines/b"]["arrayShape"]) == ("cr:Int64", "-1")
    assert "columns of other types: c" in whole["recordSet"][-1]["description"].lower()


@pytest.mark.parametrize("path", ["/splits", "/rows", "/statistics", "/info", "/parquet", "/is-valid", "/assets"])
def test_permissions(hub: ViewerHub, path: str) -> None:
    """Private repositories look absent, gated ones need access, as in the API."""
    given = {"config": "easy", "row": 0, "column": "text"}
    for who, status in ((None, 401), ("bob", 404)):
        for name in ("ada/hidden", "ada/missing"):
            answer = hub.get(path, who, dataset=name, **given)
            assert (answer.status_code, answer.headers["x-error-code"]) == (status, "RepoNotFound")
    for who, status in ((None, 401), ("bob", 403)):
        answer = hub.get(path, who, dataset="ada/gated", **given)
        assert (answer.status_code, answer.headers["x-error-code"]) == (status, "GatedRepo")
    for name in ("ada/hidden", "ada/gated"):
        assert hub.get(path, "ada", dataset=name, **given).status_code == (404 if path == "/assets" else 200)


def test_former_names_redirect(hub: ViewerHub) -> None:
    repo = hub.make("ada/former", {"a.csv": b"x\n1\n"})
    hub.store.repos.move(repo, "ada/current")
    answer = hub.get("/rows", dataset="ada/former", offset=1)
    assert answer.status_code == 307
    assert hub.client.get(answer.headers["location"]).json()["num_rows_total"] == 1
    repo = hub.store.repos.find("dataset", "ada/current")
    assert repo is not None
    hub.store.repos.update(repo, private=True)
    assert hub.get("/rows", dataset="ada/former").status_code == 401


def test_revisions(hub: ViewerHub) -> None:
    repo = hub.make("ada/revised", {"a.csv": b"x\n1\n"})
    before = hub.store.revisions.resolve(repo, "main").oid
    ada = hub.store.accounts.find("ada")
    assert ada is not None
    from seqhub.server.types import AddSmall

    hub.store.commits.create(
        repo, "main", [AddSmall("a.csv", b"x\n2\n3\n")], expected_parent=None, author="ada", title="t", uploader=ada
    )
    assert hub.ok("/rows", dataset="ada/revised")["num_rows_total"] == 2
    answer = hub.get("/rows", dataset="ada/revised", revision=before[:10])
    assert (answer.json()["num_rows_total"], answer.headers["x-revision"]) == (1, before)
    message = hub.error("/rows", 404, "RevisionNotFound", dataset="ada/revised", revision="v9")
    assert message == "Invalid rev id: v9"


def test_the_host_name_of_datasets(hub: ViewerHub) -> None:
    """The same routes without prefix, URLs of the Hub itself, no other routes, and no other hosts."""
    guarded = TestClient(Guard(hub.client.app, Settings(allowed_hosts=("hub.lab",)), Metrics()))

    def get(path: str, host: str) -> Any:
        return guarded.get(path, headers={"Host": host})

    answer = get(f"/info?dataset={NAME}", "datasets-server.hub.lab:80")
    assert answer.status_code == 200
    assert answer.json() == hub.ok("/info", dataset=NAME)
    files = get(f"/parquet?dataset={NAME}", "datasets-server.hub.lab:8080").json()["parquet_files"]
    assert files[0]["url"].startswith("http://hub.lab:8080/datasets/ada/shapes/resolve/")
    assert get(f"/api/datasets/{NAME}", "datasets-server.hub.lab").status_code == 404
    assert get(f"/info?dataset={NAME}", "hub.lab").status_code == 404
    assert get(f"/info?dataset={NAME}", "datasets-server.evil.lab").status_code == 421
    assert get(f"/info?dataset={NAME}", "datasets-server.datasets-server.hub.lab").status_code == 421


def test_heads(hub: ViewerHub) -> None:
    answer = hub.client.head(f"/datasets-server/splits?dataset={NAME}")
    assert answer.status_code == 200
    assert answer.headers["x-revision"]
