"""Page of the state explorer over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqhub.models import recurrent
from seqhub.models.tokenizer import symbol_tokenizer
from seqhub.server.pages import explorer
from seqhub.server.types import Repo
from tests.server.pages.conftest import html
from tests.server.pages.test_security import MARKS, WEIGHTS, assert_harmless, put
from tests.server.routes.conftest import Hub

PAGE = "/ada/lstm/-/explorer/main"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a small model, as `seqhub train` writes them."""
    folder = Path(tmp_path_factory.mktemp("lstm"))
    recurrent.RecurrentForSequenceClassification(recurrent.RecurrentConfig()).save_pretrained(folder)
    symbol_tokenizer("XYabcdBE").save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps({"probe": {"texts": ["BXabE"], "logits": [[0.0, 1.0]]}}))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def repo(hub: Hub, files: dict[str, bytes]) -> Iterator[Repo]:
    made = hub.make("ada/lstm", **files)
    yield made
    hub.store.repos.delete(made)


def data_of(text: str) -> dict[str, str]:
    return dict(re.findall(r' data-(config|weights|tokenizer|run)="([^"]+)"', text))


def test_the_page_names_the_files_of_one_commit(hub: Hub, repo: Repo, files: dict[str, bytes]) -> None:
    text = assert_harmless(html(hub, PAGE))
    assert 'href="/ada/lstm/-/explorer/main" aria-current="page">Explorer</a>' in text
    assert '<noscript><p class="notice-box">The explorer needs JavaScript.' in text
    urls = data_of(text)
    assert sorted(urls) == ["config", "run", "tokenizer", "weights"]
    for name, url in urls.items():
        assert hub.head(repo) in url
        answer = hub("GET", url, None)
        assert answer.status_code == 200
        assert (
            answer.content == files[{"config": "config.json", "weights": "model.safetensors"}.get(name, f"{name}.json")]
        )


def test_models_of_other_families_and_other_repositories_say_so(hub: Hub) -> None:
    for path, reason in (
        (
            "/ada/net/-/explorer/main",
            "model_type is &#39;seqhub&#39;; the explorer knows the families seqhub_recurrent",
        ),
        ("/datasets/ada/rows/-/explorer/main", "this is not a model repository"),
    ):
        text = assert_harmless(html(hub, path))
        assert reason in text
        assert ">Explorer</a>" not in text
        assert "explorer.js" not in text


def test_only_readers_get_the_page(hub: Hub) -> None:
    for name in ("secret", "absent"):
        assert html(hub, f"/ada/{name}/-/explorer/main").status_code == 401
        assert html(hub, f"/ada/{name}/-/explorer/main", "bob").status_code == 404
    assert html(hub, "/ada/gated/-/explorer/main", "bob").status_code == 403
    assert html(hub, "/ada/secret/-/explorer/main", "ada").status_code == 200
    assert html(hub, "/ada/lstm/-/explorer/absent").status_code == 404


CONFIGS: list[Any] = [
    *MARKS, None, [], 5, {}, {"model_type": 5}, {"model_type": ["seqhub_recurrent"]}, {"model_type": {"a": 1}},
    *({"model_type": mark} for mark in MARKS), {"model_type": "x" * 100_000},
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_hostile_configs(hub: Hub, repo: Repo, config: Any, files: dict[str, bytes]) -> None:
    made = hub.make("bob/net", **{"model.safetensors": files["model.safetensors"]})
    for content in (json.dumps(config).encode(), b"{", b"[" * 5000, b"\xff"):
        put(hub, made, "config.json", content)
        text = assert_harmless(html(hub, "/bob/net/-/explorer/main"))
        assert "cannot run this repository" in text
        assert_harmless(html(hub, "/bob/net"))
    hub.store.repos.delete(made)


def test_broken_and_missing_weights(hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    made = hub.make("bob/net", **{"config.json": files["config.json"]})
    assert "It has no model.safetensors." in assert_harmless(html(hub, "/bob/net/-/explorer/main"))
    for content in WEIGHTS:
        put(hub, made, "model.safetensors", content)
        assert_harmless(html(hub, "/bob/net/-/explorer/main"))
    put(hub, made, "model.safetensors", files["model.safetensors"])
    assert sorted(data_of(html(hub, "/bob/net/-/explorer/main").text)) == ["config", "weights"]
    monkeypatch.setattr(explorer, "MAX_WEIGHTS", 100)
    assert "the explorer loads at most 100" in assert_harmless(html(hub, "/bob/net/-/explorer/main"))
    hub.store.repos.delete(made)
