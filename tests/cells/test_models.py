"""Cells as models: `--model my_cell.py:MyCell` and `torchrecurrent:NAME`, with heads, padding, state and saving."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqhub.cells import dispatch
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.load import load_model
from seqhub.models.registry import build_config, build_model
from seqhub.models.wrapped.recurrent_cell import CellLayer, CellStack
from seqhub.training.config import TrainConfig
from seqhub.training.train import train

torchrecurrent = pytest.importorskip("torchrecurrent")
LAYERS = sorted(name for name in torchrecurrent.__all__ if not name.endswith("Cell"))
MY_CELL = """
import torch
from torch import nn


class MyCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.gates = nn.Linear(input_size + hidden_size, 2 * hidden_size)

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        candidate, gate = self.gates(torch.cat([x, h], dim=1)).chunk(2, dim=1)
        return torch.lerp(h, candidate.tanh(), gate.sigmoid())
"""


@pytest.fixture
def my_cell(tmp_path: Path) -> str:
    (tmp_path / "my_cell.py").write_text(MY_CELL)
    return f"{tmp_path}/my_cell.py:MyCell?hidden_size=8"


def outputs(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    logits = model(input_ids=ids, attention_mask=mask).logits
    model.zero_grad()
    logits.square().sum().backward()
    return [logits.detach(), *(each.grad.clone() for each in model.parameters())]


@pytest.mark.parametrize("head", ["sequence", "token", "causal"])
def test_a_cell_from_a_file_equals_its_plain_form(
    my_cell: str, head: Any, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    torch.manual_seed(0)
    model = build_model(build_config(my_cell, vocab_size=7, num_labels=3), head).eval()
    assert isinstance(model.model.inner, CellLayer)
    ids, mask = torch.randint(1, 7, (5, 9)), torch.ones(5, 9, dtype=torch.long)
    mask[1, :4] = mask[2, 6:] = 0
    native = outputs(model, ids, mask)
    assert len(list(empty_cache.iterdir())) == 1, "it was compiled"
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    for one, two in zip(native, outputs(model, ids, mask), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def loaded_without_seqhub(folder: Path, steps: int) -> float:
    """Return the sum of the outputs of the model in `run`, loaded by a process that cannot import seqhub."""
    code = (
        "import sys; sys.modules['seqhub'] = None\n"
        "import torch\nfrom transformers import AutoModelForTokenClassification\n"
        "model = AutoModelForTokenClassification.from_pretrained('run', trust_remote_code=True)\n"
        f"print(model(input_ids=torch.ones(1, {steps}, dtype=torch.long)).logits.sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_train_and_load_elsewhere(my_cell: str, tmp_path: Path) -> None:
    """The saved model has the file of the cell, and loads without seqhub, with equal outputs."""
    config = TrainConfig(
        task="parity/every", model=my_cell, max_sequences=64, evaluate_every=32, evaluate_size=32, batch_size=16,
        output_dir=tmp_path / "run",
    )  # fmt: skip
    train(config)
    run = tmp_path / "run"
    assert (run / "my_cell.py").read_text() == MY_CELL
    assert (run / "recurrent_cell.py").is_file()
    record = json.loads((run / "run.json").read_text())
    assert record["conformance"]["failed"] == []
    model = load_model(run, "token", trust_remote_code=True)
    here = model(input_ids=torch.ones(1, 5, dtype=torch.long)).logits.sum().item()
    assert loaded_without_seqhub(tmp_path, 5) == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_stack_equals_the_module_of_torch(bidirectional: bool) -> None:
    torch.manual_seed(0)
    plain = nn.LSTM(3, 4, num_layers=2, bidirectional=bidirectional, batch_first=True)
    stack = CellStack(lambda width: nn.LSTMCell(width, 4), 3, 2, bidirectional)
    with torch.no_grad():
        for layer, weights in zip(stack.layers, plain.all_weights, strict=True):
            for name, weight in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True):
                getattr(layer.cell, name).copy_(weight)
    inputs, lengths = torch.randn(5, 7, 3), torch.tensor([7, 1, 4, 6, 2])
    packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    expected = nn.utils.rnn.pad_packed_sequence(plain(packed)[0], batch_first=True)[0]
    outputs, state = stack(inputs, None, lengths)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(stack(inputs)[0], plain(inputs)[0])
    torch.testing.assert_close(torch.cat([each[0] for each in state]), plain(packed)[1][0])
    if bidirectional:
        with pytest.raises(ValueError, match="both directions cannot be continued"):
            stack(inputs, state)
    else:
        torch.testing.assert_close(stack(inputs[:, 3:], stack(inputs[:, :3])[1])[0], plain(inputs)[0][:, 3:])
        stack.dropout.p = 1.0
        assert not torch.equal(stack(inputs)[0], plain(inputs)[0])
        torch.testing.assert_close(stack.eval()(inputs)[0], plain(inputs)[0])


@pytest.mark.parametrize("options", ["num_layers=2&dropout=0.5", "num_layers=2&bidirectional=true"])
def test_layers_of_a_cell_from_a_file(my_cell: str, options: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(build_config(f"{my_cell}&{options}", vocab_size=7, num_labels=3), "sequence").eval()
    ids, mask = torch.randint(1, 7, (5, 9)), torch.ones(5, 9, dtype=torch.long)
    mask[1, :4] = mask[2, 6:] = 0
    logits = model(input_ids=ids, attention_mask=mask).logits
    alone = torch.cat([model(input_ids=ids[1:2, 4:]).logits, model(input_ids=ids[2:3, :6]).logits])
    torch.testing.assert_close(logits[1:3], alone)
    model.save_pretrained(tmp_path / "saved")
    loaded = type(model).from_pretrained(tmp_path / "saved", trust_remote_code=True)
    torch.testing.assert_close(loaded.eval()(input_ids=ids, attention_mask=mask).logits, logits)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_other_ways_to_run_a_stack(bidirectional: bool) -> None:
    torch.manual_seed(0)
    stack = CellStack(lambda width: nn.GRUCell(width, 4), 3, 2, bidirectional, 0.2).eval()
    inputs, lengths = torch.randn(3, 5, 3), torch.tensor([5, 2, 0])
    outputs = stack(inputs, None, lengths)[0]
    compiled = torch.compile(stack, backend="eager")
    torch.testing.assert_close(compiled(inputs, None, lengths)[0], outputs)
    exported = torch.export.export(stack, (inputs,)).module()
    torch.testing.assert_close(exported(inputs)[0], stack(inputs)[0])
    gradients = torch.autograd.grad(outputs.square().sum(), list(stack.parameters()), create_graph=True)
    second = torch.autograd.grad(sum(each.square().sum() for each in gradients), list(stack.parameters()))
    assert all(each.isfinite().all() and each.any() for each in second)


def test_truncated_training_and_loading_of_a_stack(my_cell: str, tmp_path: Path) -> None:
    """The state of two layers is passed to the next segment; the saved model loads without seqhub."""
    config = TrainConfig(
        task="parity/every", model=f"{my_cell}&num_layers=2&dropout=0.1", max_sequences=64, evaluate_every=32,
        evaluate_size=32, batch_size=16, chunk_steps=7, output_dir=tmp_path / "run",
    )  # fmt: skip
    train(config)
    model = load_model(tmp_path / "run", "token", trust_remote_code=True)
    ids = torch.ones(1, 6, dtype=torch.long)
    whole = model(input_ids=ids).logits
    first = model(input_ids=ids[:, :4], use_cache=True)
    rest = model(input_ids=ids[:, 4:], past_key_values=first.past_key_values).logits
    torch.testing.assert_close(torch.cat([first.logits, rest], dim=1), whole)
    assert loaded_without_seqhub(tmp_path, 6) == pytest.approx(whole.sum().item(), abs=1e-4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("dropout=2", "dropout=2: must be at least 0 and below 1"),
        ("bidirectional=1", "bidirectional=1: must be true or false"),
        ("num_layers=0", "num_hidden_layers=0: must be a whole number of at least 1"),
    ],
)
def test_bad_options_of_layers(my_cell: str, option: str, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        build_config(f"{my_cell}&{option}", vocab_size=7, num_labels=3)


@pytest.mark.fast_cases("LEM-2", "tauGRU-1", "TGRU-2", "IntersectionRNN-1")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_torchrecurrent(name: str, layers: int) -> None:
    torch.manual_seed(0)
    hidden = features = 6
    layer = getattr(torchrecurrent, name)(features, hidden, num_layers=layers, batch_first=True).double()
    inputs = torch.randn(3, 5, features, dtype=torch.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dispatch.run_layers(layer, inputs, None)
        assert found is not None
        again = dispatch.run_layers(layer, inputs, found[1])
    assert again is not None
    plain = layer(inputs)
    for one, two in zip((found, again), (plain, layer(inputs, plain[1])), strict=True):
        flat_one, flat_two = (torch.utils._pytree.tree_leaves(each) for each in (one, two))
        for first, second in zip(flat_one, flat_two, strict=True):
            torch.testing.assert_close(first, second, atol=1e-10, rtol=1e-10)
    sources = [inputs, *layer.parameters()]
    atol = 1e-7 if "SGU" in name else 1e-10
    for one, two in zip(
        torch.autograd.grad(found[0].square().sum(), sources, allow_unused=True),
        torch.autograd.grad(plain[0].square().sum(), sources, allow_unused=True),
        strict=True,
    ):
        if two is not None and two.any():
            torch.testing.assert_close(one, two, atol=atol, rtol=1e-8)


def test_a_published_cell_as_a_model(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(build_config("torchrecurrent:MGU?hidden_size=8", vocab_size=7, num_labels=3), "token").eval()
    ids, mask = torch.randint(1, 7, (3, 6)), torch.ones(3, 6, dtype=torch.long)
    native = outputs(model, ids, mask)
    assert len(list(empty_cache.iterdir())) == 1
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    for one, two in zip(native, outputs(model, ids, mask), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
