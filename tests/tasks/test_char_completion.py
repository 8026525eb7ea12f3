"""Character completion: order of the symbols, best accuracy, and results of two seeds."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from benchmarks import RESULTS
from benchmarks.char_completion import MODEL, MOST_LOSS, SEEDS, TASK_ID, Outcome, ours, plain
from seqhub.errors import InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.models.tokenizer import encode
from seqhub.tasks.char_completion import PHRASES, TASK
from seqhub.tasks.splits import SPLITS, Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train


def test_symbols_are_the_characters_of_the_phrases_in_alphabetical_order() -> None:
    assert list(TASK.symbols) == sorted(set("".join(PHRASES)))
    assert len(TASK.symbols) == 17


def test_phrases_are_padded_with_spaces_and_equal_in_every_split() -> None:
    assert [phrase.rstrip() for phrase in PHRASES] == ["hey how are you", "good i am fine", "have a nice day"]
    for name in SPLITS:
        split = Split(TASK_ID, name)
        assert [example.inputs for example in split.examples(split.blocks(0, 1))] == list(PHRASES)
        assert split.blocks(0, 1).lengths.tolist() == [15, 15, 15]


def test_one_of_42_characters_cannot_be_predicted() -> None:
    """The most frequent next character of each beginning is right 41 times."""
    following: dict[str, Counter[str]] = {}
    for phrase in PHRASES:
        for step in range(1, 15):
            following.setdefault(phrase[:step], Counter())[phrase[step]] += 1
    assert sum(counts.total() for counts in following.values()) == 42
    assert sum(max(counts.values()) for counts in following.values()) == 41


@pytest.mark.parametrize("start", ["", "h", "x", "good i am fine  ", "ood"])
def test_only_the_beginning_of_one_phrase_is_completed(start: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"start='{start}': must be the beginning of one phrase, not [023]"):
        TASK.complete(start)


def test_other_texts_are_errors() -> None:
    with pytest.raises(InvalidInputError, match="'good i am fine' is not a phrase"):
        TASK.solve("good i am fine")


@pytest.mark.parametrize("seed", [1, 2])
def test_training_agrees_with_a_plain_pytorch_program(seed: int) -> None:
    found, expected = ours(seed), plain(seed)
    assert found.completed == expected.completed == "good i am fine "
    assert found.loss_100 <= MOST_LOSS
    assert found[:2] == pytest.approx(expected[:2], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_completes_the_phrase_and_agrees_with_its_record(seed: int) -> None:
    found = ours(seed)
    assert found.loss_100 <= MOST_LOSS
    assert found.completed == "good i am fine "
    rows = {row["case"]: row["each"] for row in json.loads((RESULTS / "char_completion.json").read_text())["rows"]}
    recorded = Outcome(
        *(rows[f"loss at epoch {epoch}, median"][seed - 1] for epoch in (10, 100)), completed="good i am fine "
    )
    assert found[:2] == pytest.approx(recorded[:2], rel=1e-2)


def test_released_results_meet_their_goals() -> None:
    rows = {row["case"]: row for row in json.loads((RESULTS / "char_completion.json").read_text())["rows"]}
    assert rows["completed exactly"]["each"] == [1] * 20
    assert max(rows["loss at epoch 100, median"]["each"]) <= MOST_LOSS


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tutorial"
    train(TrainConfig(task=TASK_ID, output_dir=folder, **recipe(TASK_ID, MODEL, "tutorial") | {"model": MODEL}))
    return folder


def test_the_loss_is_the_mean_over_42_characters(finished: Path) -> None:
    record = evaluate(finished)
    assert record.num_parameters == 593
    test = record.evaluation["test"]
    assert test["steps"] == 42
    model, ids = load_model(finished), torch.from_numpy(TASK.encode_batch(PHRASES))
    probabilities = model(ids).logits.softmax(-1).detach()
    losses = [-math.log(probabilities[row, step, ids[row, step + 1]]) for row in range(3) for step in range(14)]
    assert test["loss"] == pytest.approx(sum(losses) / 42, rel=1e-5)


def test_each_new_character_costs_one_step(finished: Path) -> None:
    model, seen = load_model(finished), []
    model.model.layers[0].recurrence.register_forward_pre_hook(lambda _, given: seen.append(given[0].size(1)))
    model.generate(torch.tensor([TASK.encode("good")]), max_new_tokens=11, do_sample=False)
    assert seen == [4] + [1] * 10


def test_saved_tokenizer_raises_for_other_characters_with_their_position(finished: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(finished)
    assert tokenizer("good i")["input_ids"] == TASK.encode("good i")
    with pytest.raises(InvalidInputError, match="symbol 'G' at position 0 of row 1; the vocabulary is ' acdef"):
        encode(tokenizer, ["good", "Good"])


def test_shipped_recipes_reach_the_best_accuracy(tmp_path: Path) -> None:
    for model in ("lstm", "gru", "rnn_tanh"):
        folder = tmp_path / model
        train(TrainConfig(task=TASK_ID, output_dir=folder, **recipe(TASK_ID, model) | {"model": model}))
        assert evaluate(folder).evaluation["test"]["accuracy"] == pytest.approx(41 / 42)
