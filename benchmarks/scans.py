"""Scans of state-space and linear-attention models, native and by transformers' own code: forward and backward.

The first rows are training steps of whole models of two layers of width 64 on 32 sequences, in transformers with and
without `native_scans`. The others are the functions alone, at the sizes of such models and at wider ones. Both sides
compute all gradients; one thread. transformers' Mamba is quadratic in the number of steps, so that its long row is
measured once, whatever the number of rounds.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import Goal, Job, Row, compare, rate, row_of_pairs
from seqhub.native.transformers_kernels import native_scans, use_native_scans

_BATCH, _STEPS = 32, 256
_VOCABULARY = 32
_LINEAR_HEADS = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
_MODELS: dict[str, dict[str, Any]] = {
    "qwen3_next": {
        **_LINEAR_HEADS,
        "layer_types": ["linear_attention"] * 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 128,
        "mlp_only_layers": [0, 1],
    },
    "recurrent_gemma": {
        "block_types": ["recurrent", "recurrent"],
        "num_attention_heads": 4,
        "lru_width": 64,
        "intermediate_size": 128,
        "attn_implementation": "eager",
    },
    "rwkv": {"attention_hidden_size": 64, "intermediate_size": 128},
}


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [*_mamba(rounds), *_models(rounds), *_functions(rounds)]


def _mamba(rounds: int) -> Iterator[Row]:
    for steps in (64, _STEPS):
        theirs, ours = _jobs(_model("mamba"), steps)
        name = f"mamba, training step, T={steps}, B={_BATCH}"
        if steps < _STEPS:
            yield compare(name, theirs, ours, rounds, unit="sequences/s", goal=("ratio", ">=", 1))
        else:
            ours.run()
            once = rate(theirs)
            pairs = [(once, rate(ours)) for _ in range(rounds)]
            yield row_of_pairs(name, pairs, unit="sequences/s", goal=("ratio", ">=", 100))


def _models(rounds: int) -> Iterator[Row]:
    for kind, options in _MODELS.items():
        theirs, ours = _jobs(_model(kind, **options), _STEPS)
        name = f"{kind}, training step, T={_STEPS}, B={_BATCH}"
        yield compare(name, theirs, ours, rounds, unit="sequences/s", goal=("ratio", ">=", 1))


def _model(kind: str, **options: Any) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, vocab_size=_VOCABULARY, hidden_size=64, num_hidden_layers=2, **options)
    model: nn.Module = AutoModelForCausalLM.from_config(config)
    return model


def _jobs(model: nn.Module, steps: int) -> tuple[Job, Job]:
    """Return a training step without and with native scans."""
    ids = torch.randint(3, _VOCABULARY, (_BATCH, steps))

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()

    def native() -> None:
        with native_scans(model) as names:
            assert names, "no module uses native scans"
            step()

    return Job(step, _BATCH), Job(native, _BATCH)


def _functions(rounds: int) -> Iterator[Row]:
    goal: Goal = ("ratio", ">=", 5)
    for heads, key, value in ((4, 16, 16), (2, 64, 64)):
        q, k = torch.randn(2, _BATCH, _STEPS, heads, key)
        v = torch.randn(_BATCH, _STEPS, heads, value)
        g, beta = F.logsigmoid(torch.randn(2, _BATCH, _STEPS, heads))
        inputs = [q, F.normalize(k, dim=-1), v, g, beta.exp()]
        functions = _delta_rules()
        name = f"gated delta rule, {heads} heads of {key} x {value}, T={_STEPS}, B={_BATCH}"
        yield compare(name, *(_job(each, inputs) for each in functions), rounds, unit="sequences/s", goal=goal)
    for width in (64, 256):
        x, a = torch.randn(2, _BATCH, _STEPS, width)
        name = f"RG-LRU, width {width}, T={_STEPS}, B={_BATCH}"
        jobs = (_job(each, [x, a.sigmoid()]) for each in _rg_lrus())
        yield compare(name, *jobs, rounds, unit="sequences/s", goal=goal)
        decay, first = torch.randn(2, width)
        k, v = torch.randn(2, _BATCH, _STEPS, width)
        name = f"WKV, width {width}, T={_STEPS}, B={_BATCH}"
        jobs = (_job(each, [decay, first, k, v]) for each in _wkvs())
        yield compare(name, *jobs, rounds, unit="sequences/s", goal=goal)


def _job(function: Callable[..., Tensor], inputs: list[Tensor]) -> Job:
    inputs = [each.detach().requires_grad_() for each in inputs]
    error = torch.randn_like(function(*inputs))

    def step() -> None:
        torch.autograd.grad(function(*inputs), inputs, error)

    return Job(step, _BATCH)


def _delta_rules() -> list[Callable[..., Tensor]]:
    from seqhub.native.scans import gated_delta_rule

    theirs = import_module("transformers.models.qwen3_next.modeling_qwen3_next").torch_chunk_gated_delta_rule
    return [lambda *inputs: theirs(*inputs)[0], lambda *inputs: gated_delta_rule(*inputs)[0]]


def _rg_lrus() -> list[Callable[..., Tensor]]:
    """Return the scan of a layer of recurrent_gemma without and with native scans."""
    model = _model("recurrent_gemma", **_MODELS["recurrent_gemma"])
    layer = next(module for module in model.modules() if hasattr(module, "_rnn_scan"))
    theirs = layer._rnn_scan
    use_native_scans(layer)
    ours = layer._rnn_scan

    def scan(function: Callable[..., tuple[Tensor, Tensor]], x: Tensor, a: Tensor) -> Tensor:
        reset = torch.zeros(*x.shape[:2], 1, dtype=torch.bool)
        return function(hidden_states=x, recurrent_gate=a, reset=reset, recurrent_states=None)[0]

    return [lambda *inputs: scan(theirs, *inputs), lambda *inputs: scan(ours, *inputs)]


def _wkvs() -> list[Callable[..., Tensor]]:
    from seqhub.native.scans import wkv

    theirs = import_module("transformers.models.rwkv.modeling_rwkv").rwkv_linear_attention
    return [
        lambda *inputs: theirs(*inputs)[0],
        lambda decay, first, key, value: wkv(-decay.exp(), first, key, value)[0],
    ]
