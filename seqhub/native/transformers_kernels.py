"""Native scans in a model of transformers, in place of its loops in torch operations.

A call replaces methods of the modules of one model, and `restore_scans` undoes it. Importing this file changes nothing,
and classes and modules of transformers are never changed, so that other models are not affected.

A module is replaced if its `forward` calls one of the functions of `_FUNCTIONS`, or if it has one of the methods of
`_METHODS`, with the parameters of transformers 5.23. So far these are the mixers of mamba, falcon_mamba, jamba and
zamba (selective scan), qwen3_next, qwen3_5, qwen3_5_moe, qwen4_exp and olmo_hybrid (gated delta rule), recurrent_gemma
(RG-LRU) and rwkv (WKV). Results are equal to rounding, also with a cache: steps of one token use transformers' own
code, except in recurrent_gemma and rwkv. Calls that the library cannot run natively use transformers' own code, too:
other devices, types other than float32, and packed sequences.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqhub.native import loader, scans


def use_native_scans(model: nn.Module) -> list[str]:
    """Let the modules of a model of transformers use native scans, until `restore_scans` is called.

    Args:
        model: Any module. Modules in it that are not of transformers, or that already have a `forward` of their own, as
            with hooks of Accelerate, are not changed.

    Returns:
        Names of the modules that were replaced, as in `named_modules`; none if the native library is not available.
    """
    if loader.reason() is not None:
        return []
    return [name for name, module in model.named_modules() if _replace(module)]


def restore_scans(model: nn.Module) -> list[str]:
    """Undo `use_native_scans`, and return the names of the modules that were restored."""
    return [name for name, module in model.named_modules() if _restore(module)]


@contextmanager
def native_scans(model: nn.Module) -> Iterator[list[str]]:
    """Use native scans within a context, which gets the names of the modules that were replaced."""
    names = use_native_scans(model)
    try:
        yield names
    finally:
        for name in names:
            _restore(model.get_submodule(name))


def _replace(module: nn.Module) -> bool:
    """Replace methods of a module, and return whether there were any."""
    cls = type(module)
    if not cls.__module__.startswith("transformers.models."):
        return False
    for name, (make, parameters) in _METHODS.items():
        method = getattr(cls, name, None)
        if method is not None and name not in vars(module) and _parameters(method) == parameters:
            _set_method(module, name, make(method))
            return True
    forward = cls.forward
    if "forward" in vars(module) or not isinstance(forward, FunctionType):
        return False
    own = vars(sys.modules[cls.__module__])
    replacements = {
        name: make(own[name])
        for name, (make, parameters) in _FUNCTIONS.items()
        if name in inspect.unwrap(forward).__code__.co_names and _parameters(own.get(name)) == parameters
    }
    if replacements:
        _set_method(module, "forward", _with_globals(forward, replacements))
    return bool(replacements)


def _restore(module: nn.Module) -> bool:
    names = [
        name
        for name in ("forward", *_METHODS)
        if hasattr(getattr(vars(module).get(name), "__func__", None), "_replaced_by_seqhub")
    ]
    for name in names:
        delattr(module, name)
    return bool(names)


def _set_method(module: nn.Module, name: str, function: Callable[..., Any]) -> None:
    function._replaced_by_seqhub = True  # type: ignore[attr-defined]
    setattr(module, name, MethodType(function, module))


def _parameters(function: Any) -> tuple[str, ...] | None:
    return None if function is None else tuple(inspect.signature(function).parameters)


def _with_globals(function: FunctionType, replacements: dict[str, Any]) -> FunctionType:
    """Return a copy of a function with other values for some global names, also in a function that it wraps."""
    cells = [
        CellType(_with_globals(cell.cell_contents, replacements))
        if isinstance(cell.cell_contents, FunctionType)
        else cell
        for cell in function.__closure__ or ()
    ]
    known = {name: value for name, value in replacements.items() if name in function.__globals__}
    values = {**function.__globals__, **known} if known else function.__globals__
    copy = FunctionType(function.__code__, values, function.__name__, function.__defaults__, tuple(cells) or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(copy, function)
    return copy


def _fits(first: Tensor, *others: Tensor | None) -> bool:
    """Return whether a call runs natively with the same types as in transformers, whose states are float32."""
    return first.dtype == torch.float32 and scans.runs_natively((first, *others))


def _is_packed(options: dict[str, Any]) -> bool:
    """Return whether rows contain several sequences, which transformers' own code refuses with a message."""
    return options.get("cu_seqlens") is not None or options.get("seq_idx") is not None


