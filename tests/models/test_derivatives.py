"""All kinds of derivatives in PyTorch are equal for native models and PyTorch's modules."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap
from torch.utils.flop_counter import FlopCounterMode

from seqhub.models.registry import build_config, build_model, list_presets

CELLS = list_presets("input_ids", head="causal")
MASK = torch.arange(6) < torch.tensor([[6], [4], [6], [2]])


def make(cell: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    settings = {"inputs": "values", "num_features": 3, **settings}
    return build_model(build_config(cell, num_labels=2, hidden_size=3, **settings), "sequence").double().eval()


def values(seed: int = 0) -> Tensor:
    return torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def agree(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], Any], atol: float = 1e-9) -> None:
    found = []
    for native in "10":
        monkeypatch.setenv("SEQHUB_KERNELS", native)
        found.append(torch.utils._pytree.tree_leaves(compute()))
    assert len(found[0]) == len(found[1]) > 0
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "settings", [{}, {"bidirectional": True, "num_hidden_layers": 2}, {"pooling": "mean"}], ids=str
)
@pytest.mark.parametrize("cell", CELLS)
def test_gradient_penalty(monkeypatch, cell, settings):
    def penalty() -> list[Tensor]:
        critic, x = make(cell, **settings), values().requires_grad_()
        (slope,) = torch.autograd.grad(
            critic(input_values=x, attention_mask=MASK).logits.square().sum(), x, create_graph=True
        )
        (slope.norm(dim=(1, 2)) - 1).square().mean().backward()
        return [slope.detach(), x.grad, *(p.grad for p in critic.parameters() if p.grad is not None)]

    agree(monkeypatch, penalty)


@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_of_weights_with_ids(monkeypatch, cell):
    ids = torch.randint(1, 9, (4, 6), generator=torch.Generator().manual_seed(0)) * MASK

    def twice() -> list[Tensor]:
        model = make(cell, inputs="one_hot", num_features=None, num_hidden_layers=2)
        parameters = list(model.parameters())
        first = torch.autograd.grad(
            model(input_ids=ids).logits.square().sum(), parameters, create_graph=True, allow_unused=True
        )
        sum(each.square().sum() for each in first if each is not None).backward()
        return [p.grad for p in parameters if p.grad is not None]

    agree(monkeypatch, twice)


@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_through_a_state(monkeypatch, cell):
    def twice() -> list[Tensor]:
        torch.manual_seed(0)
        model = build_model(
            build_config(cell, inputs="values", num_features=3, num_labels=2, hidden_size=3), "token"
        ).double()
        x = values().requires_grad_()
        state = model(input_values=x[:, :3], use_cache=True).past_key_values
        logits = model(input_values=x[:, 3:], past_key_values=state).logits
        (first,) = torch.autograd.grad(logits.square().sum(), x, create_graph=True)
        return list(torch.autograd.grad(first.square().sum(), [x, *model.parameters()], allow_unused=True))

    agree(monkeypatch, lambda: [each for each in twice() if each is not None])


def test_hooks_of_weights_are_called_once():
    model, x = make("lstm"), values().requires_grad_()
    gradients: list[Tensor] = []
    model.model.layers[0].recurrence.weight_hh_l0.register_hook(gradients.append)
    logits = model(input_values=x).logits
    torch.autograd.grad(logits.sum(), list(model.parameters()), create_graph=True)
    assert len(gradients) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_several_outputs_at_once(monkeypatch, cell):
    def rows() -> tuple[Tensor, ...]:
        model, x = make(cell), values().requires_grad_()
        logits = model(input_values=x, attention_mask=MASK).logits
        return torch.autograd.grad(
            logits, [x, model.classifier.weight], torch.eye(8).double().view(8, 4, 2), is_grads_batched=True
        )

    agree(monkeypatch, rows)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_each_example(monkeypatch, cell):
    ids = torch.randint(1, 9, (4, 6), generator=torch.Generator().manual_seed(0)) * MASK
    labels = torch.tensor([0, 1, 1, 0])

    def per_example() -> dict[str, Tensor]:
        model = make(cell, inputs="one_hot", num_features=None)
        parameters = {name: each.detach() for name, each in model.named_parameters()}

        def loss(parameters: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
            return functional_call(model, parameters, (row[None],), {"labels": label[None]}).loss

        return vmap(grad(loss), (None, 0, 0))(parameters, ids, labels)

    found = per_example()
    model = make(cell, inputs="one_hot", num_features=None)
    for row in range(4):
        model.zero_grad()
        model(ids[row : row + 1], labels=labels[row : row + 1]).loss.backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(found[name][row], parameter.grad, rtol=0, atol=1e-9)


def test_transforms_of_values(monkeypatch):
    for cell in CELLS:
        model, x = make(cell), values()

        def logits(x: Tensor, model: Any = model) -> Tensor:
            return model(input_values=x, attention_mask=MASK).logits

        agree(monkeypatch, lambda logits=logits, x=x: jacrev(logits)(x))
        agree(monkeypatch, lambda logits=logits, x=x: vmap(logits)(torch.stack((x, 2 * x))))


def test_forward_mode():
    """PyTorch does not support it for an LSTM on the CPU with oneDNN."""
    for cell in ("gru", "rnn_tanh", "rnn_relu", "lstm_hs97"):
        model, x, direction = make(cell), values(), values(1)

        def logits(x: Tensor, model: Any = model) -> Tensor:
            return model(input_values=x, attention_mask=MASK).logits

        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(logits(forward_ad.make_dual(x, direction))).tangent
        assert found is not None
        _, expected = jvp(logits, (x,), (direction,))
        torch.testing.assert_close(found, expected)
        step = 1e-6
        torch.testing.assert_close(
            found, (logits(x + step * direction) - logits(x - step * direction)) / (2 * step), rtol=0, atol=1e-7
        )


def test_a_hessian(monkeypatch):
    model, x = make("rnn_tanh"), values()[:1, :2]
    agree(monkeypatch, lambda: hessian(lambda x: model(input_values=x).logits.square().sum())(x))


def test_fake_and_meta_tensors():
    ids = torch.ones(4, 6, dtype=torch.long)
    for cell in CELLS:
        config = build_config(cell, num_labels=2, pad_token_id=None)
        with FakeTensorMode():
            assert build_model(config, "sequence")(torch.ones(4, 6, dtype=torch.long)).logits.shape == (4, 2)
        model = build_model(config, "sequence")
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert model(ids).logits.shape == (4, 2)
        assert model.to("meta")(ids.to("meta")).logits.is_meta


def test_flop_counters_count_the_operations_of_the_modules(monkeypatch):
    model, x = make("gru"), values()
    counts = []
    for native in "10":
        monkeypatch.setenv("SEQHUB_KERNELS", native)
        with FlopCounterMode(display=False) as counter:
            model(input_values=x)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
