"""Models with large vocabularies: memory, and the same results as with one-hot vectors."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seqhub.models.registry import build_config, build_model, list_presets

CELLS = list_presets("input_ids", head="causal")
IDS = torch.randint(1, 300, (5, 12), generator=torch.Generator().manual_seed(0))
IDS[1, 8:] = IDS[3, :2] = 0


def results(model: Any, gather: bool, **given: Any) -> list[torch.Tensor]:
    """Return outputs and gradients; with `gather=False`, hooks cause the model to use one-hot vectors."""
    model.zero_grad()
    modules = [module for layer in model.model.layers for module in layer.children()]
    hooks = [] if gather else [module.register_forward_hook(lambda *_: None) for module in modules]
    output = model(IDS, **given)
    output.logits.square().mean().backward()
    for handle in hooks:
        handle.remove()
    state = output.past_key_values
    states = [] if state is None else [state.hidden, *([] if state.cell is None else [state.cell])]
    return [output.logits, *states, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("native", ["0", "1"])
@pytest.mark.parametrize("settings", [{}, {"num_hidden_layers": 2, "bidirectional": True}, {"pad_token_id": None}])
@pytest.mark.parametrize("cell", CELLS)
def test_gathered_columns_equal_products_with_one_hot_vectors(monkeypatch, cell, settings, native):
    monkeypatch.setenv("SEQHUB_KERNELS", native)
    torch.manual_seed(0)
    model = build_model(build_config(cell, vocab_size=300, hidden_size=6, num_labels=3, **settings), "token").double()
    given = {} if settings.get("bidirectional") else {"use_cache": True}
    for one, two in zip(results(model, True, **given), results(model, False, **given), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize("vocab_size", [9, 300])
def test_ids_out_of_range_are_errors_except_at_padded_steps(monkeypatch, vocab_size):
    mask = torch.ones(2, 3, dtype=torch.long)
    mask[1, 2] = 0
    for native in "01":
        monkeypatch.setenv("SEQHUB_KERNELS", native)
        model = build_model(build_config("lstm", vocab_size=vocab_size, hidden_size=6), "sequence")
        good = torch.tensor([[1, 2, 3], [4, 5, 6]])
        for invalid in (-1, vocab_size):
            ids = good.clone()
            ids[0, 1] = invalid
            with pytest.raises(ValueError, match=rf"input_ids must be in \[0, {vocab_size}\), got .*{invalid}"):
                model(ids, mask)
            ids = good.clone()
            ids[1, 2] = invalid
            torch.testing.assert_close(model(ids, mask).logits, model(good, mask).logits)


_PEAK = """
import resource, sys, torch, seqhub
from seqhub import build_config, build_model
preset, head, native = sys.argv[1:]
model = build_model(build_config(preset, vocab_size=20_001, hidden_size=8, num_labels=4), head)
ids = torch.randint(1, 20_001, (8, 20))
small = build_model(build_config(preset, hidden_size=8, num_labels=4), head)
small(ids % 9, labels=ids % 4 if head != "sequence" else ids[:, 0] % 4).loss.backward()  # imports that any step needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
labels = {"sequence": ids[:, 0] % 4, "token": ids % 4, "causal": ids}[head]
for _ in range(2):
    model.zero_grad()
    model(ids, labels=labels).loss.backward()
with torch.no_grad():
    model.eval()(ids)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def added_mib(monkeypatch: pytest.MonkeyPatch, preset: str, head: str, native: str) -> int:
    monkeypatch.setenv("SEQHUB_KERNELS", native)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PEAK, preset, head, native],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return int(done.stdout)


class Largest(TorchDispatchMode):
    """Dispatch mode that records the number of elements of the largest result of an operation."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.elements = max([self.elements, *(each.numel() for each in tensors)])
        return result


@pytest.mark.parametrize("cell", CELLS)
def test_tensors_are_not_larger_than_parameters_and_batch(cell):
    model = build_model(build_config(cell, vocab_size=20_001, hidden_size=4), "token")
    ids = torch.randint(1, 20_001, (8, 30), generator=torch.Generator().manual_seed(0))
    with Largest() as largest:
        model(ids, labels=ids % 2, use_cache=True).loss.backward()
    assert largest.elements <= max(
        2 * parameter.numel() for parameter in model.parameters()
    )  # a one-hot batch would have 15 times as many


@pytest.mark.slow
@pytest.mark.parametrize("native", ["0", "1"])
@pytest.mark.parametrize("head", ["sequence", "token", "causal"])
@pytest.mark.parametrize("preset", CELLS)
def test_memory_of_every_cell_and_head(monkeypatch, preset, head, native):
    """The logits of a causal model are (8, 20, 20,001), 12 MiB a copy."""
    assert added_mib(monkeypatch, preset, head, native) < (160 if head == "causal" else 64)
