"""Generated source of the kernel of a model's cell."""

from typing import Any

import torch
from torch import nn

from seqhub.cells import ncps, torchrecurrent
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.kernel import lower_cell
from seqhub.cells.writer import write_source
from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.models.sources import build_wrapped_config
from seqhub.models.wrapped.modeling_wrapped import make_module
from seqhub.models.wrapped.recurrent_cell import CellLayer, CellStack


def generated_source(model: str) -> str:
    """Return the C++ source that is generated for the cell of a model, in float32.

    Args:
        model: Model id, as in `my_cell.py:MyCell?hidden_size=16` or `torchrecurrent:MGU`.

    Raises:
        InvalidConfigError: The model is not a cell, or its cell cannot be compiled; the message names the reason.
        UnknownNameError: The model does not exist.
    """
    name = ModelId.parse(model)
    if not name.is_wrapped:
        raise InvalidConfigError(f"model {name}: must be a cell, as in my_cell.py:MyCell or torchrecurrent:MGU")
    config = build_wrapped_config(name)
    with torch.random.fork_rng(devices=[]):
        module: Any = make_module(config)
    features = config.hidden_size
    if isinstance(module, CellStack):
        module = module.layers[0]
    if isinstance(module, CellLayer):
        cell: nn.Module = module.cell
        try:
            form = module.form(torch.zeros(1, 1, features))
        except ValueError as error:
            raise InvalidConfigError(f"model {name}: {error}") from error
    else:
        cells = torchrecurrent.cells_of(module) or ncps.cells_of(module)
        if cells is None:
            raise InvalidConfigError(
                f"model {name}: {type(module).__name__} is neither a layer of torchrecurrent or ncps nor a cell, a "
                "class whose name ends in Cell"
            )
        cell, form = cells[0]
    try:
        low, _ = lower_cell(cell, form, features, torch.float32)
        return write_source(low, type(cell).__name__).text
    except NotCompilableError as error:
        raise InvalidConfigError(f"model {name} runs as a plain loop: {error}") from error
