"""Native scans on the CPU: selective scan (Mamba), gated delta rule, RG-LRU and WKV (RWKV-4), with gradients.

Each function calls a torch operator (`torch.ops.seqhub.selective_scan`, ...) that works with `torch.compile`, if the
library is available and all tensors are on the CPU and of one type, float32 or float64. Otherwise, and for derivatives
of gradients, forward-mode derivatives and `torch.func`, the scan runs in torch operations (`plain_scans`) with equal
results to rounding. Time and memory grow linearly with the number of steps. Equal calls give equal bits.

Shapes: B sequences of T steps, D channels with N states each, or H heads with keys of N and values of D numbers.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from seqhub.errors import InvalidInputError
from seqhub.native import derivatives, loader, plain_scans

_MAX_INPUTS = 6  # as in src/scans.h
_MAX_SIZE = 1 << 31  # every dimension must be below


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    initial_state: Tensor | None = None,
    *,
    instruction_set: str = "",
) -> tuple[Tensor, Tensor]:
    """Run the selective scan of Mamba (Gu and Dao, 2023, section 3.2).

    h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t; y_t = (C_t h_t + D u_t) silu(z_t), for each channel by itself.

    Args:
        u: (B, T, D), inputs.
        delta: (B, T, D), step sizes, usually a softplus.
        A: (D, N), usually negative.
        B: (B, T, N).
        C: (B, T, N).
        D: (D,), or None for zero.
        z: (B, T, D), or None for no gate.
        initial_state: (B, D, N); by default zero.
        instruction_set: One of `loader.instruction_sets()`; by default the best.

    Returns:
        Outputs (B, T, D) and the last state (B, D, N).

    Raises:
        InvalidInputError: A shape does not fit the others, or a size is 0.

    >>> one = torch.ones(1, 3, 1)
    >>> y, state = selective_scan(one, one, torch.zeros(1, 1), one, one)  # a sum
    >>> y.flatten().tolist(), state.item()
    ([1.0, 2.0, 3.0], 3.0)
    """
    y, state = _run("selective_scan", (u, delta, A, B, C, initial_state), instruction_set)
    if D is not None:
        y = torch.addcmul(y, u, D)
    if z is not None:
        y = y * F.silu(z)
    return y, state


def gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    initial_state: Tensor | None = None,
    *,
    scale: float | None = None,
    instruction_set: str = "",
) -> tuple[Tensor, Tensor]:
    """Run the gated delta rule (Yang, Kautz and Hatamizadeh, 2024, section 3.1).

    M = exp(g_t) S_{t-1}; S_t = M + k_t (beta_t (v_t - M^T k_t))^T; y_t = scale S_t^T q_t, for each head by itself.

    Args:
        q: (B, T, H, N), queries.
        k: (B, T, H, N), keys, usually of length 1.
        v: (B, T, H, D), values.
        g: (B, T, H), logarithms of the decay; None for no decay, the plain delta rule.
        beta: (B, T, H), usually from 0 to 1, or to 2 for negative eigenvalues.
        initial_state: (B, H, N, D); by default zero.
        scale: Factor of the queries; by default the square root of 1 / N.
        instruction_set: As in `selective_scan`.

    Returns:
        Outputs (B, T, H, D) and the last state (B, H, N, D).

    Raises:
        InvalidInputError: A shape does not fit the others, or a size is 0.

    >>> q = torch.ones(1, 2, 1, 1)
    >>> v = torch.tensor([3.0, 5.0]).reshape(1, 2, 1, 1)
    >>> y, _ = gated_delta_rule(q, q, v, None, torch.full((1, 2, 1), 0.5))  # moves halfway to each value
    >>> y.flatten().tolist()
    [1.5, 3.25]
    """
    q = q * (q.size(-1) ** -0.5 if scale is None else scale)
    return _run("delta_rule", (q, k, v, g, beta, initial_state), instruction_set)


def rg_lru(
    x: Tensor, a: Tensor, initial_state: Tensor | None = None, *, instruction_set: str = ""
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of the RG-LRU, h_t = a_t h_{t-1} + x_t (De et al., 2024, section 2.4).

    Args:
        x: (B, T, D), gated and normalised inputs.
        a: (B, T, D), recurrent gates; zero at the first step of each document.
        initial_state: (B, D); by default zero.
        instruction_set: As in `selective_scan`.

    Returns:
        All states (B, T, D) and the last one (B, D).

    Raises:
        InvalidInputError: A shape does not fit the others, or a size is 0.

    >>> states, _ = rg_lru(torch.ones(1, 3, 1), torch.full((1, 3, 1), 0.5))
    >>> states.flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    return _run("linear_recurrence", (x, a, initial_state), instruction_set)


def wkv(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    initial_state: Tensor | None = None,
    *,
    instruction_set: str = "",
) -> tuple[Tensor, Tensor]:
    """Run the weighted averages (WKV) of RWKV-4 (Peng et al., 2023, section 3.1.2).

    y_t is the average of v_1 ... v_t with weights exp((t - 1 - i) w + k_i) for i < t, and exp(u + k_t) for t.

    Args:
        w: (D,), decay of each step, at most 0. In transformers, `-exp(time_decay)`.
        u: (D,), bonus of the current step; `time_first` in transformers.
        k: (B, T, D), keys.
        v: (B, T, D), values.
        initial_state: (B, 3, D): numerator and denominator, both divided by exp of the third part; by default empty.
        instruction_set: As in `selective_scan`.

    Returns:
        Outputs (B, T, D) and the last state (B, 3, D).

    Raises:
        InvalidInputError: A shape does not fit the others, or a size is 0.

    >>> v = torch.tensor([2.0, 4.0, 9.0]).reshape(1, 3, 1)
    >>> y, _ = wkv(torch.zeros(1), torch.zeros(1), torch.zeros(1, 3, 1), v)  # a running mean
    >>> y.flatten().tolist()
    [2.0, 3.0, 5.0]
    """
    return _run("wkv", (w, u, k, v, initial_state), instruction_set)


@dataclass(frozen=True)
class _Scan:
    """A scan of src/scans.h.

    Args:
        kind: Its number there.
        inputs: Name and dimensions of each input; the last input is the state. Names in `optional` may be None.
        output: Dimensions of the output.
        plain: The scan in torch operations.
        reads_output: Whether the backward pass reads the output.
    """

    kind: int
    inputs: dict[str, str]
    output: str
    plain: Callable[..., tuple[Tensor, Tensor]]
    reads_output: bool = False

    def sizes(self, tensors: Sequence[Tensor | None]) -> dict[str, int]:
        """Return the size of each dimension.

        Raises:
            InvalidInputError: A tensor is missing, or its shape does not fit the others.
        """
        sizes: dict[str, int] = {"3": 3, "N": 1, "H": 1}
        known = {"3"}
        for (name, dimensions), tensor in zip(self.inputs.items(), tensors, strict=True):
            if tensor is None:
                if name not in _OPTIONAL:
                    raise InvalidInputError(f"{name}=None: must be a tensor")
                continue
            shape = tuple(tensor.shape)
            fits = len(shape) == len(dimensions)
            for dimension, size in zip(dimensions, shape, strict=False):
                if dimension not in known:
                    known.add(dimension)
                    sizes[dimension] = size
                    fits = fits and 0 < size < _MAX_SIZE
                fits = fits and sizes[dimension] == size
            if not fits:
                wanted = ", ".join(
                    f"{each}={sizes[each]}" if each in known and each != "3" else each for each in dimensions
                )
                raise InvalidInputError(f"{name} {shape}: must be ({wanted}), all sizes at least 1")
        return sizes

    def outputs(self, tensors: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Return new output tensors."""
        sizes = self.sizes(tensors)
        like = next(tensor for tensor in tensors if tensor is not None)
        first, second = (like.new_empty([sizes[each] for each in shape]) for shape in (self.output, self.state))
        return first, second

    def gradients(self, tensors: Sequence[Tensor | None]) -> list[Tensor]:
        """Return new tensors for gradients of the inputs; without elements for an input that is None, but the state."""
        sizes = self.sizes(tensors)
        like = next(tensor for tensor in tensors if tensor is not None)
        found = [like.new_empty(0 if tensor is None else tensor.shape) for tensor in tensors[:-1]]
        return [*found, like.new_empty([sizes[each] for each in self.state])]

    @property
    def state(self) -> str:
        """Dimensions of the state."""
        return list(self.inputs.values())[-1]

    def call(
        self,
        function: str,
        tensors: Sequence[Tensor | None],
        output: Tensor | None,
        outputs: Sequence[Tensor],
        d_outputs: Sequence[Tensor | None],
        d_inputs: Sequence[Tensor],
        instruction_set: str,
    ) -> None:
        """Call `forward` or `backward` of the library."""
        sizes = self.sizes(tensors)
        if self.reads_output and function == "backward" and output is None:
            raise InvalidInputError("output=None: must be a tensor")
        given = [tensor for tensor in (*tensors, output, *d_outputs) if tensor is not None]
        dtypes = {tensor.dtype for tensor in given}
        if dtypes not in ({torch.float32}, {torch.float64}):
            raise InvalidInputError(
                f"tensors of {', '.join(sorted(map(str, dtypes)))}: need all float32 or all float64"
            )
        for tensor, shape in zip((output, *d_outputs), (self.output, self.output, self.state), strict=False):
            if tensor is not None and tuple(tensor.shape) != tuple(sizes[each] for each in shape):
                raise InvalidInputError(f"output or gradient {tuple(tensor.shape)}: must be {shape} with {sizes}")
        inputs = [_contiguous(each) for each in (*tensors, *([output] if self.reads_output else []))]
        gradients = [_contiguous(each) for each in d_outputs]
        library = loader.scan_functions(instruction_set)

        def problem(scratch: int) -> bytes:
            numbers = [
                *(self.kind, int(given[0].dtype is torch.float64)),
                *(sizes[each] for each in "BTDNH"),
                *_addresses(inputs, _MAX_INPUTS),
                *_addresses(outputs, 2),
                *_addresses(gradients, 2),
                *_addresses(d_inputs, _MAX_INPUTS),
                scratch,
            ]
            return struct.pack(f"{len(numbers)}q", *numbers)

        scratch = torch.empty(library["scratch"](problem(0)), dtype=torch.uint8, device="cpu")
        library[function](problem(scratch.data_ptr()))


