"""Viewer page of a dataset: rows, search, filter, order, charts, and errors in one line."""

import datetime
import html as texts
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app
from seqhub.server.pages.templating import page
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from tests.server.pages.conftest import PNG
from tests.server.pages.test_security import MARKS, assert_harmless
from tests.server.viewer.conftest import ViewerHub, parquet

ROWS = 250
CARD = b"""---
dataset_info:
- config_name: default
  features:
  - name: label
    dtype: {class_label: {names: [small, large, "<b>other</b>"]}}
---
"""
WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0"


def table() -> pa.Table:
    numbers = list(range(ROWS))
    start = datetime.datetime(2025, 12, 30)
    stamps = [start + datetime.timedelta(seconds=4567 * n) for n in numbers]
    return pa.table(
        {
            "text": [f"text {n} " + "x" * (300 if n == 7 else 0) for n in numbers],
            "kind": [("odd" if n % 2 else "it's even") for n in numbers],
            "label": [n % 3 for n in numbers],
            "count": pa.array([None if n == 9 else n * n for n in numbers], pa.int64()),
            "score": pa.array([n / 7 for n in numbers], pa.float32()),
            "half": pa.array(np.array([n / 3 for n in numbers], np.float16)),
            "is": [n % 5 == 0 for n in numbers],
            "day": pa.array([stamp.date() for stamp in stamps]),
            "time": pa.array(stamps, pa.timestamp("us")),
            "zone": pa.array(stamps, pa.timestamp("ms", tz="UTC")),
            "list": [[0.5] * (n % 4) for n in numbers],
            "struct": [{"a": n, "b": None} for n in numbers],
            "bytes": [b"\xff" if n else b"" for n in numbers],
            "nothing": pa.nulls(ROWS),
        }
    )


def media() -> bytes:
    """Return a file with an image, a sound, and lists of labels."""
    features = {
        "image": {"_type": "Image"},
        "sound": {"_type": "Audio"},
        "labels": {"feature": {"names": ["no", "yes"], "_type": "ClassLabel"}, "_type": "List"},
    }
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table(
        {
            "image": pa.array([{"bytes": PNG, "path": None}, None], struct),
            "sound": pa.array([{"bytes": WAV, "path": "a.wav"}, None], struct),
            "labels": pa.array([[0, 1], []], pa.list_(pa.int64())),
        }
    )
    info = json.dumps({"info": {"features": features}})
    return parquet(rows.replace_schema_metadata({"huggingface": info}))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerHub]:
    store = Store(Path(tmp_path_factory.mktemp("viewer-page")))
    for name in ("ada", "bob", "viewer"):
        store.accounts.create(name)
    tokens = {name: store.tokens.create(name, "t", "write")[0] for name in ("ada", "bob")}
    app = create_app(store, settings=Settings())
    hub = ViewerHub(store, TestClient(app), tokens)
    train = table()
    hub.make(
        "ada/rows",
        {"README.md": CARD, "data/train.parquet": parquet(train), "data/test.parquet": parquet(train.slice(0, 5))},
    )
    hub.make("ada/secret", {"train.csv": b"hidden\nwords\n"}, private=True)
    hub.make("ada/no-data", {"a.txt": b"a"})
    hub.make("ada/media", {"train.parquet": media()})
    hub.make("viewer/rows", {"train.csv": b"x\n1\n"})
    yield hub
    app.router.default.close()  # type: ignore[attr-defined]  # the Dispatcher
    store.close()


def get(hub: ViewerHub, dataset: str, who: str | None = None, revision: str = "main", **query: object) -> Any:
    """Return the response to a browser."""
    headers = {"Accept": "text/html"} | ({"Authorization": f"Bearer {hub.tokens[who]}"} if who else {})
    return hub.client.get(f"/datasets/{dataset}/-/viewer/{revision}?{urlencode(query)}", headers=headers)


def harmless(answer: Any, status: int = 200) -> str:
    """Return the text of a response that runs and loads nothing from elsewhere."""
    text = assert_harmless(answer, status=status, allowed=("<svg>", "<audio>"))
    assert text.count("<svg") == text.count('<svg class="bar-mark"')
    return text


def shown(hub: ViewerHub, dataset: str = "ada/rows", **query: object) -> str:
    return harmless(get(hub, dataset, **query))


