"""Compilation of the kernels of many cells as one library, since the headers take most of the time of each."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from seqhub.cells import build, kernel
from seqhub.cells.compile import compile_cell
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.writer import write_source

_SECONDS = 1800  # for one library of many kernels
_EXPORTED = re.compile(r"^EXPORTED (\w+) (\w+)\(", re.M)


@contextmanager
def compiled_together(cells: Sequence[tuple[nn.Module, int]], dtype: torch.dtype) -> Iterator[None]:
    """Compile the kernels of cells, each with the width of its input, before they are used in the context.

    Cells whose step is not supported are omitted, and their reason is given when they are used.
    """
    texts: list[str] = []
    for cell, features in cells:
        form = compile_cell(cell).form(torch.zeros(1, 1, features, dtype=dtype))
        try:
            low, _ = kernel.lower_cell(cell, form, features, dtype)
        except NotCompilableError:
            continue
        text = write_source(low, type(cell).__name__).text
        if text not in texts:
            texts.append(text)
    parts = []
    for number, text in enumerate(texts):
        includes, start, body = text.partition("namespace {")
        if number == 0:
            parts.append(includes)
        own = _EXPORTED.sub(rf"EXPORTED \1 \2_{number}(", f"{start}{body}")
        parts.append(f"namespace cell_{number} {{\n{own}\n}}\n")
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # of sanitizers
    with patch.object(build, "_SECONDS", _SECONDS), patch.dict(os.environ, environment, clear=True):
        library: Any = build.load_library("".join(parts)) if texts else None

    def load(source: str, instructions: str | None = None) -> Any:
        number = texts.index(source)
        names = [match[1] for match in _EXPORTED.findall(source)]
        return SimpleNamespace(**{name: getattr(library, f"{name}_{number}") for name in names})

    with patch.object(kernel, "load_library", load):
        yield
