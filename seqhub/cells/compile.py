"""`seqhub.compile_cell`."""

from torch import nn

import seqhub.cells.dispatch  # noqa: F401  (the layer looks it up)
from seqhub.models.wrapped.recurrent_cell import CellLayer


def compile_cell(cell: nn.Module) -> CellLayer:
    """Return a layer that runs a cell over time with a compiled kernel.

    The cell computes one step, `cell(x_t, state)`, as `torch.nn.RNNCell` and `torch.nn.LSTMCell` do: x_t is (B, F), the
    state a tensor (B, W) or a tuple of tensors, and the result the new state or a pair of output and new state. The
    layer has the interface of `torch.nn.LSTM(batch_first=True)` and shares the parameters of the cell. Its results and
    gradients are those of a loop over calls of the cell.

    The kernel is generated and compiled at the first call with inputs of a new width or type. A cell that cannot be
    compiled runs as that loop, with a warning that names the reason.

    Args:
        cell: The cell.

    Raises:
        ValueError: The cell is not a module.

    >>> layer = compile_cell(nn.LSTMCell(3, 4))
    >>> [name for name, _ in layer.named_parameters()]
    ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh']
    """
    return CellLayer(cell)
