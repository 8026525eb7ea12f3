"""Outputs of the head that native evaluation writes, compared with the model in torch, on every instruction set."""

from typing import Any

import numpy as np
import pytest
import torch

from seqhub.errors import InvalidInputError
from seqhub.native.trainer import NativeTrainer, OptimizerSettings
from tests.helpers.native_cases import CELLS, SETS
from tests.native.test_trainer import CLASSES, HEADS, SYMBOLS, Rows, network, objective

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
_UNTOUCHED = 7.0


def _compare(rows: Rows, cell: str, instruction_set: str, double: bool, **settings: Any) -> None:
    model = network(rows, cell, double=double, **settings).eval()
    trainer = NativeTrainer(model, objective(rows), OptimizerSettings(), instruction_set=instruction_set)
    found = np.full(trainer.logits_shape(*rows.inputs.shape[:2]), _UNTOUCHED, trainer.dtype)
    metrics = trainer.evaluate(rows.inputs, rows.lengths, rows.labels, found)
    assert np.array_equal(metrics, trainer.evaluate(rows.inputs, rows.lengths, rows.labels))

    batch = rows.batch(slice(None))
    del batch["labels"]
    given = {
        name: each.to(next(model.parameters()).dtype) if each.is_floating_point() else each
        for name, each in batch.items()
    }
    with torch.no_grad():
        logits = model(**given).logits
    if rows.target == "next_symbol" and logits.size(-1) == SYMBOLS + 1:  # without the column of padding
        logits = logits[..., 1:]
    wanted = logits.reshape(found.shape).numpy()
    if rows.target in ("step_class", "next_symbol"):
        wanted = np.where(rows.real[..., None] == 1, wanted, _UNTOUCHED)
    np.testing.assert_allclose(found, wanted, rtol=1e-10 if double else 1e-5, atol=1e-10 if double else 2e-6)


@pytest.mark.fast_cases("*-class-*", "lstm-*")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_equal_to_torch(cell: str, target: str, instruction_set: str) -> None:
    """Blocks of one and two vectors, and few sequences with units in the lanes; one and two layers and directions."""
    for count, double, layers in ((42, False, 1), (11, True, 2), (1, False, 2)):
        options = {"num_hidden_layers": layers, "bidirectional": layers == 2 and target != "next_symbol"}
        _compare(Rows(target, count=count), cell, instruction_set, double, **options)
        if target != "next_symbol":
            _compare(Rows(target, values=True, count=count), cell, instruction_set, double, **options)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
def test_memory_blocks(target: str, instruction_set: str) -> None:
    settings = {"hidden_size": 6, "block_size": 2, "logistic_outputs": False}
    for count, double in ((11, True), (5, False)):
        _compare(Rows(target, count=count), "lstm_hs97", instruction_set, double, **settings)


def test_of_another_shape_or_type() -> None:
    rows = Rows(count=3)
    trainer = NativeTrainer(network(rows), objective(rows), OptimizerSettings())
    for wrong in (np.zeros((3, CLASSES + 1), np.float32), np.zeros((3, CLASSES)), np.zeros((2, CLASSES), np.float32)):
        with pytest.raises(InvalidInputError, match="logits"):
            trainer.evaluate(rows.inputs, rows.lengths, rows.labels, wrong)
