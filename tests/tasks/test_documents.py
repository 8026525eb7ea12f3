"""Documents: the label depends only on order, and logits do not depend on the batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.models.registry import build_config, build_model
from seqhub.tasks.documents import ANSWER, QUESTION, TASK, TOPICS, DocumentsConfig, topic_vectors, topics_of
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from tests.helpers.task_cases import assert_follows, chi_squared_bound, first_rows

WIDTHS = [config.width for config in TASK.configs]


def documents(width: int, rows: int, split: str = "test") -> tuple[list[np.ndarray], np.ndarray]:
    batch = first_rows(f"documents/width{width}", split, rows)
    return [values[:n] for values, n in zip(batch.inputs, batch.lengths, strict=True)], batch.labels


@pytest.mark.parametrize("width", WIDTHS)
def test_every_document_has_both_planted_topics_once_and_any_others(width: int) -> None:
    chunks, _ = documents(width, 512)
    topics = [np.array(topics_of(each)) for each in chunks]
    assert all((each == planted).sum() == 1 for each in topics for planted in (QUESTION, ANSWER))
    others = np.concatenate([each[each > ANSWER] for each in topics])
    assert_follows(np.bincount(others, minlength=TOPICS)[2:])
    places = [np.flatnonzero(each <= ANSWER) / len(each) for each in topics]
    early, late = np.array(places).T
    assert early.min() == 0  # positions include the first and the last chunk
    assert max(late + 1 / np.array([len(each) for each in topics])) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_noise_is_small_compared_with_distances_of_topics(width: int) -> None:
    chunks, _ = documents(width, 256)
    flat = np.concatenate(chunks)
    distances = np.sqrt(np.square(flat[:, None] - topic_vectors(width)).sum(axis=2))
    nearest, second = np.sort(distances, axis=1)[:, :2].T
    assert (second > 1.3 * nearest).all()
    assert set(np.unique(flat * 32 % 1)) == {0}  # on the grid


def test_mean_of_the_chunks_carries_no_information() -> None:
    """Exchanging the two planted chunks changes the class but not the mean."""
    chunks, labels = documents(64, 2048)
    for each, label in zip(chunks[:200], labels, strict=False):
        topics = topics_of(each)
        question, answer = topics.index(QUESTION), topics.index(ANSWER)
        exchanged = each.copy()
        exchanged[[question, answer]] = each[[answer, question]]
        assert TASK.solve(each) == TASK.labels[label]
        assert TASK.solve(exchanged) == TASK.labels[1 - label]
        np.testing.assert_allclose(exchanged.mean(axis=0), each.mean(axis=0), atol=1e-5)

    train_chunks, train_labels = documents(64, 4096, "train")
    means, train_means = (np.array([each.mean(axis=0) for each in part]) for part in (chunks, train_chunks))
    weights, *_ = np.linalg.lstsq(np.c_[train_means, np.ones(4096)], 2 * train_labels - 1, rcond=None)
    right = ((np.c_[means, np.ones(2048)] @ weights > 0) == labels).sum()
    assert (2 * right - 2048) ** 2 / 2048 < chi_squared_bound(1)  # chance


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([3, 4], r"topics \[3, 4\]: topics 0 and 1 must occur once each"),
        ([0, 1, 0], "once each"),
        ([1], "once each"),
        ([], "once each"),
    ],
)
def test_invalid_documents_are_errors(topics: list[int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(topic_vectors(64)[topics])


def test_other_shapes_and_invalid_configs_are_errors() -> None:
    for shape in ((3, 100), (64,), (2, 3, 64)):
        with pytest.raises(InvalidInputError, match=r"must be \(chunks, width\) with a width of \[64, 768\]"):
            TASK.solve(np.zeros(shape))
    for length, width in (((1, 4), 64), ((5, 4), 64), ((2, 4), 8)):
        with pytest.raises(InvalidConfigError, match="need"):
            DocumentsConfig(name="x", length=length, width=width)


def trained(folder: Path, task_id: str, seed: int) -> Path:
    settings = recipe(task_id, "lstm") | {"seed": seed}
    train(TrainConfig(task=task_id, model="lstm", output_dir=folder, cpu=True, **settings))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("documents") / "run", "documents/width64", seed=0)


@pytest.fixture
def model(run: Path) -> Iterator[PreTrainedModel]:
    with torch.inference_mode():
        yield AutoModelForSequenceClassification.from_pretrained(run)


@pytest.mark.slow
def test_recipe_classifies_every_document_correctly(run: Path) -> None:
    record = evaluate(run, sibling_examples=0)
    assert record.evaluation["test"]["examples"] == 1_024
    assert record.evaluation["test"]["accuracy"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
def test_recipe_works_with_other_seeds_and_widths(width: int, seed: int, tmp_path: Path) -> None:
    record = evaluate(trained(tmp_path / "run", f"documents/width{width}", seed), sibling_examples=0)
    assert record.evaluation["test"]["accuracy"] == 1.0


def test_packed_padded_and_one_by_one_give_the_same_logits(model: PreTrainedModel) -> None:
    """The reference is the LSTM of torch with the same weights, on a packed batch."""
    chunks, labels = documents(64, 64)
    sequences = [torch.from_numpy(each) for each in chunks]
    assert len({len(each) for each in sequences}) > 5
    (layer,) = (module for module in model.modules() if isinstance(module, nn.LSTM))
    plain = nn.LSTM(64, 100, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    _, (hidden, _) = plain(pack_sequence(sequences, enforce_sorted=False))
    packed = model.get_submodule("classifier")(hidden[-1])

    longest = max(map(len, sequences))
    for filler in (0.0, -91.0, 1e6):  # values in the padding are ignored
        for left in (False, True):
            values, mask = torch.full((64, longest, 64), filler), torch.zeros(64, longest, dtype=torch.int64)
            for row, each in enumerate(sequences):
                where = slice(longest - len(each), None) if left else slice(len(each))
                values[row, where], mask[row, where] = each, 1
            padded = model(input_values=values, attention_mask=mask).logits
            torch.testing.assert_close(padded, packed, atol=1e-5, rtol=1e-5)
    alone = torch.cat([model(input_values=each[None]).logits for each in sequences])
    torch.testing.assert_close(alone, packed, atol=1e-5, rtol=1e-5)
    assert (packed.argmax(dim=1).numpy() == labels).all()


def test_model_of_the_source_has_its_number_of_parameters() -> None:
    """LSTM 768 -> 100 and two logits: 348,000 + 202."""
    width = recipe("documents/width768", "lstm")["hidden_size"]
    config = build_config("lstm", inputs="values", num_features=768, hidden_size=width, num_labels=2)
    assert sum(each.numel() for each in build_model(config, "sequence").parameters()) == 348_202


def test_zero_chunks_raise_a_one_line_error(model: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match=r"\b0\b|one or more|at least one") as caught:
        model(input_values=torch.zeros(2, 0, 64))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="every row needs at least one real step, row 1 is all padding"):
        model(input_values=torch.zeros(2, 3, 64), attention_mask=torch.tensor([[1, 1, 0], [0, 0, 0]]))


def test_single_rows_of_a_split_can_be_read() -> None:
    row = Split("documents/width768", "validation")[1_000_000]
    assert row.target == TASK.solve(row.inputs)
