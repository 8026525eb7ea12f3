"""torch.compile gives the results of eager execution for every family, head and kind of input."""

from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from seqhub.models.registry import build_config, build_model, list_heads, list_presets
from seqhub.models.tokenizer import symbol_tokenizer
from seqhub.training.runtime import own_accelerate_state
from tests.helpers.model_families import CASES, build, family_of, loss, padded, rows_for

# The compiler reads `.grad` of non-leaf tensors, and uses deprecated functions of torch.jit
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
CELLS = list_presets("input_ids", head="causal")
KINDS: dict[str, dict[str, Any]] = {
    "one_hot": {},
    "embedding": {"inputs": "embedding", "embedding_size": 3},
    "values": {"inputs": "values", "num_features": 3},
}


@pytest.fixture(autouse=True)
def reset_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make(cell: str, head: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    return build_model(build_config(cell, num_labels=4, **settings), head)


def results(model: nn.Module, called: Any, given: dict[str, Tensor]) -> list[Tensor]:
    model.zero_grad()
    output = called(**given)
    output.loss.backward()
    return [output.loss.detach(), output.logits.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def agree(model: Any, head: str, backend: str) -> None:
    compiled = torch.compile(model, backend=backend)
    ids = torch.randint(1, 9, (3, 5), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
    labels = {"sequence": ids[:, 0] % 4, "token": ids % 4, "causal": ids}[head]
    values = torch.randn(3, 5, 3)
    given = {"input_values": values} if model.main_input_name == "input_values" else {"input_ids": ids}
    for training in (False, True):
        model.train(training)
        for attention_mask in (torch.ones_like(mask), mask):
            batch = {**given, "attention_mask": attention_mask, "labels": labels}
            for one, two in zip(results(model, compiled, batch), results(model, model, batch), strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_compiled_models_equal_eager_ones():
    for cell, head in (("lstm", "sequence"), ("rnn_tanh", "token")):
        agree(make(cell, head), head, "eager")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["sequence", "token", "causal"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_head_and_input(cell, head, kind):
    if not (head == "causal" and kind == "values"):
        agree(make(cell, head, **KINDS[kind]), head, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_every_family_of_values(backend):
    seen = set()
    for case in (each.values[0] for each in CASES):
        family = family_of(case.preset)
        if family in ("hs97", "recurrent") or (family, case.head) in seen:
            continue
        seen.add((family, case.head))
        model = build(case)
        compiled: Any = torch.compile(model, backend=backend)
        for side in ("right", "mixed"):
            values, mask = padded(rows_for(case, 1), side, case.shape.steps[1])
            found = []
            for called in (model, compiled):
                model.zero_grad()
                total = loss(called, values, mask)
                total.backward()
                found.append([total.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
            for one, two in zip(*found, strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_every_head_by_inductor():
    for head in list_heads("recurrent"):
        if head != "base":
            agree(make("lstm", head), head, "inductor")


@pytest.mark.slow
def test_trainer_compiles(tmp_path):
    tokenizer = symbol_tokenizer("XYabcdBE")
    rows = Dataset.from_list([{"text": text, "label": i % 4} for i, text in enumerate(["BXaXE", "BYcbXE", "BXYE"] * 4)])
    rows = rows.map(lambda row: tokenizer(row["text"]))
    losses = []
    for compiled in (False, True):
        with own_accelerate_state():
            trainer = Trainer(
                make("lstm", "sequence"),
                TrainingArguments(
                    tmp_path / str(compiled), max_steps=3, per_device_train_batch_size=4, report_to="none",
                    use_cpu=True,
                    disable_tqdm=True, logging_steps=1, torch_compile=compiled, seed=0,
                ),
                train_dataset=rows, eval_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer),
                processing_class=tokenizer,
            )  # fmt: skip
            trainer.train()
            losses.append([each["loss"] for each in trainer.state.log_history if "loss" in each])
            losses[-1].append(trainer.evaluate()["eval_loss"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