def problem(hub: ViewerHub, status: int, dataset: str = "ada/rows", **query: object) -> str:
    """Return the message of a page with an error."""
    answer = get(hub, dataset, **query)
    found = re.search(r'<p id="problem"><bdi>(.*)</bdi></p>', harmless(answer, status))
    assert found is not None
    assert str(hub.store.root) not in answer.text
    return texts.unescape(found[1])


def caption(text: str) -> str:
    found = re.search(r"<caption[^>]*>(.*?)</caption>", text, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


def links(text: str) -> list[str]:
    return [texts.unescape(link) for link in re.findall(r'<a[^>]* href="([^"]+)"', text)]


def row_numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr id="row-(\d+)">', text)]


def test_the_tab_is_on_datasets_only(hub: ViewerHub) -> None:
    headers = {"Accept": "text/html"}
    assert (
        'href="/datasets/ada/rows/-/viewer/main">Viewer</a>'
        in hub.client.get("/datasets/ada/rows", headers=headers).text
    )
    assert 'href="/datasets/ada/rows/-/viewer/main" aria-current="page">Viewer</a>' in shown(hub)
    hub.store.repos.create("model", "ada/net", private=False, author="ada")
    assert ">Viewer</a>" not in hub.client.get("/ada/net", headers=headers).text
    assert hub.client.get("/ada/net/-/viewer/main", headers=headers).status_code == 404
    assert "<h1" in hub.client.get("/datasets/viewer/rows", headers=headers).text
    assert caption(shown(hub, "viewer/rows")).startswith("Rows 1 to 1 of 1 in split train")


def test_pages_of_rows(hub: ViewerHub) -> None:
    text = shown(hub)
    assert caption(text) == "Rows 1 to 100 of 250 in split train of config default"
    assert row_numbers(text) == list(range(100))
    seen = []
    url: str | None = "/datasets/ada/rows/-/viewer/main"
    while url is not None:
        text = harmless(hub.client.get(url, headers={"Accept": "text/html"}))
        seen += row_numbers(text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        url = texts.unescape(following[1]) if following else None
    assert seen == list(range(ROWS))
    assert caption(shown(hub, split="test")) == "Rows 1 to 5 of 5 in split test of config default"
    assert "No rows from 9,000 on" in caption(shown(hub, offset=9000))


def test_links_lead_somewhere(hub: ViewerHub) -> None:
    """Links in the heads of columns and of charts have tests of their own."""
    found = set()
    for query in ({}, {"offset": 100, "where": '"label"=1'}, {"query": "text 1"}, {"row": 3}):
        text = shown(hub, split="test" if "row" in query else "train", **query)
        found |= {*re.findall(r'(?:src|action)="([^"]+)"', text)}
        found |= {link for link in links(text) if not re.search("row=.[^3]|orderby|where=", link)}
        assert all(f'id="{link[1:]}"' in text for link in links(text) if link.startswith("#"))
    for link in found:
        if link.startswith("/"):
            assert hub.client.get(link, headers={"Accept": "text/html"}).status_code == 200, link


def test_cells(hub: ViewerHub) -> None:
    text = shown(hub)
    row = re.search(r'<tr id="row-7">.*', text)
    assert row is not None
    assert '<bdi>large</bdi> <span class="faint-text">1</span>' in row[0]
    assert "… 107 more characters" in row[0]
    assert "<code>[0.5, 0.5, 0.5]</code>" in row[0]
    assert "<code>{&#34;a&#34;: 7, &#34;b&#34;: null}</code>" in row[0]
    assert '<td class="number-cell">49</td>' in row[0]
    assert "&lt;b&gt;other&lt;/b&gt;" in text
    assert "x" * 300 in shown(hub, row=7)


def test_images_sounds_and_labels_in_lists(hub: ViewerHub) -> None:
    answer = get(hub, "ada/media")
    text = harmless(answer)
    assert answer.headers["content-security-policy"].endswith("; media-src 'self'")
    assert "media-src" not in get(hub, "ada/rows").headers["content-security-policy"]
    assert "<code>[&#34;no&#34;, &#34;yes&#34;]</code>" in text
    image = re.search(
        r'<img class="cell-image" src="([^"]+)" alt="image of row 0" loading="lazy" width="8" height="8">', text
    )
    sound = re.search(r'<audio controls preload="none" src="([^"]+)" aria-label="sound of row 0"></audio>', text)
    assert image is not None
    assert sound is not None
    assert hub.client.get(texts.unescape(image[1])).content == PNG
    answer = hub.client.get(texts.unescape(sound[1]))
    assert (answer.content, answer.headers["content-type"]) == (WAV, "audio/wav")


def test_one_row(hub: ViewerHub) -> None:
    text = shown(hub, row=199)
    assert caption(text) == "Row 199 of 250 in split train of config default"
    assert '<th scope="row"><bdi>score</bdi>' in text
    found = links(text)
    base = "/datasets/ada/rows/-/viewer/main?config=default&split=train"
    assert {f"{base}&row=198", f"{base}&row=200", f"{base}&offset=100#row-199"} <= set(found)
    assert f"{base}&row=7" in links(shown(hub))
    assert problem(hub, 404, row=250) == "Parameter 'row': there is no row 250; the split has 250 rows, counted from 0"


def test_search_filter_and_order(hub: ViewerHub) -> None:
    text = shown(hub, query="TEXT 14")
    assert row_numbers(text) == [14, *range(140, 150)]
    assert caption(text) == "Rows 1 to 11 of 11 that match in split train of config default"
    assert "orderby" not in "".join(links(text)), "a search has no order"
    text = shown(hub, where='"label"!=0 AND "count">=100', orderby='"count" DESC')
    expected = [n for n in range(ROWS) if n % 3 and n * n >= 100][::-1]
    assert row_numbers(text) == expected[:100]
    following = re.search(r'rel="next" href="([^"]+)"', text)
    assert following is not None
    assert (
        row_numbers(harmless(hub.client.get(texts.unescape(following[1]), headers={"Accept": "text/html"})))
        == expected[100:]
    )
    assert "No rows that match" in caption(shown(hub, where='"count"<0'))
    assert '<input type="hidden" name="where" value="&#34;count&#34;&lt;0">' in shown(hub, where='"count"<0')


def test_column_heads_sort_up_down_and_not(hub: ViewerHub) -> None:
    """Each column that has a link can be sorted."""
    names = set()
    for link in links(shown(hub, split="test")):
        order = parse_qs(urlsplit(link).query).get("orderby")
        if order:
            names.add(order[0].strip('"'))
            up = harmless(hub.client.get(link, headers={"Accept": "text/html"}))
            assert 'aria-sort="ascending"' in up
    assert names == set(table().column_names) - {"list", "struct", "nothing"}
    up = shown(hub, orderby='"count"')
    assert {"config": ["default"], "split": ["train"], "orderby": ['"count" DESC']} in [
        parse_qs(urlsplit(link).query) for link in links(up)
    ]
    down = shown(hub, orderby='"count" DESC')
    assert 'aria-sort="descending"' in down
    assert '<a href="/datasets/ada/rows/-/viewer/main?config=default&amp;split=train" title="Clear order">' in down


def test_each_bar_links_to_its_rows(hub: ViewerHub) -> None:
    text = shown(hub)
    bars = re.findall(r'<li><a href="([^"]+)" title="([^"]*): ([\d,]+) rows?">', text)
    seen: dict[str, int] = {}
    for link, title, count in bars:
        query = parse_qs(urlsplit(texts.unescape(link)).query)
        assert query.keys() == {"config", "split", "where"}
        where = query["where"][0]
        found = hub.ok("/filter", dataset="ada/rows", where=where, length=1)["num_rows_total"]
        assert f"{found:,}" == count, (where, title)
        name = where.split('"')[1]
        seen[name] = seen.get(name, 0) + int(count.replace(",", ""))
    link = texts.unescape(bars[-1][0])
    assert f" of {bars[-1][2]} that match" in caption(harmless(hub.client.get(link, headers={"Accept": "text/html"})))
    whole = dict.fromkeys(("kind", "label", "score", "half", "is", "day", "time", "zone"), ROWS)
    assert seen == whole | {"count": ROWS - 1}
    assert "1 null" in text
    assert "0 to 3 items" in text
    assert "characters: " in text, "lengths have bars without links"


ERRORS: list[tuple[int, dict[str, object], str]] = [
    (422, {"where": '"count"='}, "Parameter 'where', character 9: a value is missing at the end"),
    (422, {"where": "count = 1"}, "Parameter 'where', character 1: expected a column in double quotes"),
    (
        422,
        {"where": '"absent" = 1'},
        "Parameter 'where', character 1: there is no column 'absent'; allowed: text, kind",
    ),
    (422, {"where": '"text" = 1'}, "Parameter 'where', character 10: text (string) cannot be compared with a number"),
    (422, {"orderby": '"absent"'}, "Parameter 'orderby', character 1: there is no column 'absent'"),
    (422, {"orderby": '"struct"'}, "Parameter 'orderby', character 1: a column of type struct"),
    (422, {"query": "a", "where": '"count" = 1'}, "Parameter 'query' cannot be combined with 'where' or 'orderby'"),
    (422, {"query": "a" * 1001}, "Parameter 'query' has 1001 characters; at most 1000 are allowed"),
    (404, {"config": "absent"}, "The config 'absent' does not exist; allowed: default."),
    (404, {"split": "absent"}, "The split 'absent' of config 'default' does not exist; allowed: train, test."),
]


@pytest.mark.parametrize(("status", "query", "message"), ERRORS)
def test_errors_are_one_line_of_the_page(hub: ViewerHub, status: int, query: dict[str, object], message: str) -> None:
    answer = get(hub, "ada/rows", **query)
    assert problem(hub, status, **query).startswith(message)
    assert answer.headers["x-error-code"]
    assert answer.headers["x-revision"]
    for name, value in query.items():
        if name in ("query", "where"):
            assert f'name="{name}" ' in answer.text
            assert texts.escape(str(value)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in answer.text


def test_wrong_numbers_and_revisions(hub: ViewerHub) -> None:
    for query in ({"offset": "x"}, {"row": "-1"}, {"column": "1e3"}, {"offset": "9" * 30}):
        assert get(hub, "ada/rows", **query).status_code == 400
    assert get(hub, "ada/rows", revision="absent").status_code == 404


def test_data_that_cannot_be_read(hub: ViewerHub) -> None:
    whole = parquet(table())
    hub.make("ada/cut", {"train.parquet": whole[:-50]})
    assert problem(hub, 422, "ada/cut").startswith("train.parquet is not a readable Parquet file")
    hub.make("ada/damaged", {"train.parquet": whole[:50] + b"\xff" * 3000 + whole[3050:]})
    assert problem(hub, 422, "ada/damaged").startswith("train.parquet is not a readable Parquet file")
    hub.make("ada/bad-card", {"README.md": b"---\nconfigs: 5\n---\n", "a.csv": b"x\n1\n"})
    assert "configs" in problem(hub, 422, "ada/bad-card")
    assert problem(hub, 200, "ada/no-data").startswith("The dataset has no data files of a supported format")
    hub.make("ada/empty-rows", {"train.parquet": parquet(table().slice(0, 0))})
    assert caption(shown(hub, "ada/empty-rows")) == "No rows in split train of config default"


def test_a_query_that_takes_too_long(hub: ViewerHub) -> None:
    from seqhub.server.viewer.process import ViewerProcess

    dispatcher: Any = hub.client.app.router.default  # type: ignore[attr-defined]
    hub.make("ada/slow", {"train.jsonl": b'{"a": [1, 2]}\n' * 300_000})
    kept = dispatcher.viewer.process
    dispatcher.viewer.process = ViewerProcess(seconds=0.02)
    try:
        assert problem(hub, 503, "ada/slow").startswith("The query took more than 0.02 s.")
    finally:
        dispatcher.viewer.process.close()
        dispatcher.viewer.process = kept


def test_private_and_gated_datasets(hub: ViewerHub) -> None:
    assert get(hub, "ada/secret").text == get(hub, "ada/absent").text
    assert get(hub, "ada/secret", "bob").status_code == 404
    assert "words" in harmless(get(hub, "ada/secret", "ada"))
    gated = hub.make("ada/gated", {"train.csv": b"hidden\nwords\n"})
    hub.store.repos.update(gated, gated="manual")
    answer = get(hub, "ada/gated")
    assert (answer.status_code, answer.headers["x-error-code"]) == (401, "GatedRepo")
    assert "words" not in answer.text


@pytest.mark.parametrize("mark", MARKS)
def test_hostile_names_and_values(hub: ViewerHub, mark: str) -> None:
    rows = pa.table(
        {
            mark: [mark, mark, None, ""],
            f"label {mark}": [0, 1, 0, 1],
            f"list {mark}": [[mark], [], None, [mark] * 100],
            f"struct {mark}": [{mark: mark}] * 4,
            f"long {mark}": [mark * n for n in range(4)],
            f"dictionary {mark}": pa.array([mark] * 4).dictionary_encode(),
            f"bytes {mark}": [mark.encode()] * 4,
        }
    )
    features = {f"label {mark}": {"names": [mark, f"{mark} 2"], "_type": "ClassLabel"}}
    info = {name: features.get(name) for name in rows.column_names if name in features}
    rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": info}})})
    number = MARKS.index(mark)
    hub.make(f"bob/hostile-{number}", {"a.parquet": parquet(rows)})
    text = shown(hub, f"bob/hostile-{number}")
    assert texts.unescape(text).count(mark) > 20
    for link in {link for link in links(text) if "/viewer/" in link}:
        assert harmless(hub.client.get(link, headers={"Accept": "text/html"}))
    config = {"config_name": mark, "data_files": [{"split": mark, "path": "a.csv"}]}
    card = f"---\n{json.dumps({'configs': [config]})}\n---\n".encode()
    hub.make(f"bob/card-{number}", {"README.md": card, "a.csv": f"{mark}\n{mark}\n".encode()})
    answer = get(hub, f"bob/card-{number}")
    assert answer.status_code in (200, 422)
    harmless(answer, answer.status_code)
    for name in ("config", "split", "query", "where", "orderby"):
        answer = get(hub, "ada/rows", **{name: mark})
        assert answer.status_code in (200, 404, 422)
        harmless(answer, answer.status_code)


def test_texts_that_are_not_utf8_and_strange_numbers(hub: ViewerHub) -> None:
    strings = pa.array([b"\xff\xfe", b"\0", "\u202egnp".encode()], pa.binary()).view(pa.string())
    numbers = pa.array([float("nan"), float("inf"), -1e308])
    large = pa.array([2**64 - 1, 0, 1], pa.uint64())
    times = pa.array([-(2**62), 0, 2**62], pa.timestamp("us"))
    rows = pa.table({"": strings, 'a"b.c': numbers, "large": large, "times": times, "x" * 2000: large})
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    hub.make("ada/strange", {"train.parquet": sink.getvalue()})
    text = shown(hub, "ada/strange")
    assert caption(text).startswith("Rows 1 to 3 of 3")
    for link in links(text):
        if "/viewer/" in link:
            harmless(hub.client.get(link, headers={"Accept": "text/html"}))


def test_scans_do_not_delay_rows(hub: ViewerHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches, filters and statistics run in the pool for scans, and each page of rows in the pool for pages."""
    from seqhub.server.pages import viewer

    hub.make("ada/pools", {"train.csv": b"a,b\n1,x\n"})
    seen: list[str] = []
    monkeypatch.setattr(
        viewer, "page", lambda *args, **kwargs: seen.append(threading.current_thread().name) or page(*args, **kwargs)
    )
    for query in ({}, {}, {"where": '"a"=1'}, {"query": "x"}, {"orderby": '"a"'}, {"row": 0}):
        shown(hub, "ada/pools", **query)
    assert [name.split("-")[1].split("_")[0] for name in seen] == ["scan", "page", "scan", "scan", "scan", "page"]


def test_many_columns_are_several_pages(hub: ViewerHub) -> None:
    rows = pa.table({f"c{n}": [n] for n in range(120)})
    hub.make("ada/wide", {"train.parquet": parquet(rows)})
    text = shown(hub, "ada/wide")
    assert caption(text).endswith("columns 1 to 20 of 120")
    seen = re.findall(r"<bdi>c(\d+)</bdi>", text)
    for number in range(20, 120, 20):
        assert any(f"column={number}" in link for link in links(text))
        text = shown(hub, "ada/wide", column=number)
        seen += re.findall(r"<bdi>c(\d+)</bdi>", text)
    assert [int(name) for name in seen] == list(range(120))
    assert shown(hub, "ada/wide", row=0).count('<th scope="row">') == 120


def test_statistics_of_a_large_split_are_on_demand(hub: ViewerHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqhub.server.pages import viewer

    monkeypatch.setattr(viewer, "MAX_STATISTICS_BYTES", 10)
    text = shown(hub)
    assert "bar-list" not in text
    link = next(link for link in links(text) if "statistics=1" in link)
    text = harmless(hub.client.get(link, headers={"Accept": "text/html"}))
    assert "bar-list" in text
    assert all("statistics=1" in link for link in links(text) if "orderby" in link or "where" in link)


def test_a_page_is_small_and_sent_once(hub: ViewerHub) -> None:
    import gzip

    answer = get(hub, "ada/rows")
    assert len(gzip.compress(answer.content)) < 30_000
    headers = {"Accept": "text/html", "If-None-Match": answer.headers["etag"]}
    assert hub.client.get("/datasets/ada/rows/-/viewer/main", headers=headers).status_code == 304
