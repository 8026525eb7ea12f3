"""Local checks of cards: for each rule, a card that violates it."""

import pytest

from seqhub.cards import dataset_card, model_card
from seqhub.cards.validate import validate
from seqhub.errors import InvalidInputError
from tests.helpers.run_records import dataset_record, run_record

MODEL = model_card.render(run_record(), license="apache-2.0")
DATASET = dataset_card.render(dataset_record())
ACCURACY = "    - type: accuracy\n      value: "


def test_rendered_cards_are_valid() -> None:
    validate(MODEL, "model")
    validate(DATASET, "dataset")


WRONG_MODEL_CARDS = (
    ("license: apache-2.0", "license: gpl-5", "license 'gpl-5'.*apache-2.0, mit"),
    ("library_name: transformers\n", "", "'library_name' is missing"),
    ("pipeline_tag: text-classification\n", "", "'pipeline_tag' is missing"),
    (f"{ACCURACY}1.0", f"{ACCURACY}1.01", "accuracy of hard/validation is 1.01"),
    (f"{ACCURACY}1.0", f"{ACCURACY}.nan", "accuracy of hard/validation is nan"),
    (f"{ACCURACY}1.0", f"{ACCURACY}high", "is 'high', must be a number"),
    ("    - type: loss\n      value: ", "    - type: loss\n      value: -", "loss of hard/validation is -"),
    ("      split: validation\n", "", r"model-index .*KeyError: 'split'"),
    ("# qrsu-hard-lstm", "qrsu-hard-lstm", "title .* is missing"),
    ("library_name: transformers", "library_name: [", "not valid YAML: .*line"),
    ("---\n", "", "first line must be ---"),
)


def test_a_wrong_model_card_is_an_error() -> None:
    for old, new, message in WRONG_MODEL_CARDS:
        assert old in MODEL
        with pytest.raises(InvalidInputError, match=message) as raised:
            validate(MODEL.replace(old, new, 1), "model")
        assert "\n" not in str(raised.value)


WRONG_DATASET_CARDS = (
    ("- config_name: easy\n  data", "- config_name: soft\n  data", r"\{'soft': .* dataset_info \{'easy':"),
    ("- split: train\n", "- split: trian\n", r"configs name \{'easy': \['trian', "),
    ("    path: easy/test-*\n", "    path: easy/test-*\n  default: true\n", "2 configs are default: easy, hard"),
    ("num_examples: 24", "num_examples: 24.5", r"num_examples are \[24.5, 8, 8, 24, 8, 8\]"),
    ("num_examples: 24", "num_rows: 24", "dataset_info .*KeyError: 'num_examples'"),
    ("task_categories:\n- text-classification\n", "", "'task_categories' is missing"),
)


def test_a_wrong_dataset_card_is_an_error() -> None:
    for old, new, message in WRONG_DATASET_CARDS:
        assert old in DATASET
        with pytest.raises(InvalidInputError, match=message):
            validate(DATASET.replace(old, new, 1), "dataset")


def test_the_message_lists_all_errors() -> None:
    with pytest.raises(InvalidInputError, match=r"model card: 'library_name' .*; 'pipeline_tag' .*; .*title"):
        validate("---\ntags: [x]\n---\nnothing", "model")


def test_metadata_must_be_a_mapping() -> None:
    with pytest.raises(InvalidInputError, match="are a list; must be a mapping"):
        validate("---\n- a\n---\n# t", "model")
