"""Check of a kernel against eager steps of its cell."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqhub.cells.errors import NotCompilableError
from seqhub.cells.kernel import Kernel, Loop
from seqhub.cells.operator import run_kernel

_STEPS, _ROWS = 3, 18  # more rows than a block has
_FEW_ROWS = 1, 2  # for which kernels have other functions, and a cell may have a branch
_NOISE = 0.1
_SEEDS_AFTER_A_DIFFERENCE = 1, 2, 3
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}  # relative to the largest number
_SMALL = 1e-3  # a tensor whose numbers are smaller than this share of the largest ones is compared with these
_AMPLIFIED = 20  # times the rounding of the eager form, which some cells amplify

Named = list[tuple[str, Tensor]]


def check_kernel(kernel: Kernel, cell: nn.Module, loop: Loop) -> None:
    """Compare the kernel with eager steps: outputs, last states and all gradients, on random inputs of all lengths.

    The weights are those of the cell with noise, so that terms that are zero at the start are compared, too. Where a
    number is within rounding of a kink, such as that of relu, both may be right with different gradients. Therefore a
    difference counts if there is another one on other inputs and noise.

    Raises:
        NotCompilableError: They differ by more than rounding.
    """
    try:
        _check(kernel, cell, loop, seed=0)
    except NotCompilableError:
        for seed in _SEEDS_AFTER_A_DIFFERENCE:
            _check(kernel, cell, loop, seed)


def _check(kernel: Kernel, cell: nn.Module, loop: Loop, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    copied = copy.deepcopy(cell)
    with torch.no_grad():
        for parameter in copied.parameters():
            if parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64).to(parameter.dtype)
                parameter.add_(noise, alpha=_NOISE)
    inputs = torch.randn(_ROWS, _STEPS, kernel.source.features, generator=random, dtype=torch.float64)
    states = [torch.randn(_ROWS, width, generator=random, dtype=torch.float64) for width in kernel.form.widths]
    lengths = torch.randint(1, _STEPS + 1, (_ROWS,), generator=random)
    leaves = kernel.tensors_of(copied)
    if leaves is None:
        raise NotCompilableError("the tensors of a copy of the cell are not those of the cell")

    def native(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return run_kernel(kernel, copied, inputs, states, lengths[: len(inputs)], leaves)

    def eager(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return loop(copied, inputs, states, lengths[: len(inputs)])

    given, given_states = inputs.to(kernel.dtype), [each.to(kernel.dtype) for each in states]
    found = _values_and_gradients(native, leaves, given, given_states)
    plain = _values_and_gradients(eager, leaves, given, given_states)
    exact = plain
    if kernel.dtype is torch.float32:
        doubled = copy.deepcopy(copied).double()
        doubles = kernel.tensors_of(doubled)
        try:
            exact = _values_and_gradients(
                lambda inputs, states: loop(doubled, inputs, states, lengths), doubles or [], inputs, states
            )
        except Exception:  # of any kind: a cell may be of one type only
            exact = plain
        if len(exact) != len(plain):
            exact = plain
    roundings = [
        _largest((one - two)[one.isfinite() & two.isfinite()]) for (_, one), (_, two) in zip(plain, exact, strict=True)
    ]
    _compare(found, plain, exact, roundings, kernel.dtype)
    for rows in _FEW_ROWS:
        few = _values_and_gradients(native, leaves, given[:rows], [each[:rows] for each in given_states])
        own = _values_and_gradients(eager, leaves, given[:rows], [each[:rows] for each in given_states])
        _compare(few, own, own, roundings, kernel.dtype)


def _compare(found: Named, plain: Named, exact: Named, roundings: Sequence[float], dtype: torch.dtype) -> None:
    """Compare values of a kernel with exact ones, allowing for the rounding of the eager form.

    Raises:
        NotCompilableError: They differ by more, or in other places than the plain ones are infinite or NaN.
    """
    largest = max(_largest(each[each.isfinite()]) for _, each in exact)
    for (name, one), (_, two), (_, three), rounding in zip(found, plain, exact, roundings, strict=True):
        finite = two.isfinite() & three.isfinite()
        if not torch.equal(one.isfinite(), two.isfinite()):
            raise NotCompilableError(f"{name} of the kernel has other infinite values or NaN than the cell")
        scale, error = _largest(three[finite]), _largest((one - three)[finite])
        allowed = _TOLERANCE[dtype] * max(scale, largest * _SMALL) + _AMPLIFIED * rounding
        if error > allowed:
            raise NotCompilableError(f"{name} of the kernel differs from the cell by {error:.2g} of {scale:.2g}")


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _values_and_gradients(
    run: Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]],
    leaves: Sequence[Tensor],
    inputs: Tensor,
    states: list[Tensor],
) -> Named:
    """Return names and values of outputs, last states and the gradients of a weighted sum of them."""
    with torch.enable_grad():
        given = [each.clone().requires_grad_() for each in (inputs, *states)]
        outputs, last = run(given[0], given[1:])
        results = [outputs, *last]
        weights = [torch.arange(each.numel(), dtype=each.dtype).add(1.0).sin().view(each.shape) for each in results]
        total = sum((each * weight).sum() for each, weight in zip(results, weights, strict=True))
        sources = [*given, *(each for each in leaves if each.requires_grad)]
        gradients = torch.autograd.grad(total, sources, allow_unused=True)  # type: ignore[arg-type]
    names = ["the output", *(f"state {k}" for k in range(len(last)))]
    names += ["the gradient of the input", *(f"the gradient of state {k}" for k in range(len(last)))]
    names += [f"the gradient of parameter {k}" for k in range(len(sources) - len(given))]
    values = [each.detach() for each in results]
    for source, each in zip(sources, gradients, strict=True):
        values.append(torch.zeros_like(source) if each is None else each)
    return list(zip(names, values, strict=True))
