"""Everything a run needs to go on, in one safetensors file that is replaced in one step.

Tensors (weights, optimizer moments, random states) are stored as they are; counters and positions as JSON in the
file's metadata. No pickle, so opening somebody's checkpoint runs nobody's code; one file, so a killed process or a
full disk leaves the checkpoint before it whole.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqhub.data.source import DataSource
from seqhub.errors import CorruptFileError, InvalidConfigError
from seqhub.io import write_atomically
from seqhub.records import CHECKPOINT

FILE_NAME = CHECKPOINT


def save(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Path:
    """Replace the checkpoint of `folder`.

    Raises:
        SaveError: The disk is full or cannot be written; the checkpoint before this one is still whole.
    """
    from safetensors.torch import save as to_bytes

    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path = folder / FILE_NAME
    write_atomically(path, to_bytes(own, metadata={"facts": json.dumps(facts)}))
    return path


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and facts of the checkpoint of `folder`, or None if it has none.

    Raises:
        CorruptFileError: The file is truncated or is no checkpoint of a run.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  no mapping
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorruptFileError(f"{path} is truncated or no checkpoint of a run ({error})") from None


def require_same_run(
    path: Path, saved: Mapping[str, Any], asked: Mapping[str, Any], may_change: Collection[str]
) -> None:
    """Raise InvalidConfigError that names every setting in which the run of a file differs from this one."""
    different = [
        f"{name}={saved.get(name)!r} there and {asked.get(name)!r} here"
        for name in sorted(set(saved) | set(asked))
        if name not in may_change and saved.get(name) != asked.get(name)
    ]
    if different:
        raise InvalidConfigError(f"{path} is of another run: {'; '.join(different)}")


def require_same_data(path: Path, saved: Mapping[str, Any], source: DataSource) -> None:
    """Raise InvalidConfigError unless a run goes on with the rows that it had, whatever they are called now.

    Args:
        path: Of the checkpoint or record, for the message.
        saved: `source` and `identity` of the data of a run, as its record has them.
        source: Of the rows now.
    """
    if "identity" not in saved:
        raise InvalidConfigError(
            f"{path} is of an earlier seqhub and does not say which rows its run had; give another output folder"
        )
    if saved["identity"] != source.identity:
        raise InvalidConfigError(
            f"{path} is of another run: its data were {saved['source']} with content {saved['identity'][:16]}, "
            f"{source.name} here has {source.identity[:16]}"
        )


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimizer's state as named tensors, and its parameter groups as plain values."""
    state = optimizer.state_dict()
    tensors = {}
    for number, slots in state["state"].items():
        for slot, value in slots.items():
            tensors[f"optimizer.{number}.{slot}"] = torch.as_tensor(value)
    return tensors, state["param_groups"]


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Undo `flatten_optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, slot = rest.partition(".")
            state.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
