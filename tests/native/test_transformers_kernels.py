"""Models of transformers with native scans compared with the same models without."""

import copy
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from seqhub.native.transformers_kernels import native_scans, restore_scans, use_native_scans
from tests.helpers.native_cases import SETS

_HYBRID = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
_DELTA = {
    **_HYBRID,
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
}
MODELS = {  # options of the configuration, and names of the modules that use native scans
    "mamba": ({}, ["backbone.layers.0.mixer", "backbone.layers.1.mixer"]),
    "falcon_mamba": ({}, ["backbone.layers.0.mixer", "backbone.layers.1.mixer"]),
    "jamba": ({**_HYBRID, "num_experts": 2, "num_experts_per_tok": 1, "attn_layer_period": 2, "attn_layer_offset": 1,
               "expert_layer_period": 2, "expert_layer_offset": 1}, ["model.layers.0.mamba"]),
    "zamba": ({**_HYBRID, "num_hidden_layers": 4, "layer_types": ["mamba", "hybrid"] * 2, "n_mamba_heads": 2,
               "attention_hidden_size": 64, "attention_head_dim": 32},
              ["model.layers.0.mamba", "model.layers.1.mamba_decoder.mamba", "model.layers.2.mamba",
               "model.layers.3.mamba_decoder.mamba"]),
    "qwen3_next": ({**_DELTA, "head_dim": 16, "mlp_only_layers": [0, 1]}, ["model.layers.0.linear_attn"]),
    "qwen3_5_text": ({**_DELTA, "head_dim": 16}, ["model.layers.0.linear_attn"]),
    "olmo_hybrid": ({**_DELTA, "linear_num_value_heads": 2}, ["model.layers.0.linear_attn"]),
    "recurrent_gemma": ({"num_hidden_layers": 3, "num_attention_heads": 2, "lru_width": 32, "intermediate_size": 32,
                         "attn_implementation": "eager"},
                        ["model.layers.0.temporal_block.rg_lru", "model.layers.1.temporal_block.rg_lru"]),
    "rwkv": ({"attention_hidden_size": 32, "intermediate_size": 32},
             ["rwkv.blocks.0.attention", "rwkv.blocks.1.attention"]),
}  # fmt: skip

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")


def model_of(kind: str) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    options = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0, "bos_token_id": 1}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, eos_token_id=2, **options | MODELS[kind][0])
    model: nn.Module = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def ids_of(batch: int, steps: int) -> torch.Tensor:
    return torch.randint(3, 20, (batch, steps), generator=torch.Generator().manual_seed(1))


def run(model, ids, **options):
    """Return logits and the gradient of every parameter, zero for one that is not used."""
    model.zero_grad()
    logits = model(input_ids=ids, **options).logits
    logits.square().mean().backward()
    gradients = {name: torch.zeros(()) if each.grad is None else each.grad for name, each in model.named_parameters()}
    return logits.detach(), gradients


class Operators(TorchDispatchMode):
    """Names of seqhub's operators that run within the context."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, operator, types, arguments=(), keywords=None):
        if operator.namespace == "seqhub":
            self.names.add(operator._opname)
        return operator(*arguments, **keywords or {})


@pytest.mark.fast_cases("mamba", "qwen3_next", "recurrent_gemma", "rwkv")
@pytest.mark.parametrize("kind", MODELS)
def test_logits_and_gradients(kind):
    model, names = model_of(kind), MODELS[kind][1]
    for ids in (ids_of(3, 9), ids_of(2, 1)):
        for model.training in (True, False):
            logits, gradients = run(model, ids, use_cache=False)
            with native_scans(model) as replaced, Operators() as operators:
                native_logits, native_gradients = run(model, ids, use_cache=False)
            assert replaced == names
            assert len(operators.names) == 2  # forward and backward
            torch.testing.assert_close(native_logits, logits, rtol=1e-5, atol=1e-5)
            largest = max(each.abs().max().item() for each in gradients.values())
            for name, each in native_gradients.items():
                torch.testing.assert_close(each, gradients[name].expand_as(each), rtol=1e-4, atol=1e-5 * largest)
    assert not any("forward" in vars(module) or "_rnn_scan" in vars(module) for module in model.modules())


@pytest.mark.fast_cases("mamba", "rwkv")
@pytest.mark.parametrize("kind", MODELS)
def test_steps_with_a_cache(kind):
    """A prefix, and then one token at a time, in the form that the type supports."""
    model, ids = model_of(kind).eval(), ids_of(2, 8)
    name = {"rwkv": "state", "mamba": "cache_params", "falcon_mamba": "cache_params"}.get(kind, "past_key_values")

    @torch.no_grad()
    def logits():
        outputs = model(input_ids=ids[:, :5], use_cache=True)
        found = [outputs.logits]
        for step in range(5, 8):
            if kind == "recurrent_gemma":  # keeps its cache in its modules
                cache = {"cache_position": torch.tensor([step]), "position_ids": torch.full((2, 1), step)}
            else:
                cache = {name: getattr(outputs, name)}
            outputs = model(input_ids=ids[:, step : step + 1], use_cache=True, **cache)
            found.append(outputs.logits)
        return torch.cat(found, 1)

    expected = logits()
    with native_scans(model):
        torch.testing.assert_close(logits(), expected, rtol=1e-5, atol=1e-5)


def test_other_models_are_not_affected():
    model, other, names = model_of("mamba"), model_of("mamba"), MODELS["mamba"][1]
    assert use_native_scans(model) == names
    assert use_native_scans(model) == []  # already
    with Operators() as operators:
        run(other, ids_of(1, 3))
    assert not operators.names
    twin = copy.deepcopy(model)
    assert twin.get_submodule(names[0]).forward.__self__ is twin.get_submodule(names[0])
    assert restore_scans(model) == names
    assert restore_scans(model) == []
    assert restore_scans(twin) == names


def test_models_without_known_functions_are_left_alone(monkeypatch):
    class Other(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs)

    assert use_native_scans(Other(2, 2)) == []
    model = model_of("mamba")
    modeling = sys.modules[type(model).__module__]

    def other_parameters(hidden_states, dt, **kwargs):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(modeling, "mamba_selective_scan", other_parameters)
        assert use_native_scans(model) == []
    with monkeypatch.context() as patch:
        patch.setenv("SEQHUB_KERNELS", "0")
        assert use_native_scans(model) == []
    first, second = MODELS["mamba"][1]
    hooked = model.get_submodule(first)
    hooked.forward = hooked.forward  # as by accelerate.hooks
    assert use_native_scans(model) == [second]


def test_other_types_use_the_code_of_transformers():
    model, ids = model_of("mamba").to(torch.bfloat16), ids_of(1, 3)
    expected = model(ids).logits
    with native_scans(model), Operators() as operators:
        assert torch.equal(model(ids).logits, expected)
    assert not operators.names


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compile():
    model, ids = model_of("mamba"), ids_of(2, 6)
    expected = model(ids, use_cache=False).logits
    with native_scans(model):
        compiled = torch.compile(model, backend="aot_eager")
        torch.testing.assert_close(compiled(ids, use_cache=False).logits, expected, rtol=1e-5, atol=1e-5)
