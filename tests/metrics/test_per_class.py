"""Per-class accuracy over several loaders and classifiers, compared with plain counting."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from seqhub.data.arrow import rows_table
from seqhub.data.loader import DatasetLoader, StreamLoader
from seqhub.errors import InvalidInputError
from seqhub.metrics.per_class import count_correct
from seqhub.models.registry import build_config, build_model, list_presets, parameter_counts
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import Split


def model(preset: str = "lstm", head: Any = "sequence", **settings: Any) -> Any:
    torch.manual_seed(0)
    return build_model(build_config(preset, **settings), head)


def rows(count: int) -> list[dict[str, torch.Tensor]]:
    batch = next(iter(StreamLoader("qrsu/easy", "test", batch_size=count)))
    return [{name: tensor[row] for name, tensor in batch.items()} for row in range(count)]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_counts_agree_with_plain_counting_for_any_batch_size(batch_size: int) -> None:
    names = ("Q", "R", "S", "U")
    classifier = model(vocab_size=9, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    counts = count_correct(classifier, DataLoader(rows(100), batch_size=batch_size))
    expected = {True: Counter[str](), False: Counter[str]()}
    for row in rows(100):
        labels = row["labels"]
        logits = classifier(**{name: t.unsqueeze(0) for name, t in row.items() if name != "labels"}).logits
        expected[int(logits.argmax()) == int(labels)][names[int(labels)]] += 1
    assert counts == {name: (expected[True][name], expected[True][name] + expected[False][name]) for name in names}
    assert sum(total for _, total in counts.values()) == 100


def test_a_single_logit_is_two_classes() -> None:
    one = model("gru", inputs="values", num_features=2, id2label={0: "yes"}, label2id={"yes": 0},
                problem_type="multi_label_classification")  # fmt: skip
    values = torch.randn(64, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64) % 2
    with torch.no_grad():
        yes = one(input_values=values).logits[:, 0] > 0
    counts = count_correct(one, [{"input_values": values, "labels": labels}])
    assert counts == {
        "not yes": (int((~yes & (labels == 0)).sum()), 32),
        "yes": (int((yes & (labels == 1)).sum()), 32),
    }


def test_steps_are_counted_except_those_without_a_label() -> None:
    steps = model("lstm", "token", vocab_size=5, num_labels=3)
    ids = torch.tensor([[1, 2, 3], [4, 1, 0]])
    labels = torch.tensor([[0, 1, 2], [NO_LABEL, 2, NO_LABEL]])
    counts = count_correct(steps, [{"input_ids": ids, "labels": labels}])
    assert [total for _, total in counts.values()] == [1, 1, 2]


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_restored(training: bool) -> None:
    classifier = model(vocab_size=9, num_labels=4).train(training)
    count_correct(classifier, DataLoader(rows(4), batch_size=2))
    assert classifier.training is training


def test_errors_on_invalid_labels_and_models_are_one_line() -> None:
    batch = [{"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([4])}]
    with pytest.raises(InvalidInputError, match=r"^label 4: must be 0 to 3$"):
        count_correct(model(vocab_size=9, num_labels=4), batch)
    with pytest.raises(InvalidInputError, match=r"regression and 1 labels; must be a classifier"):
        count_correct(model(vocab_size=9, num_labels=1, problem_type="regression"), batch)
    with pytest.raises(InvalidInputError, match=r"must be a classifier"):
        count_correct(model(head="base", vocab_size=9), batch)
    with pytest.raises(InvalidInputError, match=r"^labels of shape \(1,\); must be \(1, 2\)"):
        count_correct(model(head="token", vocab_size=9, num_labels=4), [{**batch[0], "labels": torch.tensor([1])}])


@pytest.mark.parametrize("preset", list_presets())
def test_parameters_by_module_add_up(preset: str) -> None:
    from seqhub.models.registry import list_heads

    head: Any = "sequence" if "sequence" in list_heads(family_of(preset)) else "base"
    made = model(preset, head)
    assert sum(parameter_counts(made).values()) == made.num_parameters()


def family_of(preset: str) -> str:
    from seqhub.models.registry import _presets

    return _presets()[preset][0]


def test_shared_parameters_count_once() -> None:
    layer = torch.nn.Linear(3, 3)
    assert parameter_counts(torch.nn.Sequential(layer, layer, torch.nn.Linear(3, 1))) == {"0": 12, "2": 4}


def test_fixed_rows_are_counted_from_the_first_one() -> None:
    split = Split("qrsu/easy", "test")
    loader = DatasetLoader(rows_table(split, 0, 100), split.schema, 16, shuffle=False)
    classifier = model(vocab_size=9, num_labels=4)
    counts = count_correct(classifier, loader)
    next(iter(loader))
    assert count_correct(classifier, loader) == counts
    assert sum(total for _, total in counts.values()) == 100
