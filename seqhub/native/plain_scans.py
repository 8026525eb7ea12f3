"""Scans in torch operations, step by step; time and memory grow linearly with the number of steps.

They run where the native library does not (other devices and types), and give the derivatives that it does not provide.

Shapes: B sequences of T steps, D channels with N states each, or H heads with keys of N and values of D numbers.
"""

import torch
from torch import Tensor


def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t and y_t = C_t h_t (Gu and Dao, 2023, section 3.2).

    Args:
        u: (B, T, D).
        delta: (B, T, D).
        A: (D, N).
        B: (B, T, N).
        C: (B, T, N).
        state: (B, D, N), or None for zero.

    Returns:
        Outputs (B, T, D) and the last state (B, D, N).
    """
    state = u.new_zeros(len(u), *A.shape) if state is None else state
    outputs = []
    for dt, x, b, c in zip(delta.unbind(1), (delta * u).unbind(1), B.unbind(1), C.unbind(1), strict=True):
        state = (dt.unsqueeze(-1) * A).exp() * state + x.unsqueeze(-1) * b.unsqueeze(1)
        outputs.append((state * c.unsqueeze(1)).sum(-1))
    return torch.stack(outputs, 1), state


def delta_rule(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor | None, beta: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute M = exp(g_t) S_{t-1}, S_t = M + k_t (beta_t (v_t - M^T k_t))^T and y_t = S_t^T q_t (Yang et al., 2024).

    Args:
        q: (B, T, H, N).
        k: (B, T, H, N).
        v: (B, T, H, D).
        g: (B, T, H), or None for zero.
        beta: (B, T, H).
        state: (B, H, N, D), or None for zero.

    Returns:
        Outputs (B, T, H, D) and the last state (B, H, N, D).
    """
    state = v.new_zeros(len(q), *q.shape[2:], v.size(-1)) if state is None else state
    decays = None if g is None else g.exp().unsqueeze(-1).unsqueeze(-1).unbind(1)
    outputs = []
    steps = zip(q.unbind(1), k.unsqueeze(-1).unbind(1), v.unbind(1), beta.unsqueeze(-1).unbind(1), strict=True)
    for step, (query, key, value, strength) in enumerate(steps):
        if decays is not None:
            state = state * decays[step]
        change = strength * (value - (state * key).sum(-2))
        state = state + key * change.unsqueeze(-2)
        outputs.append((state * query.unsqueeze(-1)).sum(-2))
    return torch.stack(outputs, 1), state


def linear_recurrence(x: Tensor, a: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute h_t = a_t h_{t-1} + x_t.

    Args:
        x: (B, T, D).
        a: (B, T, D).
        state: (B, D), or None for zero.

    Returns:
        All states (B, T, D) and the last one (B, D).
    """
    state = torch.zeros_like(x[:, 0]) if state is None else state
    states = []
    for each, decay in zip(x.unbind(1), a.unbind(1), strict=True):
        state = decay * state + each
        states.append(state)
    return torch.stack(states, 1), state


def wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute the weighted averages of RWKV-4 (Peng et al., 2023, section 3.1.2).

    Args:
        w: (D,), at most 0.
        u: (D,).
        k: (B, T, D).
        v: (B, T, D).
        state: (B, 3, D), numerator, denominator and the logarithm of the factor of both; or None for no steps.

    Returns:
        Outputs (B, T, D) and the last state (B, 3, D).
    """
    if state is None:
        zero = torch.zeros_like(k[:, 0])
        numerator, denominator, largest = zero, zero, zero - 1e38
    else:
        numerator, denominator, largest = state.unbind(1)
    outputs = []
    for key, value in zip(k.unbind(1), v.unbind(1), strict=True):
        top = torch.maximum(largest, key + u)
        before, current = (largest - top).exp(), (key + u - top).exp()
        outputs.append((before * numerator + current * value) / (before * denominator + current))
        top = torch.maximum(largest + w, key)
        before, current = (largest + w - top).exp(), (key - top).exp()
        numerator, denominator, largest = before * numerator + current * value, before * denominator + current, top
    return torch.stack(outputs, 1), torch.stack((numerator, denominator, largest), 1)
