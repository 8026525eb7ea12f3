"""Modules as a user may write them, for the tests of wrapped models."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

NOT_A_MODULE = 3


class Ids(nn.Module):
    """Ids to hidden states, with a table that is not saved."""

    def __init__(self, vocab_size: int, hidden_size: int, scale: float = 1.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, hidden_size)
        self.mix = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.register_buffer("table", torch.linspace(0, scale, 4096), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.mix(self.embed(ids))
        return states + self.table[: ids.size(1), None]


class Vectors(nn.Module):
    """Vectors to hidden states of another width, in an output with a name."""

    def __init__(self, dim: int, depth: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.GRU(dim, dim, batch_first=True) for _ in range(depth))
        self.out = nn.Linear(dim, dim + 3)

    def forward(self, x: Tensor) -> SimpleNamespace:
        for layer in self.layers:
            x = x + layer(x)[0]
        return SimpleNamespace(last_hidden_state=self.out(x))


class TimeFirst(nn.Module):
    """A layer as torch.nn.LSTM, with time as the first axis."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(input_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        state = x.new_zeros(x.size(1), self.cell.hidden_size) if state is None else state
        outputs = []
        for step in x:
            state = self.cell(step, state)
            outputs.append(state)
        return torch.stack(outputs), state


class LooksAhead(nn.Module):
    """Each state is a mean over all steps."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + x.mean(1, keepdim=True)


class ForgetsState(TimeFirst):
    """A layer that ignores the state it is given."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(x, None)


class AcrossRows(nn.Module):
    """States depend on the other rows of the batch."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).cumsum(1) + x.mean((0, 1))


class NotFinite(nn.Module):
    """States with an infinite gradient."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return (self.linear(x) * 0).sqrt()


class Pooled(nn.Module):
    """One vector for each sequence, where one for each step is expected."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).mean(1)


class NeedsMore(nn.Module):
    """A module with an argument that nothing fills."""

    def __init__(self, hidden_size: int, rank: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, rank)


class Fails(nn.Module):
    """A module whose forward pass raises an error."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) @ x


def make_vectors(hidden_size: int, deep: bool = False) -> nn.Module:
    """Return a module, from a function."""
    return Vectors(hidden_size, 2 if deep else 1)


def make_nothing() -> None:
    """Return no module."""
