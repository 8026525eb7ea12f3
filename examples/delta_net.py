"""A linear recurrent network with the delta rule, whose state stores values under keys, for `--model`.

The eigenvalues of its state transitions are in [-1, 1], or with `negative=False` in [0, 1].
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

try:  # the kernel is faster than the loop below, which is enough where seqhub is not installed
    from seqhub.native.scans import gated_delta_rule
except ImportError:
    gated_delta_rule = None


def delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """Return S_t^T q_t of S_t = S_(t-1) + beta_t k_t (v_t - S_(t-1)^T k_t)^T; all (B, T, heads, width)."""
    if gated_delta_rule is not None:
        return gated_delta_rule(q, k, v, None, beta.squeeze(-1), scale=1.0)[0]
    state, outputs = q.new_zeros(*q[:, 0].shape, v.size(-1)), []
    for q_t, k_t, v_t, beta_t in zip(q.unbind(1), k.unbind(1), v.unbind(1), beta.unbind(1), strict=True):
        error = beta_t * (v_t - torch.einsum("bhkv,bhk->bhv", state, k_t))
        state = state + torch.einsum("bhk,bhv->bhkv", k_t, error)
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q_t))
    return torch.stack(outputs, dim=1)


class DeltaNet(nn.Module):
    """Vectors (B, T, hidden_size) to hidden states of the same shape."""

    def __init__(self, hidden_size: int, num_hidden_layers: int = 2, heads: int = 4, negative: bool = True) -> None:
        super().__init__()
        self.heads, self.largest = heads, 2 if negative else 1
        width = 3 * hidden_size
        self.norms = nn.ModuleList(nn.RMSNorm(hidden_size) for _ in range(num_hidden_layers))
        self.reads = nn.ModuleList(nn.Linear(hidden_size, width + heads) for _ in range(num_hidden_layers))
        self.shifts = nn.ModuleList(nn.Conv1d(width, width, 4, groups=width) for _ in range(num_hidden_layers))
        self.writes = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(num_hidden_layers))

    def forward(self, x: Tensor) -> Tensor:
        for norm, read, shift, write in zip(self.norms, self.reads, self.shifts, self.writes, strict=True):
            mixed, beta = read(norm(x)).split([3 * x.size(-1), self.heads], dim=-1)
            mixed = silu(shift(nn.functional.pad(mixed.transpose(1, 2), (3, 0)))).transpose(1, 2)
            q, k, v = mixed.unflatten(-1, (3, self.heads, -1)).unbind(2)
            beta = beta.sigmoid().unsqueeze(-1) * self.largest
            x = x + write(delta_rule(normalize(q, dim=-1), normalize(k, dim=-1), v, beta).flatten(2))
        return x
