"""Data of a page that shows a split."""

from typing import Any

import pyarrow as pa
import pytest

from seqhub.server.viewer.datasets import DatasetView
from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.page import dataset_page
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
    assert (page.splits, page.config, page.split) == ({"default": ["train", "test"]}, "default", "train")
    assert (page.num_rows, len(page.rows), page.rows[0]["row"]["text"]) == (150, 50, "t100")
    assert [(column.name, column.type, column.column_type) for column in page.columns] == [
        ("text", "string", "string_text"),
        ("label", "3 labels", "class_label"),
        ("list", "list of float64", "list"),
    ]
    assert (page.columns[1].labels, page.columns[1].statistics["frequencies"]) == (
        ["a", "b", "c"],
        {"a": 50, "b": 50, "c": 50},
    )
    assert sum(page.columns[0].statistics["histogram"]["hist"]) == 150


def test_a_page_of_a_search_and_of_a_filter(view: DatasetView) -> None:
    found = dataset_page(view, query="T14", with_statistics=False)
    assert (found.num_rows, found.columns[0].statistics) == (11, {})
    found = dataset_page(view, "default", "test", where='"label"=1', orderby='"text" DESC')
    assert [row["row"]["text"] for row in found.rows] == ["t4", "t1"]
    with pytest.raises(ViewerError, match="cannot be combined"):
        dataset_page(view, query="a", where='"label"=1')
    with pytest.raises(ViewerError, match="'dev' of config 'default' does not exist; allowed: train, test"):
        dataset_page(view, split="dev")
