"""Data of a page that shows a split."""

from typing import Any

import pyarrow as pa
import pytest

from seqhub.server.viewer.datasets import DatasetView
from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.page import dataset_page, page_statistics
from tests.server.viewer.conftest import ViewerHub, parquet


@pytest.fixture(scope="module")
def view(hub: ViewerHub) -> DatasetView:
    table = pa.table(
        {"text": [f"t{n}" for n in range(150)], "label": [n % 3 for n in range(150)], "list": [[1.5]] * 150}
    )
    labels = b"  - name: label\n    dtype:\n      class_label:\n        names: [a, b, c]\n"
    card = b"---\ndataset_info:\n  features:\n" + labels + b"---\n"
    files = {"README.md": card, "data/train.parquet": parquet(table), "data/test.parquet": parquet(table.slice(0, 5))}
    repo = hub.make("ada/page", files)
    viewer: Any = hub.client.app.router.default.viewer  # type: ignore[attr-defined]
    session = hub.store.session()
    return DatasetView(viewer, session, repo, session.revisions.resolve(repo, "main"))


def test_a_page(view: DatasetView) -> None:
    page = dataset_page(view, offset=100)
    assert (page.config, page.split) == ("default", "train")
    assert (page.num_rows, len(page.rows), page.rows[0]["row"]["text"]) == (150, 50, "t100")
    assert [(column.name, column.type) for column in page.columns] == [
        ("text", "string"),
        ("label", "3 labels"),
        ("list", "list of float64"),
    ]
    assert page.columns[1].feature["names"] == ["a", "b", "c"]
    assert [row["row_idx"] for row in dataset_page(view, offset=7, length=1).rows] == [7]


def test_statistics(view: DatasetView) -> None:
    found = page_statistics(view, "default", "train")
    assert {name: column.column_type for name, column in found.items()} == {
        "text": "string_text",
        "label": "class_label",
        "list": "list",
    }
    assert found["label"].values["frequencies"] == {"a": 50, "b": 50, "c": 50}
    assert sum(found["text"].values["histogram"]["hist"]) == 150


def test_a_page_of_a_search_and_of_a_filter(view: DatasetView) -> None:
    assert dataset_page(view, query="T14").num_rows == 11
    found = dataset_page(view, "default", "test", where='"label"=1', orderby='"text" DESC')
    assert [row["row"]["text"] for row in found.rows] == ["t4", "t1"]
    with pytest.raises(ViewerError, match="cannot be combined"):
        dataset_page(view, query="a", where='"label"=1')
    with pytest.raises(ViewerError, match="'dev' of config 'default' does not exist; allowed: train, test"):
        dataset_page(view, split="dev")
