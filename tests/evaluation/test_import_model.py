"""Models of `transformers.Trainer`: evaluation, verification, card and push."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import seqhub
from seqhub.cards.write import write_card
from seqhub.errors import InvalidInputError, SeqhubError
from seqhub.hub.push import push
from seqhub.models.registry import build_config, build_model
from seqhub.records import RunRecord
from tests.helpers.cli_calls import call, output_of

ROWS = 64


def train_with_trainer(folder: Path, task_id: str, model: torch.nn.Module) -> Path:
    """Train for a few steps on rows of `load_dataset`, and save as users of transformers do."""
    rows = seqhub.load_dataset(*task_id.split("/"), split="train").select(range(ROWS))
    tokenizer = None
    if "text" in rows.column_names:
        tokenizer = seqhub.get_tokenizer(task_id)
        rows = rows.map(lambda batch: tokenizer(batch["text"]), batched=True)
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=4, per_device_train_batch_size=16, learning_rate=0.01,
        save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=seqhub.DataCollator(task_id)).train()
    model.save_pretrained(folder / "model")
    if tokenizer is not None:
        tokenizer.save_pretrained(folder / "model")
    return folder / "model"


CASES = {
    "qrsu/easy": ("gru", "sequence", {"num_labels": 4}),
    "echo/step3": ("lstm", "token", {"vocab_size": 3, "id2label": {0: "0", 1: "1"}, "label2id": {"0": 0, "1": 1}}),
    "embedded_reber/hs97": ("rnn_tanh", "causal", {"vocab_size": 8}),
    "adding/hs97-t100": ("gru", "sequence", {"inputs": "values", "num_features": 2, "num_labels": 1}),
    "ramps/pair": ("gru_autoencoder", "base", {"step_shape": [2]}),
}


@pytest.mark.parametrize("task_id", CASES)
def test_a_model_of_trainer_is_evaluated_verified_and_pushed(tmp_path, task_id):
    preset, head, settings = CASES[task_id]
    torch.manual_seed(0)
    config = build_config(preset, hidden_size=5, **settings)
    folder = train_with_trainer(tmp_path, task_id, build_model(config, head))
    shown = json.loads(
        output_of("evaluate", folder, "--task", task_id, "--num-examples", 50, "--sibling-examples", 20, "--json")
    )
    record = RunRecord.load(folder)
    assert shown == record.evaluation
    assert {"validation", "test"} <= record.evaluation.keys()
    assert (str(record.task), record.model) == (task_id, preset)
    assert record.model_config["hidden_size"] == 5
    assert {"config.json", "model.safetensors"} <= record.files.keys()
    for name in ("seed", "sequences_seen", "optimizer_steps", "processes"):
        assert getattr(record, name) is None
    assert (record.training, record.criteria, record.environment, record.command) == ({}, {}, {}, "")
    assert all(finding.agrees for finding in seqhub.verify(folder))
    assert output_of(
        "evaluate", folder, "--num-examples", 30, "--sibling-examples", 0, "--quiet"
    )  # the record has the task

    write_card(folder, license="apache-2.0")
    card = (folder / "README.md").read_text()
    assert f"`{task_id.partition('/')[0]}`" in card
    assert "None" not in re.sub(r"```.*?```", "", card, flags=re.S)
    assert "training seed" not in card
    pushed = push(folder, "me/model", dry_run=True)
    assert {"run.json", "README.md", "config.json", "model.safetensors"} <= {file.name for file in pushed.files}


@pytest.mark.slow
def test_verified_where_seqhub_is_not_installed(tmp_path):
    folder = train_with_trainer(tmp_path, "qrsu/easy", build_model(build_config("lstm", num_labels=4), "sequence"))
    seqhub.evaluate(folder, task="qrsu/easy", num_examples=20, sibling_examples=0)
    assert all(finding.agrees for finding in seqhub.verify(folder, isolated=True))


def save(folder: Path, preset: str = "gru", head: str = "sequence", task: str | None = "qrsu", **settings) -> Path:
    build_model(build_config(preset, **settings), head).save_pretrained(folder)
    if task is not None:
        seqhub.get_tokenizer(task).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("settings", "task", "message"),
    [
        ({"num_labels": 3}, "qrsu/easy", "num_labels=3; must be 4, as in qrsu/easy"),
        ({"num_labels": 4}, "temporal_order_3bit/easy", "num_labels=4; must be 8, as in temporal_order_3bit/easy"),
        ({"num_labels": 4, "vocab_size": 12}, "qrsu/easy", "vocab_size=12; must be 9"),
        ({"id2label": dict(enumerate("QRUS"))}, "qrsu/easy", "labels Q, R, U, S; must be Q, R, S, U"),
        ({"num_labels": 4}, "adding/hs97-t100", "inputs=ids; must be real values"),
        ({"num_labels": 4, "inputs": "values", "num_features": 3}, "qrsu/easy", "inputs=real values; must be ids"),
        ({"inputs": "values", "num_features": 3, "num_labels": 1}, "adding/hs97-t100", "num_features=3; must be 2"),
        ({"head": "token", "num_labels": 4}, "qrsu/easy", "RecurrentForTokenClassification; must be RecurrentForSeq"),
        ({"num_labels": 4, "tokenizer": "echo"}, "qrsu/easy", "vocabulary of the tokenizer is not that of qrsu/easy"),
        (
            {"num_labels": 4, "tokenizer": None},
            "qrsu/easy",
            r"no tokenizer.json; .*seqhub.get_tokenizer\('qrsu/easy'\)",
        ),
        ({"num_labels": 4}, "char_completion/custom", "char_completion/custom: rows of a file"),
        ({"num_labels": 4}, "qrsu/eazy", "known: easy"),
    ],
)
def test_the_error_on_a_model_that_does_not_fit_the_task_is_one_line(tmp_path, settings, task, message):
    settings = dict(settings)
    folder = save(tmp_path, "gru", settings.pop("head", "sequence"), settings.pop("tokenizer", "qrsu"), **settings)
    with pytest.raises(SeqhubError, match=message) as raised:
        seqhub.evaluate(folder, task=task)
    assert "\n" not in str(raised.value)
    assert not (folder / "run.json").exists()


def test_other_models_and_other_tasks_are_rejected(tmp_path):
    config = BertConfig(hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, vocab_size=9)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(InvalidInputError, match="model_type 'bert'; must be a seqhub model"):
        seqhub.evaluate(tmp_path / "bert", task="qrsu/easy")
    folder = save(tmp_path / "gru", num_labels=4)
    ended = call("evaluate", folder)
    assert (ended.code, ended.out) == (2, "")
    assert "no run.json" in ended.err
    assert "--task qrsu/easy" in ended.err
    seqhub.evaluate(folder, task="qrsu/easy", num_examples=10, sibling_examples=0)
    with pytest.raises(InvalidInputError, match=r"task qrsu/hard: .*run.json is a record of qrsu/easy"):
        seqhub.evaluate(folder, task="qrsu/hard")
    with pytest.raises(FileNotFoundError, match="no model"):
        seqhub.evaluate(tmp_path / "nothing", task="qrsu/easy")
