"""Sentiment: the label depends on word order and not on word counts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import RESULTS
from benchmarks.sentiment import LEAST, MOST_OF_A_BAG, TASK_IDS, bag_of_words, ours
from seqhub.errors import InvalidInputError
from seqhub.records import RunRecord
from seqhub.tasks.sentiment import AFFIRMING, DAMNING, NEGATING, PRAISING, TASK, TOPIC
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from tests.helpers import forked_process
from tests.helpers.task_cases import assert_same_distribution
from tests.helpers.training_processes import finish

SENTENCE = "nobody on good seats said that the film was awful but all in the rain found that the hall was great"


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_every_word_is_as_frequent_in_good_sentences_as_in_bad_ones(task_id: str) -> None:
    batch = Split(task_id).blocks(0, 8)
    words = [batch.inputs[batch.labels == label].ravel() for label in (0, 1)]
    assert_same_distribution(*(np.bincount(part, minlength=len(TASK.symbols) + 1)[1:] for part in words))


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_each_kind_of_informative_word_occurs_once(task_id: str) -> None:
    split = Split(task_id)
    for example in split.examples(split.blocks(0, 2)):
        words = example.inputs.split(" ")
        assert sorted(word in NEGATING for word in words if word in NEGATING + AFFIRMING) == [False, True]
        adjectives = [words[place + 1] for place, word in enumerate(words) if word == "was"]
        assert sorted(word in PRAISING for word in adjectives) == [False, True]
        assert set(adjectives) <= set(PRAISING + DAMNING)
        assert words.count(TOPIC) == 1


def test_solve_depends_on_scope_and_not_on_distance() -> None:
    assert TASK.solve(SENTENCE) == "good"
    assert TASK.solve(SENTENCE.replace("nobody", "everybody")) == "bad"
    assert TASK.solve(SENTENCE.replace("awful", "fine")) == "bad"
    assert TASK.solve(SENTENCE.replace(" all ", " none ")) == "good"  # out of scope
    assert TASK.solve(SENTENCE.replace("on good seats", "in bad weather")) == "good"  # out of scope


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "the film was good",
        SENTENCE.replace("film", "music"),
        SENTENCE.replace("hall", "film"),
        SENTENCE.replace("but", "and but"),
        SENTENCE.replace("on good seats", "on good"),
        SENTENCE.replace("was awful", "was seats"),
        SENTENCE.replace("nobody", "film"),
        f"{SENTENCE} ",
    ],
)
def test_invalid_sentences_are_errors(wrong: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a valid sentiment sentence"):
        TASK.solve(wrong)


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_bag_of_words_stays_below_three_quarters(task_id: str) -> None:
    assert bag_of_words(task_id, training=4_000, test=4_000) < MOST_OF_A_BAG


def test_bag_of_words_detects_informative_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bag of words above succeeds if single words depend on the label."""
    from seqhub.tasks import base, sentiment

    def leaky(self: object, config: object, random: object) -> base.Batch:
        batch = generate(self, config, random)
        the, good, bad = (TASK.vocabulary.ids[word] for word in ("the", "good", "bad"))
        clue = np.where(batch.labels == 0, good, bad)[:, None]
        return base.Batch(np.where(batch.inputs == the, clue, batch.inputs), batch.lengths, batch.labels)

    generate = sentiment.Sentiment.generate
    monkeypatch.setattr(sentiment.Sentiment, "generate", leaky)
    assert bag_of_words("sentiment/short", training=2_000, test=2_000) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("task_id", TASK_IDS)
@pytest.mark.parametrize("seed", range(1, 6))
def test_every_seed_exceeds_the_bag_of_words(task_id: str, seed: int) -> None:
    right, _ = ours(task_id, seed)
    assert right >= LEAST


def test_released_results_meet_their_goals() -> None:
    rows = json.loads((RESULTS / "sentiment.json").read_text())["rows"]
    assert [row["met"] for row in rows if row["goal"]] == [True] * 4
    assert all(min(row["each"]) >= LEAST for row in rows if "LSTM" in row["case"])


WITHOUT_SEQHUB = """
import json, sys

sys.modules["seqhub"] = None  # simulates that seqhub is not installed
from transformers import pipeline

classify = pipeline("text-classification", sys.argv[1], trust_remote_code=True)
print(json.dumps([answer["label"] for answer in classify(json.loads(sys.argv[2]))]))
"""


@pytest.mark.slow
def test_pipeline_without_seqhub_predicts_good_or_bad(tmp_path: Path) -> None:
    settings = recipe("sentiment/short", "lstm") | {"model": "lstm"}
    train(TrainConfig(task="sentiment/short", output_dir=tmp_path / "run", **settings))
    (criterion, _) = RunRecord.load(tmp_path / "run").criteria.values()
    assert criterion is not None
    split = Split("sentiment/short", "test")
    examples = split.examples(split.blocks(0, 1))[:100]
    texts = json.dumps([example.inputs for example in examples])
    process = forked_process.Process(
        ["-c", WITHOUT_SEQHUB, str(tmp_path / "run"), texts], cwd=tmp_path, env=dict(os.environ)
    )
    code, out, errors = finish(process, 240)
    assert code == 0, errors[-2000:]
    predictions = json.loads(out.splitlines()[-1])
    assert sum(label == example.target for label, example in zip(predictions, examples, strict=True)) >= 99
