"""Models with modified modules and parameters give the same results natively and with PyTorch's modules."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from seqhub.models.registry import build_config, build_model, list_presets
from seqhub.native import dispatch, loader

IDS = torch.randint(1, 9, (5, 12), generator=torch.Generator().manual_seed(0))
IDS[1, 8:] = IDS[3, :2] = 0
CELLS = list_presets("input_ids", head="causal")
Change = Callable[[Any], object]


def make(cell: str, head: str = "sequence", **settings: Any) -> Any:
    torch.manual_seed(0)
    return build_model(build_config(cell, num_labels=4, hidden_size=8, **settings), head).eval()


def recurrence(model: Any, index: int = 0) -> Any:
    return model.model.layers[index].recurrence


def results(model: Any, **given: Any) -> list[Tensor]:
    """Return logits and the gradients of all trained parameters."""
    given = given or {"input_ids": IDS}
    model.zero_grad()
    output = model(labels=torch.arange(len(IDS)) % 4, **given)
    output.loss.backward()
    return [output.logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def agree(monkeypatch: pytest.MonkeyPatch, model: Any, **given: Any) -> None:
    """Check that results with the native library, if it supports the model, equal those without it."""
    monkeypatch.setenv("SEQHUB_KERNELS", "1")
    native = results(model, **given)
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    expected = results(model, **given)
    assert len(native) == len(expected)
    for one, two in zip(native, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=2e-6)


def names(module: nn.Module) -> list[str]:
    return list(dict(module.named_parameters(recurse=False)))


def registered_in_another_order(model: Any) -> None:
    module = recurrence(model)
    for name in sorted(names(module)):
        weight = getattr(module, name)
        delattr(module, name)
        module.register_parameter(name, weight)


def pruned(model: Any) -> None:
    module = recurrence(model)
    for name in names(module):
        prune.l1_unstructured(module, name, 0.3)


def pruned_permanently(model: Any) -> None:
    pruned(model)
    module = recurrence(model)
    for name in [name.removesuffix("_orig") for name in names(module)]:
        prune.remove(module, name)


def shared(model: Any) -> None:
    module = recurrence(model)
    if hasattr(module, "bias_hh_l0"):
        module.bias_hh_l0 = module.bias_ih_l0


def unbiased(model: Any) -> None:
    module = recurrence(model)
    if isinstance(module, nn.RNNBase):
        options = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
        model.model.layers[0].recurrence = type(module)(8, 8, bias=False, batch_first=True, **options)


def assigned(model: Any) -> None:
    model.load_state_dict({name: weights.clone() for name, weights in model.state_dict().items()}, assign=True)


def of_a_subclass(model: Any) -> None:
    module = recurrence(model)
    kind = type(module)

    class Doubled(kind):  # type: ignore[misc, valid-type]
        def forward(self, *given: Any) -> Any:
            states, last = super().forward(*given)
            return 2 * states, last

    module.__class__ = Doubled


def with_replaced_forward(model: Any) -> None:
    module = recurrence(model)
    forward = module.forward

    def doubled(*given: Any) -> Any:
        states, last = forward(*given)
        return 2 * states, last

    module.forward = doubled


def layer_of_a_subclass(model: Any) -> None:
    layer = model.model.layers[0]

    class RecurrentLayer(type(layer)):  # type: ignore[misc]
        def forward(self, *given: Any) -> Any:
            states, cells, end = super().forward(*given)
            return states + 1, cells, end

    layer.__class__ = RecurrentLayer


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *given: Any, **named: Any) -> Any:
        return self.module(*given, **named)


def wrapped(model: Any) -> None:
    model.model.layers[0].recurrence = Wrapper(recurrence(model))


def wrapped_layer(model: Any) -> None:
    model.model.layers[0] = Wrapper(model.model.layers[0])


def weight_normalised(model: Any) -> None:
    parametrizations.weight_norm(recurrence(model), "weight_hh_l0")


def spectrally_normalised(model: Any) -> None:
    parametrizations.spectral_norm(recurrence(model), "weight_hh_l0")


class Negated(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return -weight


def parametrized(model: Any) -> None:
    parametrize.register_parametrization(recurrence(model), "weight_ih_l0", Negated())


def parametrized_permanently(model: Any) -> None:
    parametrized(model)
    parametrize.remove_parametrizations(recurrence(model), "weight_ih_l0")


def hooked(model: Any) -> None:
    recurrence(model).register_forward_pre_hook(lambda _, given: (2 * given[0], *given[1:]))


def hooked_layer(model: Any) -> None:
    model.model.layers[0].register_forward_hook(lambda _, __, given: (2 * given[0], *given[1:]))


def frozen(model: Any) -> None:
    for name in names(recurrence(model))[::2]:
        getattr(recurrence(model), name).requires_grad_(False)


def from_a_vector(model: Any) -> None:
    flat = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(flat.detach() * 1.5, model.parameters())


def of_other_settings(model: Any) -> None:
    module = recurrence(model)
    if isinstance(module, nn.LSTM):
        model.model.layers[0].recurrence = nn.LSTM(8, 9, proj_size=8, batch_first=True)


CHANGES: list[Change] = [
    registered_in_another_order, pruned, pruned_permanently, shared, unbiased, assigned, of_a_subclass,
    with_replaced_forward, layer_of_a_subclass, wrapped, wrapped_layer, weight_normalised, spectrally_normalised,
    parametrized, parametrized_permanently, hooked, hooked_layer, frozen, from_a_vector, of_other_settings,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_modified_model_gives_the_same_results_natively(monkeypatch, change):
    for cell in CELLS:
        model = make(cell)
        change(model)
        agree(monkeypatch, model)


def test_modifications_that_change_results_do_so_natively(monkeypatch):
    """Check of the test above."""
    for change in (of_a_subclass, with_replaced_forward, layer_of_a_subclass, parametrized, hooked, hooked_layer):
        model = make("lstm")
        before = model(IDS).logits
        change(model)
        assert (model(IDS).logits - before).abs().max() > 1e-3, change.__name__


def test_making_pruning_permanent_does_not_change_results():
    for cell in ("gru", "lstm"):
        model = make(cell)
        pruned(model)
        before = model(IDS).logits
        for name in [name.removesuffix("_orig") for name in names(recurrence(model))]:
            prune.remove(recurrence(model), name)
        torch.testing.assert_close(model(IDS).logits, before, rtol=0, atol=1e-6)


@pytest.mark.skipif(loader.reason() is not None, reason="the native library was not built")
@pytest.mark.parametrize("change", [registered_in_another_order, pruned_permanently, shared, assigned, frozen])
def test_equivalent_parameters_run_natively(monkeypatch, change):
    ran = []
    run = dispatch.run

    def watched(*given: Any) -> Any:
        ran.append(run(*given))
        return ran[-1]

    monkeypatch.setattr(dispatch, "run", watched)
    for cell in CELLS:
        model = make(cell)
        change(model)
        model(IDS)
    assert all(each is not None for each in ran)
    assert len(ran) == len(CELLS)


def test_layers_of_different_widths_and_types(monkeypatch):
    model = make("lstm", num_hidden_layers=2)
    model.model.layers[0].recurrence = nn.LSTM(8, 5, batch_first=True)
    model.model.layers[1].recurrence = nn.LSTM(5, 8, batch_first=True)
    agree(monkeypatch, model)
    model = make("lstm", num_hidden_layers=2)
    model.model.layers[1].recurrence = Wrapper(nn.GRU(8, 8, batch_first=True))
    agree(monkeypatch, model)
    model = make("rnn_tanh")
    model.model.layers[0].recurrence = nn.RNN(8, 8, batch_first=True, nonlinearity="relu")
    agree(monkeypatch, model)


def test_replacement_of_one_direction(monkeypatch):
    model = make("lstm", bidirectional=True, num_hidden_layers=2)
    model.model.layers[1].recurrence_reverse = Wrapper(model.model.layers[1].recurrence_reverse)
    agree(monkeypatch, model)


def test_dropout_that_is_set_later_is_applied():
    model = make("lstm", num_hidden_layers=2)
    model.model.layers[1].dropout = 0.5
    model.model.layers[1].train()
    assert not torch.equal(model(IDS).logits, model(IDS).logits)


def test_hooks_on_all_modules_are_called():
    model = make("lstm")
    called = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: called.append(type(module)))
    try:
        model(IDS)
    finally:
        handle.remove()
    assert nn.LSTM in called


def test_copies_give_the_same_results(monkeypatch):
    for cell in CELLS:
        model = make(cell)
        expected = model(IDS).logits
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            torch.testing.assert_close(other(IDS).logits, expected, rtol=0, atol=1e-6)
            agree(monkeypatch, other)


def test_functional_calls_use_the_given_parameters(monkeypatch):
    for cell in CELLS:
        model = make(cell)
        given = {name: (2 * weights).detach().requires_grad_() for name, weights in model.named_parameters()}
        found = []
        for native in "10":
            monkeypatch.setenv("SEQHUB_KERNELS", native)
            logits = torch.func.functional_call(model, given, (IDS,)).logits
            found.append([logits, *torch.autograd.grad(logits.square().sum(), list(given.values()))])
        for one, two in zip(*found, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=2e-5)
        assert (found[0][0] - model(IDS).logits).abs().max() > 1e-3


def test_checkpointed_calls_have_the_same_gradients():
    for cell in CELLS:
        model = make(cell)
        expected = results(model)
        for reentrant in (False, True):
            model.zero_grad()
            embeds = model.model(IDS, output_hidden_states=True).hidden_states[0].detach().requires_grad_()
            logits = checkpoint(
                lambda embeds, model=model: model(inputs_embeds=embeds, attention_mask=IDS != 0).logits,
                embeds,
                use_reentrant=reentrant,
            )
            torch.nn.functional.cross_entropy(logits, torch.arange(len(IDS)) % 4).backward()
            found = [p.grad for p in model.parameters() if p.grad is not None]
            for one, two in zip(found, expected[1:], strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=2e-6)


def test_default_types_and_devices_are_ignored():
    model = make("lstm")
    expected = model(IDS).logits
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(model(IDS).logits, expected)
    finally:
        torch.set_default_dtype(torch.float32)
    dispatch.one_hot_columns.cache_clear()
    with torch.device("meta"):
        found = model(IDS).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype):
    for cell in CELLS:
        model = make(cell)
        expected = model(IDS).logits
        if dtype is torch.bfloat16:
            with torch.autocast("cpu", dtype):
                torch.testing.assert_close(model(IDS).logits.float(), expected, rtol=0, atol=0.05)
        torch.testing.assert_close(model.to(dtype)(IDS).logits.float(), expected, rtol=0, atol=0.05)


def test_negated_views_are_read_correctly(monkeypatch):
    model = make("lstm", inputs="values", num_features=3)
    values = torch.randn(5, 12, 3, dtype=torch.complex64).conj().imag
    assert values.is_neg()
    agree(monkeypatch, model, input_values=values)