def _selective_scan(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def mamba_selective_scan(
        hidden_states: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None = None,
        z: Tensor | None = None,
        delta_bias: Tensor | None = None,
        delta_softplus: bool = False,
        return_last_state: bool = False,
        use_mambapy: bool = False,
        use_associative_scan: bool = False,
        **kwargs: Any,
    ) -> Any:
        if _is_packed(kwargs) or not _fits(hidden_states, dt, A, B, C, D, z, delta_bias):
            options = {"use_mambapy": use_mambapy, "use_associative_scan": use_associative_scan, **kwargs}
            return original(hidden_states, dt, A, B, C, D, z, delta_bias, delta_softplus, return_last_state, **options)
        if delta_bias is not None:
            dt = dt + delta_bias.unsqueeze(-1)
        if delta_softplus:
            dt = F.softplus(dt)
        u, delta, b, c = (each.transpose(1, 2) for each in (hidden_states, dt, B, C))
        y, state = scans.selective_scan(u, delta, A, b, c, D, None if z is None else z.transpose(1, 2))
        return (y.transpose(1, 2), state) if return_last_state else y.transpose(1, 2)

    return mamba_selective_scan


def _delta_rule(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def chunk_gated_delta_rule(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        g: Tensor,
        beta: Tensor,
        chunk_size: int = 64,
        initial_state: Tensor | None = None,
        output_final_state: bool = False,
        use_qk_l2norm_in_kernel: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if _is_packed(kwargs) or not _fits(query, key, value, g, beta, initial_state):
            options = {"use_qk_l2norm_in_kernel": use_qk_l2norm_in_kernel, **kwargs}
            return original(  # type: ignore[no-any-return]
                query, key, value, g, beta, chunk_size, initial_state, output_final_state, **options
            )
        if use_qk_l2norm_in_kernel:
            query, key = (each * (each.square().sum(-1, keepdim=True) + 1e-6).rsqrt() for each in (query, key))
        repeats = value.size(2) // key.size(2)
        if repeats > 1:
            query, key = (each.repeat_interleave(repeats, dim=2) for each in (query, key))
        y, state = scans.gated_delta_rule(query, key, value, g, beta, initial_state)
        return y, state if output_final_state else None

    return chunk_gated_delta_rule


def _wkv(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def rwkv_linear_attention(
        time_decay: Tensor,
        time_first: Tensor,
        key: Tensor,
        value: Tensor,
        state: Any = None,
        return_state: bool = False,
    ) -> tuple[Tensor, Any]:
        if not _fits(key, time_decay, time_first, value, *(state or ())):
            return original(  # type: ignore[no-any-return]
                time_decay, time_first, key, value, state=state, return_state=return_state
            )
        initial = None if state is None else torch.stack(tuple(state), 1)
        y, last = scans.wkv(-time_decay.exp(), time_first, key, value, initial)
        return y, list(last.unbind(1)) if return_state or state is not None else None

    return rwkv_linear_attention


def _rg_lru(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _rnn_scan(
        self: nn.Module,
        hidden_states: Tensor,
        recurrent_gate: Tensor,
        reset: Tensor,
        recurrent_states: Tensor | None,
        acc_dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        if acc_dtype != torch.float32 or not _fits(hidden_states, recurrent_gate, recurrent_states):
            return original(  # type: ignore[no-any-return]
                self, hidden_states, recurrent_gate, reset, recurrent_states, acc_dtype
            )
        return scans.rg_lru(hidden_states, recurrent_gate * ~reset, recurrent_states)

    return _rnn_scan


_Entry = tuple[Callable[[Callable[..., Any]], Callable[..., Any]], tuple[str, ...]]

_FUNCTIONS: dict[str, _Entry] = {
    "mamba_selective_scan": (
        _selective_scan,
        (
            *("hidden_states", "dt", "A", "B", "C", "D", "z", "delta_bias", "delta_softplus", "return_last_state"),
            *("use_mambapy", "use_associative_scan", "kwargs"),
        ),
    ),
    "torch_chunk_gated_delta_rule": (
        _delta_rule,
        (
            *("query", "key", "value", "g", "beta", "chunk_size", "initial_state", "output_final_state"),
            *("use_qk_l2norm_in_kernel", "kwargs"),
        ),
    ),
    "rwkv_linear_attention": (_wkv, ("time_decay", "time_first", "key", "value", "state", "return_state")),
}
"""Functions that a module calls as globals: the replacement of each, and its parameters."""

_METHODS: dict[str, _Entry] = {
    "_rnn_scan": (_rg_lru, ("self", "hidden_states", "recurrent_gate", "reset", "recurrent_states", "acc_dtype")),
}
