"""Checkpoints: the complete state of a run in one safetensors file, which is replaced atomically.

Tensors (weights, optimizer moments, random states) are stored unchanged, counters and positions as JSON in the metadata
of the file. There is no pickle, so loading a checkpoint does not run code. As there is only one file, a killed process
or a full disk does not damage the previous checkpoint.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.data.source import DataSource
from seqhub.errors import CorruptFileError, InvalidConfigError
from seqhub.io import write_atomically
from seqhub.records import CHECKPOINT

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FILE_NAME = CHECKPOINT


def save(folder: Path, tensors: "Mapping[str, Tensor | NDArray[Any]]", metadata: dict[str, Any]) -> Path:
    """Replace the checkpoint of `folder`.

    Raises:
        SaveError: The disk is full or cannot be written; the previous checkpoint is unchanged.
    """
    facts = {"facts": json.dumps(metadata)}
    if all(isinstance(each, np.ndarray) for each in tensors.values()):
        from safetensors.numpy import save as arrays_to_bytes

        content = arrays_to_bytes(dict(tensors), metadata=facts)  # type: ignore[arg-type]
    else:
        from safetensors.torch import save as to_bytes

        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}  # type: ignore[union-attr]
        content = to_bytes(on_cpu, metadata=facts)
    path = folder / FILE_NAME
    write_atomically(path, content)
    return path


def load(folder: Path, framework: Literal["pt", "numpy"] = "pt") -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return tensors, or arrays, and metadata of the checkpoint of `folder`; None if there is no checkpoint.

    Raises:
        CorruptFileError: The file is truncated or is not a checkpoint of a run.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework=framework) as file:
            metadata = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118  not a mapping
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorruptFileError(f"{path} is truncated or not a checkpoint of a run ({error})") from None


def load_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the metadata of the checkpoint of `folder`; None if there is no checkpoint.

    Raises:
        CorruptFileError: The file is truncated or is not a checkpoint of a run.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {})["facts"])
            return found
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorruptFileError(f"{path} is truncated or not a checkpoint of a run ({error})") from None


def require_same_run(
    path: Path, saved: Mapping[str, Any], current: Mapping[str, Any], may_change: Collection[str]
) -> None:
    """Raise InvalidConfigError, with all differences, if the settings of a saved run differ from the current ones.

    Args:
        path: Path of the checkpoint or record, for the message.
        saved: Settings in the file.
        current: Settings of this run.
        may_change: Names of settings that may differ.
    """
    different = [
        f"{name}={saved.get(name)!r} there and {current.get(name)!r} here"
        for name in sorted(set(saved) | set(current))
        if name not in may_change and saved.get(name) != current.get(name)
    ]
    if different:
        raise InvalidConfigError(f"{path} belongs to another run: {'; '.join(different)}")


def require_same_data(path: Path, saved: Mapping[str, Any], source: DataSource) -> None:
    """Raise InvalidConfigError if the content of the data differs from the data of a saved run; names may differ.

    Args:
        path: Path of the checkpoint or record, for the message.
        saved: `source` and `identity` of the data, as in the record of the run.
        source: Current source of the rows.
    """
    if "identity" not in saved:
        raise InvalidConfigError(
            f"{path} was saved by an earlier seqhub, without the identity of its data; give another output folder"
        )
    if saved["identity"] != source.identity:
        raise InvalidConfigError(
            f"{path} belongs to another run: its data were {saved['source']} with content {saved['identity'][:16]}, "
            f"{source.name} here has {source.identity[:16]}"
        )


def flatten_optimizer(optimizer: "torch.optim.Optimizer") -> "tuple[dict[str, Tensor], list[dict[str, Any]]]":
    """Return the state of an optimizer as named tensors, and its parameter groups as plain values."""
    import torch

    state = optimizer.state_dict()
    tensors = {}
    for number, slots in state["state"].items():
        for slot, value in slots.items():
            tensors[f"optimizer.{number}.{slot}"] = torch.as_tensor(value)
    return tensors, state["param_groups"]


def restore_optimizer(
    optimizer: "torch.optim.Optimizer", tensors: "dict[str, Tensor]", groups: list[dict[str, Any]]
) -> None:
    """Load the state of an optimizer from the results of `flatten_optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, slot = rest.partition(".")
            state.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