_OPTIONAL = ("g", "state")
_SCANS = {
    "selective_scan": _Scan(
        0,
        {"u": "BTD", "delta": "BTD", "A": "DN", "B": "BTN", "C": "BTN", "state": "BDN"},
        "BTD",
        plain_scans.selective_scan,
    ),
    "delta_rule": _Scan(
        1,
        {"q": "BTHN", "k": "BTHN", "v": "BTHD", "g": "BTH", "beta": "BTH", "state": "BHND"},
        "BTHD",
        plain_scans.delta_rule,
    ),
    "linear_recurrence": _Scan(
        2, {"x": "BTD", "a": "BTD", "state": "BD"}, "BTD", plain_scans.linear_recurrence, reads_output=True
    ),
    "wkv": _Scan(3, {"w": "D", "u": "D", "k": "BTD", "v": "BTD", "state": "B3D"}, "BTD", plain_scans.wkv),
}


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _addresses(tensors: Sequence[Tensor | None], count: int) -> list[int]:
    found = [0 if tensor is None or not tensor.numel() else tensor.data_ptr() for tensor in tensors]
    return found + [0] * (count - len(found))


def _run(name: str, tensors: tuple[Tensor | None, ...], instruction_set: str) -> tuple[Tensor, Tensor]:
    if runs_natively(tensors):
        return getattr(torch.ops.seqhub, name)(*tensors, instruction_set)  # type: ignore[no-any-return]
    scan = _SCANS[name]
    scan.sizes(tensors)
    return scan.plain(*tensors)


