"""Local checks of cards: each rule has a card that breaks it."""

import pytest

from seqhub.cards import dataset_card, model_card
from seqhub.cards.validate import validate
from seqhub.errors import InvalidInputError
from tests.helpers.run_records import dataset_record, run_record

MODEL = model_card.render(run_record(), license="apache-2.0")
DATASET = dataset_card.render(dataset_record())
ACCURACY = "    - type: accuracy\n      value: "


def test_rendered_cards_are_right() -> None:
    validate(MODEL, "model")
    validate(DATASET, "dataset")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: apache-2.0", "license: gpl-5", "license 'gpl-5', known are apache-2.0, mit"),
        ("library_name: transformers\n", "", "no 'library_name'"),
        ("pipeline_tag: text-classification\n", "", "no 'pipeline_tag'"),
        (f"{ACCURACY}1.0", f"{ACCURACY}1.01", "accuracy of hard/validation is 1.01"),
        (f"{ACCURACY}1.0", f"{ACCURACY}.nan", "accuracy of hard/validation is nan"),
        (f"{ACCURACY}1.0", f"{ACCURACY}high", "is 'high', need a number"),
        ("    - type: loss\n      value: ", "    - type: loss\n      value: -", "loss of hard/validation is -"),
        ("      split: validation\n", "", r"model-index is not in the Hub's form \(KeyError: 'split'\)"),
        ("# qrsu-hard-lstm", "qrsu-hard-lstm", "no title under the metadata"),
        ("library_name: transformers", "library_name: [", "metadata of the card are no YAML: .*line"),
        ("---\n", "", "card without metadata: its first line must be ---"),
    ],
)  # fmt: skip
def test_a_wrong_model_card_is_refused(old: str, new: str, message: str) -> None:
    assert old in MODEL
    with pytest.raises(InvalidInputError, match=message) as raised:
        validate(MODEL.replace(old, new, 1), "model")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "- config_name: easy\n  data",
            "- config_name: soft\n  data",
            r"configs name \{'soft': .* dataset_info \{'easy':",
        ),
        ("- split: train\n", "- split: trian\n", r"configs name \{'easy': \['trian', "),
        ("    path: easy/test-*\n", "    path: easy/test-*\n  default: true\n", "2 configs are default: easy, hard"),
        ("num_examples: 24", "num_examples: 24.5", r"num_examples are \[24.5, 8, 8, 24, 8, 8\]"),
        ("num_examples: 24", "num_rows: 24", "dataset_info are not in the Hub's form"),
        ("task_categories:\n- text-classification\n", "", "no 'task_categories'"),
    ],
)
def test_a_wrong_dataset_card_is_refused(old: str, new: str, message: str) -> None:
    assert old in DATASET
    with pytest.raises(InvalidInputError, match=message):
        validate(DATASET.replace(old, new, 1), "dataset")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidInputError, match=r"model card: no 'library_name'; no 'pipeline_tag'; no title"):
        validate("---\ntags: [x]\n---\nnothing", "model")


def test_metadata_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="metadata of the card are a list; need a mapping"):
        validate("---\n- a\n---\n# t", "model")
