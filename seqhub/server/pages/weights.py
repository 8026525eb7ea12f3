"""Tensors of safetensors files, read from their headers only."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.content import beginning
from seqhub.server.pages.markdown import plain
from seqhub.server.request import RequestContext
from seqhub.server.routes.files import MAX_HEADER, shard_header
from seqhub.server.types import Commit, Entry

PAGE: Final = 200  # tensors
LIGHT_HEADER: Final = 100_000  # bytes; a heavy worker reads longer headers
MAX_METADATA: Final = 20
WEIGHTS: Final = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Tensor of a safetensors file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int  # bytes

    @property
    def count(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Weights:
    """Header of a safetensors file."""

    tensors: list[Tensor]
    metadata: list[tuple[str, str]]

    @property
    def parameters(self) -> int:
        """Number of values of all tensors."""
        return sum(tensor.count for tensor in self.tensors)

    @property
    def dtypes(self) -> list[tuple[str, int]]:
        """Number of values by dtype, largest first."""
        found: Counter[str] = Counter()
        for tensor in self.tensors:
            found[tensor.dtype] += tensor.count
        return found.most_common()


def read(context: RequestContext, commit: Commit, entry: Entry) -> Weights:
    """Read the header of a safetensors file, cached by content.

    Raises:
        HubHTTPError: 422 if it is not a safetensors file, 413 if its header is too long.
    """
    if int.from_bytes(beginning(context, commit, entry, 8), "little") > LIGHT_HEADER:
        context.require_heavy_worker()
    return parse(json.loads(shard_header(context, commit, entry.path, MAX_HEADER)), entry.path)


def summary(context: RequestContext, commit: Commit) -> Weights | None:
    """Return the weights of a model; None if it has no `model.safetensors` with a short header."""
    entry = context.store.revisions.entry(context.repo, commit, WEIGHTS)
    if entry is None or entry.is_folder:
        return None
    try:
        if int.from_bytes(beginning(context, commit, entry, 8), "little") > LIGHT_HEADER:
            return None
        return read(context, commit, entry)
    except HubHTTPError:
        return None


def parse(header: Any, path: str) -> Weights:
    """Return the tensors of a header, in their order in the file.

    >>> header = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    >>> parse(header, "w.safetensors").parameters
    6
    """
    if not isinstance(header, dict):
        raise _invalid(path)
    tensors = []
    for name, fields in header.items():
        if name == "__metadata__":
            continue
        shape, offsets = (fields.get(key) if isinstance(fields, dict) else None for key in ("shape", "data_offsets"))
        if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > 16:
            raise _invalid(path)
        tensors.append(
            (offsets[0], Tensor(name, plain(fields.get("dtype"))[:20], tuple(shape), offsets[1] - offsets[0]))
        )
    metadata = header.get("__metadata__")
    found = metadata.items() if isinstance(metadata, dict) else ()
    shown = [(plain(name)[:100], plain(value)) for name, value in found][:MAX_METADATA]
    return Weights([tensor for _, tensor in sorted(tensors, key=lambda item: (item[0], item[1].name))], shown)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _invalid(path: str) -> HubHTTPError:
    return HubHTTPError(422, f"{path} is not a safetensors file.")