def runs_natively(tensors: Sequence[Tensor | None]) -> bool:
    """Return whether a scan of tensors runs natively; None is for a tensor that is not given."""
    given = [tensor for tensor in tensors if tensor is not None]
    dtype = given[0].dtype if given else None
    return (
        dtype in (torch.float32, torch.float64)
        and all(tensor.device.type == "cpu" and tensor.dtype == dtype for tensor in given)
        and (torch.compiler.is_compiling() or not _is_transformed())
        and _is_available()
    )


def _is_transformed() -> bool:
    """Return whether a functorch transform or forward-mode AD is active."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def _is_available() -> bool:
    return loader.reason() is None


# As by torch.compiler.assume_constant_result, which would import the compiler.
_is_available._dynamo_marked_constant = True  # type: ignore[attr-defined]

_LIBRARY = torch.library.Library("seqhub", "FRAGMENT")


def _define(name: str, scan: _Scan) -> None:
    """Define the operators of a scan, forward and backward."""
    arguments = ", ".join(f"Tensor{'?' if each in _OPTIONAL else ''} {each}" for each in scan.inputs)
    count = len(scan.inputs)
    gradients = ", ".join(["Tensor"] * count)
    _LIBRARY.define(f"{name}({arguments}, str instruction_set) -> (Tensor, Tensor)")
    _LIBRARY.define(
        f"{name}_backward({arguments}, Tensor? output, Tensor? d_output, Tensor? d_last, str instruction_set)"
        f" -> ({gradients})"
    )

    def forward(*arguments: Any) -> tuple[Tensor, Tensor]:
        *tensors, instruction_set = arguments
        outputs = scan.outputs(tensors)
        scan.call("forward", tensors, None, outputs, (), (), instruction_set)
        return outputs

    def backward(*arguments: Any) -> tuple[Tensor, ...]:
        tensors, (output, d_output, d_last, instruction_set) = arguments[:count], arguments[count:]
        d_inputs = scan.gradients(tensors)
        scan.call("backward", tensors, output, (), (d_output, d_last), d_inputs, instruction_set)
        return tuple(d_inputs)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        *tensors, ctx.instruction_set = inputs
        ctx.save_for_backward(*tensors, output[0] if scan.reads_output else None)
        ctx.set_materialize_grads(False)

    def differentiate(ctx: Any, d_output: Tensor | None, d_last: Tensor | None) -> Any:
        *tensors, output = ctx.saved_tensors
        needed = ctx.needs_input_grad[:count]
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            return *derivatives.differentiate(scan.plain, tuple(tensors), needed, (d_output, d_last)), None
        found = getattr(torch.ops.seqhub, f"{name}_backward")(*tensors, output, d_output, d_last, ctx.instruction_set)
        return *(each if need else None for each, need in zip(found, needed, strict=True)), None

    _LIBRARY.impl(name, forward, "CPU")
    _LIBRARY.impl(f"{name}_backward", backward, "CPU")
    torch.library.register_fake(f"seqhub::{name}", lambda *arguments: scan.outputs(arguments[:count]), lib=_LIBRARY)
    torch.library.register_fake(
        f"seqhub::{name}_backward", lambda *arguments: tuple(scan.gradients(arguments[:count])), lib=_LIBRARY
    )
    torch.library.register_autograd(f"seqhub::{name}", differentiate, setup_context=setup_context, lib=_LIBRARY)


for _name, _scan in _SCANS.items():
    _define(_name, _scan)
