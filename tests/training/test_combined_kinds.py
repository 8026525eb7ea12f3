"""Kinds of own rows together: fine-tuning of generated texts, labels and numbers; generated texts in long form."""

from pathlib import Path
from typing import Any

import pytest

import seqhub
from seqhub.errors import InvalidInputError
from seqhub.evaluation.load import load_model
from seqhub.evaluation.predict import predict
from seqhub.training.configure import configure
from tests.helpers.own_files import captioned, reviews, slopes, topics, write_csv, write_json

SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 8, "learning_rate": 0.02, "cpu": True}


def trained(file: Path, folder: Path, kind: str | None = None, options: Any = None, **settings: Any) -> Any:
    config = configure(data=str(file), output_dir=folder, kind=kind, data_options=options or {}, **(SMALL | settings))
    return seqhub.train(config)


@pytest.fixture
def reversed_texts(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "reversed.csv", ("text", "target"), [(text, text[::-1]) for text, _ in reviews(60)])


def test_models_of_every_kind_can_be_fine_tuned(tmp_path: Path, reversed_texts: Path) -> None:
    captioned(tmp_path / "digits")
    cases: list[tuple[Path, str, Any]] = [
        (reversed_texts, "text-sequence", {}),
        (tmp_path / "digits", "series-sequence", {}),
        (write_json(tmp_path / "topics.jsonl", topics()), "text-multi-label", {}),
        (write_json(tmp_path / "slopes.jsonl", slopes()), "series-numbers", {"target": ["level", "slope"]}),
    ]
    for file, kind, options in cases:
        base, run = tmp_path / f"{kind}-base", tmp_path / f"{kind}-tuned"
        first = trained(file, base, kind, options)
        second = trained(file, run, kind, options, base_model=str(base))
        assert second.base_model is not None, kind
        assert (second.base_model["name"], second.base_model["new"]) == (base.name, []), kind
        assert second.task.config_name == first.task.config_name == kind
        assert second.num_parameters == first.num_parameters, kind
        assert load_model(run, "seq2seq" if kind.endswith("-sequence") else "sequence") is not None
        assert next(iter(predict(run, file))).row == 0, kind


def test_a_base_model_with_other_outputs_is_one_clear_line(tmp_path: Path, reversed_texts: Path) -> None:
    labelled = write_csv(tmp_path / "labelled.csv", ("text", "label"), reviews(60))
    trained(reversed_texts, tmp_path / "writes", "text-sequence")
    with pytest.raises(InvalidInputError, match=r"^the base model writes generates texts; the rows of .* have other "):
        trained(labelled, tmp_path / "run", base_model=str(tmp_path / "writes"))
    trained(labelled, tmp_path / "labels")
    with pytest.raises(InvalidInputError, match=r"^the base model labels has other outputs; .* texts to be generated$"):
        trained(reversed_texts, tmp_path / "run", "text-sequence", base_model=str(tmp_path / "labels"))
    assert not (tmp_path / "run").exists()


def test_series_in_long_form_have_one_text_for_each_id(tmp_path: Path) -> None:
    rows = [(f"s{n}", step, n + 0.5 * step, "up up" if n % 2 else "down") for n in range(60) for step in range(4)]
    file = write_csv(tmp_path / "steps.csv", ("id", "step", "value", "caption"), rows)
    options = {"id": "id", "order": "step", "inputs": ["value"], "target": "caption"}
    trained(file, tmp_path / "run", "series-sequence", options)
    found = list(predict(tmp_path / "run", file))
    assert [each.id for each in found] == [f"s{n}" for n in range(60)]
    with pytest.raises(InvalidInputError, match=r"^column 'step' of .* has series; need texts$"):
        trained(file, tmp_path / "other", "series-sequence", {"id": "id", "inputs": ["value"], "target": "step"})


def test_generated_texts_have_no_tokens_of_a_tokenizer(tmp_path: Path, reversed_texts: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^--tokens some/tokenizer: must be characters or words for texts"):
        trained(reversed_texts, tmp_path / "run", "text-sequence", {"tokens": "some/tokenizer"})
