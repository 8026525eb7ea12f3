"""Hostile content of one repository must not break responses about others, and every response is JSON."""

# ruff: noqa: E501  # tables are more readable in long lines

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub import ModelInfo

from seqhub.server.types import Repo
from tests.server.routes.conftest import Hub

ANSWERS = [
    "/api/models?config=1&full=1&cardData=1&limit=1000",
    "/api/models?expand=config&expand=cardData&expand=tags&expand=model-index&expand=pipeline_tag&expand=library_name",
    "/api/models?search=hostile&limit=1000&full=1&config=1",
    "/api/models/bob/hostile",
    "/api/models/bob/hostile?expand=config&expand=cardData",
    "/api/models/bob/hostile/revision/main",
    "/api/models/bob/hostile/tree/main?recursive=1",
    "/api/models-tags-by-type",
]
CONFIGS = [
    b'{"model_type": NaN}', b'{"model_type": Infinity, "architectures": [-Infinity]}', b'{"model_type": 1e999}',
    b'{"model_type": "\\ud800", "auto_map": {"\\udfff": "\\ud800"}}', b'{"model_type": "a", "model_type": NaN}',
    b'{"model_type": ' + b"9" * 5000 + b"}", b'{"model_type": ' + b"9" * 400 + b"}",
    b'{"auto_map": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", b"[" * 100_000, b"\xff\xfe", b"NaN", b"",
    b'{"architectures": "LSTM", "auto_map": [1], "model_type": {"a": NaN}}', b"null", b"[]", b'"\\ud800"',
    b'\xef\xbb\xbf{"model_type": "bom"}', b'{"model_type": "' + b"x" * 20_000 + b'"}',
]  # fmt: skip
CARDS = [
    "a: .inf\nb: -.Inf\nc: .nan\n.nan: d\n.inf: e", "a: 2020-01-01\nb: 2020-01-01T10:00:00Z\n2020-01-01: c",
    "a: !!binary gIGC\n? !!binary gIGC\n: b", "a: !!set {b, c}", "? [x, y]\n: z\n? {a: b}\n: c", "1: a\n1.5: b\ntrue: c\nnull: d",
    "a: &a [x]\nb: [*a, *a, *a]", "a: &a [*a]", 'a: "\\ud800"\n"\\udfff": b\ntags: ["\\ud800"]\npipeline_tag: "\\ud800"',
    "a: 0x" + "f" * 150, "a: " + "9" * 190, "a: !!omap [b: 1]\nc: !!pairs [d: 1]", "a: 1e999\nb: 1.0e+999", "a: 190:20:30",
    "model-index: [{name: .nan, results: [{metrics: [{value: .inf}]}]}]", "tags: [.nan, 1, null, [a]]\nlicense: {a: .inf}",
    "pipeline_tag: [a]\nlibrary_name: .nan\ndescription: .inf", 'a: "\\0\\x01\\u2028"', "self: 1\nignore_metadata_errors: 2",
]  # fmt: skip


@pytest.fixture
def hostile(hub: Hub) -> Iterator[Repo]:
    repo = hub.make("bob/hostile")
    yield repo
    hub.store.repos.delete(repo)


def strict(text: bytes) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text.decode("utf-8"), parse_constant=refuse)


def put(hub: Hub, path: str, content: bytes) -> None:

    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    answer = hub.commit("bob/hostile", ("file", value), who="bob")
    assert answer.status_code == 200, answer.text


def all_answers(hub: Hub) -> None:
    for address in ANSWERS:
        answer = hub("GET", address, "ada")
        assert answer.status_code == 200, (address, answer.text)
        strict(answer.content)


@pytest.mark.usefixtures("hostile")
def test_any_config(hub: Hub) -> None:
    for config in CONFIGS:
        put(hub, "config.json", config)
        all_answers(hub)
        found = strict(hub("GET", "/api/models/bob/hostile?expand=config", "ada").content).get("config", {})
        assert isinstance(found.get("model_type", ""), str)
        assert all(isinstance(name, str) for name in found.get("architectures", []))


@pytest.mark.usefixtures("hostile")
def test_config_with_nan_keeps_other_fields(hub: Hub) -> None:
    put(hub, "config.json", b'{"model_type": "lstm", "dropout": NaN, "architectures": ["A"], "limit": [0, Infinity]}')
    found = hub("GET", "/api/models/bob/hostile?expand=config").json()["config"]
    assert found == {"model_type": "lstm", "architectures": ["A"]}


@pytest.mark.usefixtures("hostile")
def test_any_card(hub: Hub) -> None:
    for card in CARDS:
        put(hub, "README.md", f"---\n{card}\n---\n# Title".encode())
        all_answers(hub)
        for shape in hub("GET", "/api/models?full=1&cardData=1&config=1&limit=1000").json():
            assert ModelInfo(**shape).id, "the client can parse it"


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    "header", [b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a": 1, "a": 2}', b"[" * 900]
)
def test_any_safetensors_header(hub: Hub, header: bytes) -> None:
    put(hub, "m.safetensors", len(header).to_bytes(8, "little") + header)
    put(hub, "m.safetensors.index.json", b'{"weight_map": {"w": "m.safetensors"}}')
    answer = hub("GET", "/api/models/bob/hostile/safetensors-metadata/m.safetensors.index.json")
    assert answer.status_code == 422
    put(hub, "n.safetensors.index.json", b'{"metadata": {"total_size": NaN}, "weight_map": {}}')
    answer = hub("GET", "/api/models/bob/hostile/safetensors-metadata/n.safetensors.index.json")
    assert answer.status_code == 422


def test_lists_work_with_a_damaged_object_in_one_repository(hub: Hub, hostile: Repo) -> None:
    put(hub, "config.json", b'{"model_type": "lstm"}')
    with hub.store.database.transaction() as connection:
        oid = hub.store.revisions.entry(hostile, hub.store.revisions.resolve(hostile, "main"), "config.json")
        assert oid is not None
        connection.execute("DELETE FROM objects WHERE repo = ? AND oid = ?", (hostile.id, bytes.fromhex(oid.oid)))
    all_answers(hub)
