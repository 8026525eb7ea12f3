"""The library `datasets` with the viewer of a running server, and with its data."""

import gzip
import http.client
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from seqhub.server.serve import running
from seqhub.server.types import AddSmall
from tests.helpers.hub_clients import Client
from tests.server.viewer.conftest import parquet

# The name datasets-server.localhost is that of an operator's DNS; here it resolves to this machine
RESOLVER = """
import socket
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve(
    "127.0.0.1" if host == "datasets-server.localhost" else host, *rest, **more)
"""
CODE = """
import json
from datasets import load_dataset
from datasets.utils import _dataset_viewer
requested = []
original = _dataset_viewer.get_exported_dataset_infos
def infos(**given):
    requested.append(sorted(original(**given)))
    return original(**given)
_dataset_viewer.get_exported_dataset_infos = infos
files = _dataset_viewer.get_exported_parquet_files("me/table", None, True)
table, rows = load_dataset("me/table"), load_dataset("me/rows", split="train")
labels = table["train"].features["label"].names
print(json.dumps([requested, [f["filename"] for f in files], labels, table.num_rows, rows.to_list()]))
"""


@pytest.mark.timeout(120)
def test_load_dataset_with_the_viewer(tmp_path: Path) -> None:
    with running(tmp_path / "hub") as server:
        token = server.token("me")
        account = server.store.accounts.find("me")
        assert account is not None
        table = pa.table({"text": ["a", "b"], "label": [0, 1]})
        features = {
            "text": {"dtype": "string", "_type": "Value"},
            "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        datasets = {
            "me/table": {
                "data/train-00000-of-00001.parquet": parquet(table),
                "data/test-00000-of-00001.parquet": parquet(table.slice(1)),
            },
            "me/rows": {"train.jsonl.gz": gzip.compress(b'{"x": 1, "y": [1.5]}\n{"x": 2, "y": []}\n')},
        }
        for name, files in datasets.items():
            repo = server.store.repos.create("dataset", name, private=True, author="me")
            added = [AddSmall(path, content) for path, content in files.items()]
            server.store.commits.create(
                repo, "main", added, expected_parent=None, author="me", title="files", uploader=account
            )
        endpoint = server.url.replace("127.0.0.1", "localhost")
        printed = Client(endpoint, tmp_path / "home", token).run(RESOLVER + CODE)
    requested, files_, labels, counts, rows = json.loads(printed.splitlines()[-1])
    assert requested == [["default"], ["default"]]
    assert files_ == ["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"]
    assert (labels, counts) == (["no", "yes"], {"train": 2, "test": 1})
    assert rows == [{"x": 1, "y": [1.5]}, {"x": 2, "y": []}]


@pytest.mark.timeout(120)
def test_many_clients_at_once(tmp_path: Path) -> None:
    """Each client gets the rows of its own queries, pages and scans mixed."""
    count = 2000
    with running(tmp_path / "hub") as server:
        server.token("me")
        account = server.store.accounts.find("me")
        assert account is not None
        repo = server.store.repos.create("dataset", "me/numbers", author="me")
        added = [AddSmall("train.parquet", parquet(pa.table({"x": list(range(count))}), 300))]
        server.store.commits.create(
            repo, "main", added, expected_parent=None, author="me", title="files", uploader=account
        )

        def pages(client: int) -> None:
            prefix = "/datasets-server/{}?dataset=me/numbers&config=default&split=train&length=7&offset={}"
            with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as line:
                for turn in range(10):
                    offset = 100 * client + 10 * turn
                    path = prefix.format("filter" if turn % 2 else "rows", offset)
                    line.request("GET", path + ("&where=%22x%22%3E%3D0" if turn % 2 else ""))
                    found = json.loads(line.getresponse().read())
                    assert [row["row"]["x"] for row in found["rows"]] == list(range(offset, offset + 7))
                    assert found["num_rows_total"] == count

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(pages, range(8)))


def test_the_server_itself_does_not_load_pyarrow() -> None:
    code = "import sys, seqhub.server.serve, seqhub.server.viewer.page; print({'pyarrow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
