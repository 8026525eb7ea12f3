"""What passes through a model while it learns: gradients and activations, seen through hooks.

The hooks only look on. A recurrence with a hook is run by PyTorch, never natively (see `seqhub.native`), so its
results may differ in the last bits from those of a run that nobody watches.
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
    """What was seen, in order; see `capture`."""

    gradients: dict[str, list[Tensor]] = field(default_factory=dict)
    activations: dict[str, list[Tensor]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget what was seen so far."""
        self.gradients.clear()
        self.activations.clear()

    def add_to(self, sums: Sums) -> None:
        """Add norms up, as [sum, number] under `gradient_norm/NAME` and `activation_rms/NAME`, and forget them."""
        for kind, seen in (("gradient_norm", self.gradients), ("activation_rms", self.activations)):
            for name, norms in seen.items():
                before = sums.setdefault(f"{kind}/{name}", [0.0, 0.0])
                before[0] += float(torch.stack(norms).sum())
                before[1] += len(norms)
        self.clear()


@contextmanager
def capture(
    modules: Mapping[str, nn.Module],
    what: tuple[Recorded, ...] = get_args(Recorded),
    *,
    keep: Literal["norms", "tensors"] = "norms",
) -> Iterator[Capture]:
    """Watch modules until the end of the block; their hooks are gone after it, whatever ends it.

    Args:
        modules: By names of the caller's choice; `leaves` names all that have weights.
        what: `gradients` of their own parameters, as each backward pass adds them, one entry a pass, named
            MODULE.PARAMETER; `activations`, their first output, one entry a forward pass, whatever the mode.
        keep: Scalars, the norm of a gradient and the root mean square of an output (padded steps included); or copies
            of the tensors themselves, which fill the memory.

    Raises:
        UnknownNameError: Something else is to be seen.

    >>> layer = nn.Linear(2, 1)
    >>> with capture({"readout": layer}, keep="tensors") as seen:
    ...     layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    >>> seen.gradients["readout.weight"], seen.activations["readout"][0].shape
    ([tensor([[3., 4.]])], torch.Size([1, 1]))
    """
    for each in what:
        if each not in get_args(Recorded):
            raise UnknownNameError.of("record", each, get_args(Recorded))
    seen = Capture()
    with ExitStack() as hooks:
        for name, module in modules.items():
            if "activations" in what:
                hooks.enter_context(module.register_forward_hook(_watch_output(seen, name, keep)))
            if "gradients" in what:
                for parameter_name, parameter in module.named_parameters(recurse=False):
                    if parameter.requires_grad:
                        hook = _watch_gradient(seen, f"{name}.{parameter_name}", keep)
                        hooks.callback(parameter.register_hook(hook).remove)
        yield seen


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that have parameters of their own, by name.

    >>> list(leaves(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.LSTM(2, 2))))
    ['0', '2']
    """
    return {
        name: module for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))
    }


def _watch_output(seen: Capture, name: str, keep: str) -> Callable[..., None]:
    def watch(module: nn.Module, inputs: Any, output: Any) -> None:
        tensor = _first_tensor(output)
        if tensor is not None:
            tensor = tensor.detach()
            kept = tensor.clone() if keep == "tensors" else tensor.float().square().mean().sqrt()
            seen.activations.setdefault(name, []).append(kept)

    return watch


def _watch_gradient(seen: Capture, name: str, keep: str) -> Callable[[Tensor], None]:
    def watch(gradient: Tensor) -> None:
        kept = gradient.detach().clone() if keep == "tensors" else gradient.detach().float().norm()
        seen.gradients.setdefault(name, []).append(kept)

    return watch


def _first_tensor(output: Any) -> Tensor | None:
    """The first tensor of what a module returned: recurrences return a tuple, models of transformers a mapping."""
    while not isinstance(output, Tensor):
        items = list(output.values()) if isinstance(output, Mapping) else output
        if not isinstance(items, (tuple, list)) or not items:
            return None
        output = items[0]
    return output
