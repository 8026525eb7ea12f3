"""Parsing of cards, including hostile ones."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server.store import Store
from seqhub.server.store.cards import card_tags, parse_card
from seqhub.server.types import AddSmall, Delete, Repo
from tests.server.store.conftest import Committer

LIMIT = 2**20
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {k0: 1, k1: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
)
BOMBS = {
    "laughs": LAUGHS,
    "merges": MERGES,
    "endless": "a: &a [*a]",
    "deep": "a: " + "[" * 50_000,
    "deep mapping": "\n".join(" " * n + "a:" for n in range(1000)),
    "base 60": "a: " + "1:" * 100_000 + "1",
    "digits": "a: " + "9" * 100_000,
    "hex": "a: 0x" + "f" * 100_000,
    "many": "\n".join(f"k{n}: v" for n in range(100_000)),
    "tag": "a: !!python/object/apply:os.system [true]",
    "bad int": "a: !!int ''",
    "bad date": "a: 2001-99-99",
    "bad timestamp": "a: !!timestamp x",
    "unhashable": "? [a]\n: b",
    "list": "- a\n- b",
    "scalar": "hello",
    "unclosed": "a: [1, 2",
    "tab": "a:\n\t- b",
    "bytes": "a: \x00",
    "value": "=: a\nb: !!value x",
    "huge": "a: " + "x" * LIMIT,
    "second document": "a: 1\n...\n--- b",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_yaml_bombs_and_invalid_cards_are_empty(text: str) -> None:
    start = time.process_time()
    assert parse_card(b"---\n" + text.encode() + b"\n---\n# Title", LIMIT) == {}
    assert time.process_time() - start < 3


@given(st.one_of(st.binary(), st.text().map(lambda text: f"---\n{text}\n---\n".encode())))
def test_no_readme_raises(readme: bytes) -> None:
    assert isinstance(card_tags("model", parse_card(readme, LIMIT), readme), list)


def test_plain_values() -> None:
    text = b"\xef\xbb\xbf---\r\na: 2001-01-02\r\nb: .nan\r\nc: [1, 2.5, null, true]\r\nd: {1: x}\r\n---\r\nTitle"
    assert parse_card(text, LIMIT) == {"a": "2001-01-02", "b": "nan", "c": [1, 2.5, None, True], "d": {"1": "x"}}
    assert parse_card(b"a: &x [1]\nb: *x", LIMIT) == {}  # no front matter
    assert parse_card(b"---\na: &x [1]\nb: *x\n---", LIMIT) == {"a": [1], "b": [1]}


def test_tags_as_the_public_hub_lists_them() -> None:
    card = {
        "license": "mit",
        "language": ["en", "de"],
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["lstm", "lstm", 5, ""],
        "datasets": ["seqhub/qrsu"],
        "base_model": "a/b",
        "task_ids": "x",
    }
    assert card_tags("model", card, b"see arxiv.org/abs/1406.1078 and https://arxiv.org/pdf/1406.1078") == [
        "transformers",
        "text-classification",
        "lstm",
        "en",
        "de",
        "license:mit",
        "dataset:seqhub/qrsu",
        "base_model:a/b",
        "task_ids:x",
        "arxiv:1406.1078",
    ]
    assert card_tags("dataset", {"language": "en", "size_categories": ["n<1K"]}, b"") == [
        "language:en",
        "size_categories:n<1K",
    ]


def test_the_card_follows_main(store: Store, repo: Repo, commit: Committer) -> None:
    def find(tag: str) -> int:
        return len(store.listing.repos("model", tags=[tag], viewer=None, limit=5)[0])

    commit(repo, AddSmall("README.md", b"---\nlicense: mit\npipeline_tag: text-classification\nlanguage: EN\n---\n"))
    assert store.repos.card(repo)["license"] == "mit"
    assert (find("license:mit"), find("license:x"), find("language:en"), find("en")) == (1, 0, 1, 1)
    assert len(store.listing.repos("model", pipeline_tag="text-classification", viewer=None, limit=5)[0]) == 1
    store.refs.create_branch(repo, "other")
    commit(repo, AddSmall("README.md", b"---\nlicense: x\n---\n"), ref="other")
    assert store.repos.card(repo)["license"] == "mit"
    commit(repo, AddSmall("README.md", b"---\n" + LAUGHS.encode() + b"\n---\n"))
    assert (store.repos.card(repo), store.repos.tags(repo), find("license:mit")) == ({}, [], 0)
    commit(repo, Delete("README.md", False))
    assert store.repos.card(repo) == {}
