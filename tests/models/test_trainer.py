"""Training with the Trainer of transformers."""

import math

import pytest
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from seqhub.models.registry import build_config, build_model, list_presets
from seqhub.models.tokenizer import symbol_tokenizer
from seqhub.training.runtime import own_accelerate_state


@pytest.fixture(autouse=True)
def separate_accelerate_state():
    """Restore device and precision, which Trainer sets for the whole process."""
    with own_accelerate_state():
        yield


@pytest.mark.parametrize("preset", list_presets("input_ids", head="causal"))
def test_two_steps_and_an_evaluation(tmp_path, preset):
    tokenizer = symbol_tokenizer("XYabcdBE")
    texts = ["BXaXE", "BYcbXE", "BXYE", "BYdYE"] * 3
    rows = Dataset.from_list([{"text": text, "label": i % 4} for i, text in enumerate(texts)])
    rows = rows.map(lambda row: tokenizer(row["text"]))
    model = build_model(build_config(preset, num_labels=4), "sequence")
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    trainer = Trainer(
        model,
        TrainingArguments(
            tmp_path, max_steps=2, per_device_train_batch_size=3, gradient_accumulation_steps=2, report_to="none",
            learning_rate=0.1, use_cpu=True, disable_tqdm=True, logging_steps=1,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    assert not any(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())
    first = trainer.state.log_history[0]
    assert float(first["loss"]) == pytest.approx(math.log(4), abs=0.5)  # a mean over labels, also with accumulation
    assert math.isfinite(trainer.evaluate()["eval_loss"])
    assert trainer.predict(rows).predictions.shape == (12, 4)
