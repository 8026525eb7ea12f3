"""Hub with datasets for the viewer, in this process, with a real process for its queries."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from seqhub.server.types import AddLarge, AddSmall, Operation, Repo


@dataclass(frozen=True)
class ViewerHub:
    """Store, and requests to its viewer by a user."""

    store: Store
    client: TestClient
    tokens: dict[str, str]

    def get(self, path: str, who: str | None = None, **query: object) -> Any:
        """Return a response; the config and the split are `default` and `train`."""
        given: dict[str, object] = {}
        if "dataset" in query and path in ("/first-rows", "/rows", "/search", "/filter", "/statistics", "/assets"):
            given = {"config": "default", "split": "train"}
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        text = urlencode({name: value for name, value in (given | query).items() if value is not None})
        prefix = "" if path.startswith("/api/") else "/datasets-server"
        return self.client.get(f"{prefix}{path}?{text}", headers=headers, follow_redirects=False)

    def ok(self, path: str, **query: object) -> Any:
        """Return the JSON of a response."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-revision"]
        return answer.json()

    def error(self, path: str, status: int, code: str, **query: object) -> str:
        """Return the message of an error."""
        answer = self.get(path, **query)
        assert (answer.status_code, answer.headers["x-error-code"]) == (status, code), answer.text
        message = answer.json()["error"]
        assert "\n" not in message
        assert str(self.store.root) not in message
        return str(message)

    def make(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repo:
        """Create a dataset; contents from 100 kB on are large files."""
        ada = self.store.accounts.find("ada")
        assert ada is not None
        repo = self.store.repos.create("dataset", name, private=private, author="ada")
        added: list[Operation] = []
        for path, content in files.items():
            if len(content) < 100_000:
                added.append(AddSmall(path, content))
                continue
            writer = self.store.blobs.begin()
            writer.write(content)
            added.append(AddLarge(path, *writer.finish(None, None, ada)))
        self.store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="files", uploader=ada)
        return repo


def parquet(table: pa.Table, rows: int = 100, **options: Any) -> bytes:
    """Return a table as Parquet with some number of rows in each row group."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=rows, **options)
    return sink.getvalue()


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerHub]:
    store = Store(Path(tmp_path_factory.mktemp("viewer")))
    for name in ("ada", "bob", "seqhub"):
        store.accounts.create(name)
    tokens = {name: store.tokens.create(name, "t", "write")[0] for name in ("ada", "bob")}
    app = create_app(store, settings=Settings())
    yield ViewerHub(store, TestClient(app), tokens)
    app.router.default.close()  # type: ignore[attr-defined]  # the Dispatcher
    store.close()
