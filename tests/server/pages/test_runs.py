"""Page of training runs over HTTP: curves, choices, permissions and hostile histories."""

# ruff: noqa: E501  # tables are more readable in long lines

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server.pages import charts, run_files, runs
from seqhub.server.pages.event_file import scalars
from seqhub.server.types import Repo
from tests.server.pages import test_security
from tests.server.pages.conftest import html
from tests.server.pages.test_security import MARKS
from tests.server.routes.conftest import Hub

PAGE = "/ada/runs/-/runs/main"  # "runs" is a name like any other


def history(count: int, scale: float = 1.0) -> bytes:
    rows = [
        {"sequences": 256 * n, "loss": scale / n, "accuracy": 1 - 0.5 / n, "learning_rate": 0.01, "seconds": 0.5 * n}
        for n in range(1, count + 1)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


RECORD = {"task": "qrsu/hard", "model": "lstm", "seed": 7, "num_parameters": 1234, "evaluation": {}}


def assert_harmless(answer: Any) -> str:
    """Check a page as for other pages, except for the drawings of this one; return its text."""
    text: str = answer.text
    for name in ("chart", "run-key"):
        text = text.replace(f'<svg class="{name}', f'<p class="{name}')
    test_security.assert_harmless(SimpleNamespace(status_code=answer.status_code, headers=answer.headers, text=text))
    return str(answer.text)


@pytest.fixture(scope="module", autouse=True)
def repo(hub: Hub) -> Iterator[Repo]:
    files = {f"seed-{seed}/history.jsonl": history(40, seed) for seed in (1, 2, 10)}
    files |= {f"seed-{seed}/run.json": json.dumps(RECORD | {"seed": seed}).encode() for seed in (1, 2, 10)}
    made = hub.make("ada/runs", **files, **{"sweep.json": b"{}"})
    yield made
    hub.store.repos.delete(made)


def test_runs_of_several_folders_share_charts(hub: Hub) -> None:
    text = assert_harmless(html(hub, PAGE))
    assert 'href="/ada/runs/-/runs/main" aria-current="page">Runs</a>' in text
    assert re.findall(r'<svg class="chart"[^>]* aria-label="(\w+) by', text) == ["loss", "accuracy"]
    assert re.findall(r'data-name="([^"]+)"', text) == ["seed-1", "seed-2", "seed-10"] * 2
    assert "training sequences" in text
    rows = re.findall(r'<th scope="row">.*?</tr>', text, re.DOTALL)
    assert [re.findall(r">([^<>\s][^<>]*)<", row) for row in rows] == [
        [f"seed-{seed}", "qrsu/hard", "lstm", str(seed), "1,234", "40", "10.24k", f"{seed / 40:.4g}", "0.9875"]
        for seed in (1, 2, 10)
    ]
    assert len(text) < 60_000


def test_the_axes_and_curves_are_chosen_by_the_query(hub: Hub) -> None:
    text = assert_harmless(html(hub, f"{PAGE}?x=seconds&log=1&run=seed-2&metric=loss&metric=learning_rate"))
    assert re.findall(r'data-name="([^"]+)"', text) == ["seed-2"] * 2
    assert re.findall(r'aria-label="(\w+) by seconds', text) == ["loss", "learning_rate"]
    xs = [float(x) for x in re.findall(r'data-x="([^"]+)"', text)[0].split()]
    ys = [float(y) for y in re.findall(r'data-y="([^"]+)"', text)[0].split()]
    assert xs == [0.5 * n for n in range(1, 41)]
    assert ys == pytest.approx([2 / n for n in range(1, 41)], rel=1e-5)
    points = [tuple(map(float, point.split(","))) for point in re.findall(r' points="([^"]+)"', text)[0].split()]
    logs = [math.log10(y) for y in ys]
    slopes = [(b[1] - a[1]) / (v - u) for a, b, u, v in zip(points, points[1:], logs, logs[1:], strict=False)]
    assert slopes == pytest.approx([slopes[0]] * len(slopes), rel=0.2)  # coordinates have one decimal
    assert '<option value="seconds" selected>' in text
    assert "No run has values" in assert_harmless(html(hub, f"{PAGE}?x=step"))
    assert html(hub, f"{PAGE}?x=wrong").status_code == 400
    assert assert_harmless(html(hub, f"{PAGE}?run=absent&metric=absent")).count('<svg class="chart"') == 2


def test_repositories_without_runs_have_no_tab(hub: Hub) -> None:
    assert ">Runs</a>" not in html(hub, "/ada/net").text
    assert "This repository has no history.jsonl" in assert_harmless(html(hub, "/ada/net/-/runs/main"))
    assert "This repository has no history.jsonl" in assert_harmless(html(hub, "/datasets/ada/rows/-/runs/main"))


def test_only_readers_get_the_page(hub: Hub) -> None:
    for name in ("secret", "absent"):
        assert html(hub, f"/ada/{name}/-/runs/main").status_code == 401
        assert html(hub, f"/ada/{name}/-/runs/main", "bob").status_code == 404
    assert html(hub, "/ada/gated/-/runs/main", "bob").status_code == 403
    assert html(hub, "/ada/runs").status_code == 200


HISTORIES: list[bytes] = [
    b"", b"\n\n", b"{}\n{}", b"{", b"[1]\nnull\n5\n", b"\xff\xfe\n" * 9, b'{"loss": ' + b"[" * 9000 + b"\n", b"\0" * 100,
    b'{"loss": NaN}\n{"loss": Infinity}\n{"loss": 1e999}\n{"loss": true}\n{"loss": "5"}\n{"loss": null}\n',
    b'{"loss": 1e308, "step": 1}\n{"loss": -1e308, "step": 2}\n', b'{"loss": 1e100, "step": -1e100}\n{"loss": -1e100, "step": 1e100}\n',
    b'{"loss": 5}\n', b'{"loss": 0}\n{"loss": -1}\n', b'{"loss": 1e-320, "step": 1}\n{"loss": 2e-320, "step": 1e-320}\n',
    b'{"loss": 1000000000000000001, "step": 1}\n{"loss": 1000000000000000200, "step": 2}\n', b'{"": 1}\n', b'{"loss": ' + b"9" * 4000 + b"}\n",
    json.dumps({f"m{n}": n for n in range(500)}).encode(), b'{"loss": 1}\n' * 30_000, b'{"loss": 1' + b" " * 3_000_000 + b"}\n",
    *(json.dumps({mark: 1, "step": 2}).encode() + b"\n" for mark in MARKS), b'{"loss\\ud800": 1, "\\u0000": 2}\n',
]  # fmt: skip


@pytest.mark.parametrize("content", HISTORIES, ids=range(len(HISTORIES)))
def test_hostile_histories(hub: Hub, content: bytes) -> None:
    made = hub.make("bob/runs", **{"history.jsonl": content, "run.json": content})
    for query in ("", "?log=1", "?x=step", "?x=row&log=1"):
        text = assert_harmless(html(hub, f"/bob/runs/-/runs/main{query}"))
        assert len(text) < 200_000
        assert not re.search(r'(?:points|x1|x|y1|y|data-[xy])="[^"]*(?:nan|inf)', text)
    hub.store.repos.delete(made)


@pytest.mark.parametrize("mark", MARKS)
def test_hostile_names(hub: Hub, mark: str) -> None:
    name = mark.replace("/", "∕")
    record = {"task": mark, "model": [mark], "seed": {"a": mark}, "num_parameters": mark}
    made = hub.make(
        "bob/runs", **{f"{name}/history.jsonl": history(3), f"{name}/run.json": json.dumps(record).encode()}
    )
    text = assert_harmless(html(hub, f"/bob/runs/-/runs/main?run={quote(mark)}&metric={quote(mark)}&log={quote(mark)}"))
    assert '<svg class="chart"' in text
    hub.store.repos.delete(made)


def test_broken_lines_are_counted(hub: Hub) -> None:
    made = hub.make("bob/runs", **{"history.jsonl": history(3) + b"{broken\n\n" + history(2) + b'{"sequences": 9, "lo'})
    assert "2 lines not readable" in assert_harmless(html(hub, "/bob/runs/-/runs/main"))
    hub.store.repos.delete(made)


def test_long_histories_and_many_runs_are_bounded(hub: Hub) -> None:
    many = {f"run-{n}/history.jsonl": history(500) for n in range(runs.STYLES + 60)}
    made = hub.make("bob/runs", **many, **{"a/run.json": b"{"})
    text = assert_harmless(html(hub, "/bob/runs/-/runs/main"))
    assert text.count('<th scope="row">') == runs.STYLES
    assert "The repository has more files or runs than are listed here." in text
    assert len(text) < 150_000
    hub.store.repos.delete(made)
    made = hub.make("bob/runs", **{"history.jsonl": b"".join(history(1) for _ in range(25_000))})
    assert "(first rows only)" in assert_harmless(html(hub, "/bob/runs/-/runs/main"))
    hub.store.repos.delete(made)


def test_event_files_of_tensorboard(hub: Hub, tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed")
    for new_style in (False, True):
        folder = tmp_path / str(new_style)
        with tensorboard.SummaryWriter(folder) as writer:
            writer.add_text("note", "hello")
            for step in range(5):
                writer.add_scalar("train/loss", 1 / (step + 1), step, walltime=1000.0 + step, new_style=new_style)
                writer.add_scalar("accuracy", step / 5, step, walltime=1000.0 + step)
        (file,) = folder.iterdir()
        raw = file.read_bytes()
        found = [(event.tag, event.step, round(event.value, 6), event.seconds) for event in scalars(raw)]
        assert found == [
            row
            for step in range(5)
            for row in (
                ("train/loss", step, round(1 / (step + 1), 6), 1000.0 + step),
                ("accuracy", step, step / 5, 1000.0 + step),
            )
        ]
        made = hub.make("bob/runs", **{f"runs/first/{file.name}": raw})
        text = assert_harmless(html(hub, "/bob/runs/-/runs/main?x=seconds"))
        assert ">Runs</a>" in text
        assert re.findall(r'aria-label="([\w/]+) by seconds', text) == ["accuracy", "train/loss"]
        assert 'data-x="0 1 2 3 4"' in text
        for cut in range(0, len(raw), 97):  # a run that still writes
            assert list(scalars(raw[:cut])) == list(scalars(raw))[: len(list(scalars(raw[:cut])))]
        hub.store.repos.delete(made)


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_any_bytes_are_an_event_file(raw: bytes, event: bytes) -> None:
    for content in (raw, struct.pack("<QI", len(event), 0) + event + bytes(4)):
        assert all(math.isfinite(found.value) for found in scalars(content))


NUMBERS = st.floats(-run_files.LARGEST, run_files.LARGEST)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60), st.booleans(), st.integers(4, 30))
def test_any_points_are_drawn_inside_the_chart(points: list[tuple[float, float]], log: bool, most: int) -> None:
    chart = charts.make_chart("m", [("run", 0, points)], log=log, max_points=most)
    (curve,) = chart.curves
    assert len(curve.points) <= most
    assert curve.hidden == (sum(y <= 0 for _, y in points) if log else 0)
    for point in curve.path.split():
        x, y = map(float, point.split(","))
        assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM
    assert len(chart.x_ticks) <= 14
    assert len(chart.y_ticks) <= 14
