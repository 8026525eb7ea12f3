"""Hooks that record gradients and activations during training.

The hooks do not change values. A recurrence with a hook is run by PyTorch instead of native code (see `seqhub.native`),
so its results may differ in the last bits from those of a run without hooks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from seqhub.errors import UnknownNameError
from seqhub.training.config import Recorded

Sums = dict[str, list[float]]


@dataclass
class Capture:
    """Recorded norms or tensors, in order; see `capture`."""

    gradients: dict[str, list[Tensor]] = field(default_factory=dict)
    activations: dict[str, list[Tensor]] = field(default_factory=dict)

    def clear(self) -> None:
        """Remove all recorded values."""
        self.gradients.clear()
        self.activations.clear()

    def add_to(self, sums: Sums) -> None:
        """Add the norms to [sum, count] at the keys `gradient_norm/NAME` and `activation_rms/NAME`, and clear them."""
        for kind, recorded in (("gradient_norm", self.gradients), ("activation_rms", self.activations)):
            for name, norms in recorded.items():
                total = sums.setdefault(f"{kind}/{name}", [0.0, 0.0])
                total[0] += float(torch.stack(norms).sum())
                total[1] += len(norms)
        self.clear()


@contextmanager
def capture(
    modules: Mapping[str, nn.Module],
    what: tuple[Recorded, ...] = get_args(Recorded),
    *,
    keep: Literal["norms", "tensors"] = "norms",
) -> Iterator[Capture]:
    """Record gradients and activations of modules until the end of the block, which removes the hooks.

    Args:
        modules: Name -> module; `leaves` returns all modules with parameters.
        what: `gradients` of the parameters of the modules, as each backward pass adds them, with one entry for each
            pass, named MODULE.PARAMETER; `activations`, their first outputs, with one entry for each forward pass, in
            training and evaluation mode.
        keep: `norms`, the norm of each gradient and the root mean square of each output (including padded steps), or
            `tensors`, copies of the tensors, which need much memory.

    Raises:
        UnknownNameError: Unknown value in `what`.

    >>> layer = nn.Linear(2, 1)
    >>> with capture({"readout": layer}, keep="tensors") as captured:
    ...     layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    >>> captured.gradients["readout.weight"], captured.activations["readout"][0].shape
    ([tensor([[3., 4.]])], torch.Size([1, 1]))
    """
    for each in what:
        if each not in get_args(Recorded):
            raise UnknownNameError.of("record", each, get_args(Recorded))
    captured = Capture()
    with ExitStack() as hooks:
        for name, module in modules.items():
            if "activations" in what:
                hooks.enter_context(module.register_forward_hook(_activation_hook(captured, name, keep)))
            if "gradients" in what:
                for parameter_name, parameter in module.named_parameters(recurse=False):
                    if parameter.requires_grad:
                        hook = _gradient_hook(captured, f"{name}.{parameter_name}", keep)
                        hooks.callback(parameter.register_hook(hook).remove)
        yield captured


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules with direct parameters, by name.

    >>> list(leaves(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.LSTM(2, 2))))
    ['0', '2']
    """
    return {
        name: module for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))
    }


def _activation_hook(captured: Capture, name: str, keep: str) -> Callable[..., None]:
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        tensor = _first_tensor(output)
        if tensor is not None:
            tensor = tensor.detach()
            kept = tensor.clone() if keep == "tensors" else tensor.float().square().mean().sqrt()
            captured.activations.setdefault(name, []).append(kept)

    return record


def _gradient_hook(captured: Capture, name: str, keep: str) -> Callable[[Tensor], None]:
    def record(gradient: Tensor) -> None:
        kept = gradient.detach().clone() if keep == "tensors" else gradient.detach().float().norm()
        captured.gradients.setdefault(name, []).append(kept)

    return record


def _first_tensor(output: Any) -> Tensor | None:
    """Return the first tensor of a module's output: recurrences return a tuple, models of transformers a mapping."""
    while not isinstance(output, Tensor):
        items = list(output.values()) if isinstance(output, Mapping) else output
        if not isinstance(items, (tuple, list)) or not items:
            return None
        output = items[0]
    return output
