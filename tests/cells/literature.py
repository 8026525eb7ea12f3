"""Recurrent cells of the literature, written from their equations as users write them."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Cell(nn.Module):
    """A cell with a state of zeros of the widths in `sizes`."""

    sizes: tuple[int, ...]

    def forward(self, x: Tensor, state: Any = None) -> Any:
        if state is None:
            state = tuple(x.new_zeros(len(x), size) for size in self.sizes)
        result = self.step(x, *(state if isinstance(state, tuple) else (state,)))
        return result if isinstance(result, tuple) and len(result) > 1 else (result,)

    def step(self, x: Tensor, *state: Tensor) -> Any:
        raise NotImplementedError


class SLSTMCell(_Cell):
    """sLSTM with two heads, exponential gates and a stabiliser (Beck et al., 2024)."""

    def __init__(self, features: int, hidden: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.sizes = heads, (hidden,) * 4
        self.w = nn.Linear(features, 4 * hidden)
        self.r = nn.Parameter(torch.randn(heads, hidden // heads, 4 * hidden // heads) / 4)
        self.norm = nn.GroupNorm(heads, hidden)

    def step(self, x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> Any:
        recurrent = torch.einsum("bnd,nde->bne", h.view(len(h), self.heads, -1), self.r)
        recurrent = recurrent.view(len(h), self.heads, 4, -1).transpose(1, 2).flatten(1)
        i, f, z, o = (self.w(x) + recurrent).chunk(4, dim=1)
        after = torch.maximum(F.logsigmoid(f) + m, i)
        i, f = torch.exp(i - after), torch.exp(F.logsigmoid(f) + m - after)
        c, n = f * c + i * torch.tanh(z), f * n + i
        return self.norm(torch.sigmoid(o) * c / n.clamp(min=1e-6)), c, n, after


class MinGRUCell(_Cell):
    """minGRU (Feng et al., 2024)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.net = (hidden,), nn.Linear(features, 2 * hidden)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        z, candidate = self.net(x).chunk(2, dim=1)
        positive = torch.where(candidate >= 0, candidate + 0.5, torch.sigmoid(candidate))
        return torch.lerp(h, positive, torch.sigmoid(z))


class LRUCell(_Cell):
    """Linear recurrent unit with complex diagonal in real form (Orvieto et al., 2023)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden, hidden)
        self.nu = nn.Parameter(torch.linspace(-2.0, 0.0, hidden))
        self.theta = nn.Parameter(torch.linspace(-1.0, 1.0, hidden))
        self.b, self.c, self.d = (nn.Linear(n, m, bias=False) for n, m in
                                  ((features, 2 * hidden), (2 * hidden, hidden), (features, hidden)))  # fmt: skip

    def step(self, x: Tensor, y: Tensor, real: Tensor, imaginary: Tensor) -> Any:
        size, angle = torch.exp(-torch.exp(self.nu)), torch.exp(self.theta)
        a, b = size * torch.cos(angle), size * torch.sin(angle)
        in_real, in_imaginary = (self.b(x) * torch.sqrt(1 - size**2).repeat(2)).chunk(2, dim=-1)
        real, imaginary = a * real - b * imaginary + in_real, a * imaginary + b * real + in_imaginary
        return self.c(torch.cat([real, imaginary], 1)) + self.d(x), real, imaginary


class ComplexLRUCell(_Cell):
    """The same with complex numbers in the step."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (2 * hidden,)
        self.decay = nn.Parameter(torch.randn(hidden, 2) / 4)
        self.b = nn.Linear(features, 2 * hidden)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        state = torch.view_as_complex(h.view(len(h), -1, 2)) * torch.view_as_complex(self.decay)
        return torch.view_as_real(state).flatten(1) + self.b(x)


class LMUCell(_Cell):
    """Legendre memory unit (Voelker, Kajic & Eliasmith, 2019)."""

    def __init__(self, features: int, hidden: int, order: int = 4, theta: float = 8.0) -> None:
        super().__init__()
        self.sizes = (hidden, order)
        q = torch.arange(order)
        signs = torch.where(q[:, None] < q, -1.0, (-1.0) ** (q[:, None] - q + 1))
        self.register_buffer("a", torch.matrix_exp((2 * q[:, None] + 1) * signs / theta))
        self.register_buffer("b", (2 * q + 1) * (-1.0) ** q / theta)
        self.e = nn.ModuleList(nn.Linear(n, 1, bias=False) for n in (features, hidden, order))
        self.w = nn.Linear(features + hidden + order, hidden)

    def step(self, x: Tensor, h: Tensor, m: Tensor) -> Any:
        u = self.e[0](x) + self.e[1](h) + self.e[2](m)
        m = m @ self.a.T + u * self.b
        return torch.tanh(self.w(torch.cat([x, h, m], dim=-1))), m


class CTRNNCell(_Cell):
    """Continuous-time recurrent network, Euler steps with time constants of each unit (Funahashi & Nakamura, 1993)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden,)
        self.w, self.u = nn.Linear(features, hidden), nn.Linear(hidden, hidden, bias=False)
        self.log_tau = nn.Parameter(torch.linspace(0, 2, hidden))

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        for _ in range(3):
            h = h + 0.3 / self.log_tau.exp() * (torch.tanh(self.u(h) + self.w(x)) - h)
        return h


class SRUCell(_Cell):
    """Simple recurrent unit with highway connection (Lei et al., 2018)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden)
        self.w = nn.Linear(features, 4 * hidden)
        self.v = nn.Parameter(torch.randn(2, hidden))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Any:
        candidate, f, r, through = self.w(x).split(c.size(1), dim=1)
        f, r = torch.sigmoid(f + self.v[0] * c), torch.sigmoid(r + self.v[1] * c)
        c = f * c + (1 - f) * candidate
        return r * c + (1 - r) * through * math.sqrt(3), c


class QRNNCell(_Cell):
    """Quasi-recurrent network with fo-pooling, window of two inputs (Bradbury et al., 2016)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden, hidden, features), nn.Linear(2 * features, 3 * hidden)

    def step(self, x: Tensor, h: Tensor, c: Tensor, before: Tensor) -> Any:
        z, f, o = self.w(torch.cat((before, x), dim=1)).unflatten(1, (3, -1)).unbind(1)
        c = torch.sigmoid(f) * c + torch.sigmoid(-f) * torch.tanh(z)
        return torch.sigmoid(o) * c, c, x


class RecurrentHighwayCell(_Cell):
    """Recurrent highway network of depth three (Zilly et al., 2017)."""

    def __init__(self, features: int, hidden: int, depth: int = 3) -> None:
        super().__init__()
        self.sizes, self.w = (hidden,), nn.Linear(features, 2 * hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, 2 * hidden) for _ in range(depth))

    def step(self, x: Tensor, s: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            h, t = (layer(s) + (self.w(x) if number == 0 else 0)).tensor_split(2, dim=-1)
            s = torch.tanh(h) * torch.sigmoid(t) + s * (1 - torch.sigmoid(t))
        return s


class MultiplicativeIntegrationCell(_Cell):
    """Multiplicative integration in an LSTM (Wu et al., 2016)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden)
        self.w, self.u = nn.Linear(features, 4 * hidden, bias=False), nn.Linear(hidden, 4 * hidden, bias=False)
        self.alpha, self.beta, self.gamma, self.b = (nn.Parameter(torch.ones(4 * hidden)) for _ in range(4))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Any:
        wx, uh = self.w(x), self.u(h)
        gates = self.alpha * wx * uh + self.beta * uh + self.gamma * wx + self.b
        i, f, g, o = gates.view(len(x), 4, -1).unbind(dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class LayerNormLSTMCell(_Cell):
    """LSTM with layer norm of both products and of the cell (Ba, Kiros & Hinton, 2016)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden)
        self.w, self.u = nn.Linear(features, 4 * hidden, bias=False), nn.Linear(hidden, 4 * hidden, bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (4 * hidden, 4 * hidden, hidden))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = (self.norms[0](self.w(x)) + self.norms[1](self.u(h))).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norms[2](c)), c


class ZoneoutCell(_Cell):
    """GRU with zoneout: states keep their value at random, in evaluation by expectation (Krueger et al., 2016)."""

    def __init__(self, features: int, hidden: int, rate: float = 0.1) -> None:
        super().__init__()
        self.sizes, self.rate, self.cell = (hidden,), rate, nn.GRUCell(features, hidden)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        new = self.cell(x, h)
        if self.training:
            return torch.where(torch.rand_like(h) < self.rate, h, new)
        return self.rate * h + (1 - self.rate) * new


class ClockworkCell(_Cell):
    """Clockwork RNN: groups of units are active at multiples of their periods (Koutnik et al., 2014)."""

    def __init__(self, features: int, hidden: int, groups: int = 3) -> None:
        super().__init__()
        self.sizes = (hidden, 1)
        self.w, self.u = nn.Linear(features, hidden), nn.Linear(hidden, hidden, bias=False)
        size = hidden // groups
        self.register_buffer("periods", (2.0 ** torch.arange(groups)).repeat_interleave(size))
        self.register_buffer("mask", torch.ones(groups, groups).triu().kron(torch.ones(size, size)))

    def step(self, x: Tensor, h: Tensor, clock: Tensor) -> Any:
        new = torch.tanh(self.w(x) + F.linear(h, self.u.weight * self.mask))
        return torch.where(torch.remainder(clock, self.periods) == 0, new, h), clock + 1


class IRNNCell(_Cell):
    """ReLU network whose recurrent matrix starts as the identity (Le, Jaitly & Hinton, 2015)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.cell = (hidden,), nn.RNNCell(features, hidden, nonlinearity="relu")
        nn.init.eye_(self.cell.weight_hh)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        return self.cell(x, h)  # type: ignore[no-any-return]


class NARXCell(_Cell):
    """NARX network with delays of one, two and four steps in one state (Lin et al., 1996)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.sizes, self.w = hidden, (hidden, 4 * hidden), nn.Linear(features + 3 * hidden, hidden)

    def step(self, x: Tensor, h: Tensor, memory: Tensor) -> Any:
        lines = memory.view(len(x), 4, self.hidden)
        h = torch.tanh(self.w(torch.cat([x, lines[:, [0, 1, 3]].flatten(1)], dim=1)))
        return h, torch.cat([h.unsqueeze(1), lines[:, :-1]], dim=1).flatten(1)


class FourierUnitCell(_Cell):
    """Fourier recurrent unit: a memory of cosines of the time (Zhang et al., 2018)."""

    def __init__(self, features: int, hidden: int, frequencies: int = 3, steps: int = 20) -> None:
        super().__init__()
        self.sizes, self.steps = (hidden, frequencies * hidden, 1), steps
        self.w, self.c = nn.Linear(features + hidden, hidden), nn.Linear(frequencies * hidden, hidden)
        self.register_buffer("angle", 2 * math.pi * torch.arange(frequencies) / steps)

    def step(self, x: Tensor, h: Tensor, u: Tensor, time: Tensor) -> Any:
        h = torch.tanh(self.w(torch.cat([x, h], dim=1)))
        waves = torch.cos(time * self.angle + 0.3) / self.steps
        u = u + (waves.unsqueeze(2) * h.unsqueeze(1)).reshape(len(x), -1)
        return torch.tanh(self.c(u)), u, time + 1


class DeltaRNNCell(_Cell):
    """Delta-RNN (Ororbia, Mikolov & Reitter, 2017)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden,)
        self.w, self.v = nn.Linear(features, hidden, bias=False), nn.Linear(hidden, hidden, bias=False)
        self.alpha, self.beta1, self.beta2, self.b, self.b_r = (nn.Parameter(torch.rand(hidden)) for _ in range(5))

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        vh, wx = self.v(h), self.w(x)
        new = torch.tanh(self.alpha * vh * wx + self.beta1 * vh + self.beta2 * wx + self.b)
        r = torch.sigmoid(wx + self.b_r)
        return F.relu((1 - r) * new + r * h)


class RotationCell(_Cell):
    """Efficient unitary network with real rotations of pairs and modReLU (Jing et al., 2017)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden,), nn.Linear(features, hidden)
        self.angles, self.bias = nn.Parameter(torch.rand(2, hidden // 2)), nn.Parameter(torch.zeros(hidden))

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        for layer, angle in enumerate(self.angles):
            pairs = h.roll(layer, dims=1).view(len(h), -1, 2)
            one, two = pairs[..., 0], pairs[..., 1]
            turned = one * angle.cos() - two * angle.sin(), one * angle.sin() + two * angle.cos()
            h = torch.stack(turned, dim=-1).view(len(h), -1).roll(-layer, dims=1)
        y = h + self.w(x)
        return torch.sign(y) * F.relu(y.abs() + self.bias)


class HyperLSTMCell(_Cell):
    """HyperLSTM: a small LSTM scales the rows of the weights of a larger one (Ha, Dai & Le, 2016)."""

    def __init__(self, features: int, hidden: int, small: int = 3, embedded: int = 2) -> None:
        super().__init__()
        self.sizes, self.hyper = (hidden, hidden, small, small), nn.LSTMCell(features + hidden, small)
        self.w, self.u = nn.Linear(features, 4 * hidden, bias=False), nn.Linear(hidden, 4 * hidden, bias=False)
        self.z = nn.Linear(small, 3 * 4 * embedded)
        self.d = nn.Parameter(torch.randn(3, 4, embedded, hidden) / 2)

    def step(self, x: Tensor, h: Tensor, c: Tensor, hyper_h: Tensor, hyper_c: Tensor) -> Any:
        hyper_h, hyper_c = self.hyper(torch.cat([x, h], dim=1), (hyper_h, hyper_c))
        z = self.z(hyper_h).view(len(x), 3, 4, -1)
        scale_h, scale_x, bias = torch.einsum("bkge,kgeh->bkgh", z, self.d).flatten(2).unbind(1)
        i, f, g, o = (scale_h * self.u(h) + scale_x * self.w(x) + bias).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c, hyper_h, hyper_c


class FastWeightCell(_Cell):
    """Fast weights: a decaying matrix of outer products for each sequence (Ba et al., 2016)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden * hidden)
        self.w, self.u, self.norm = nn.Linear(features, hidden), nn.Linear(hidden, hidden), nn.LayerNorm(hidden)

    def step(self, x: Tensor, h: Tensor, fast: Tensor) -> Any:
        matrix = 0.9 * fast.view(len(x), h.size(1), -1) + 0.5 * torch.einsum("bi,bj->bij", h, h)
        first = self.w(x) + self.u(h)
        new = torch.tanh(first)
        for _ in range(2):
            new = torch.tanh(self.norm(first + torch.bmm(matrix, new.unsqueeze(2)).squeeze(2)))
        return new, matrix.flatten(1)


class DeltaNetCell(_Cell):
    """DeltaNet: a matrix state with the delta rule, two heads (Schlag, Irie & Schmidhuber, 2021; Yang et al., 2024)."""

    def __init__(self, features: int, hidden: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, size = heads, hidden // heads
        self.sizes, self.w, self.beta = (
            (hidden, hidden * size),
            nn.Linear(features, 3 * hidden),
            nn.Linear(features, heads),
        )

    def step(self, x: Tensor, y: Tensor, state: Tensor) -> Any:
        q, k, v = self.w(x).view(len(x), 3, self.heads, -1).unbind(1)
        k, q = F.normalize(F.silu(k), dim=-1), F.silu(q)
        s = state.view(len(x), self.heads, k.size(-1), -1)
        error = v - torch.einsum("bhk,bhkv->bhv", k, s)
        s = s + torch.einsum("bhk,bhv->bhkv", k, torch.sigmoid(self.beta(x)).unsqueeze(2) * error)
        return torch.einsum("bhk,bhkv->bhv", q, s).flatten(1), s.flatten(1)


class MLSTMCell(_Cell):
    """mLSTM with one head: matrix memory with exponential gates (Beck et al., 2024)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.sizes = hidden, (hidden, hidden * hidden, hidden, 1)
        self.w, self.gates = nn.Linear(features, 3 * hidden), nn.Linear(features, 2 + hidden)

    def step(self, x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> Any:
        q, k, v = self.w(x).chunk(3, dim=1)
        i, f, o = self.gates(x).split([1, 1, self.hidden], dim=1)
        after = torch.max(F.logsigmoid(f) + m, i)
        i, f = (i - after).exp(), (F.logsigmoid(f) + m - after).exp()
        k = k / math.sqrt(self.hidden)
        c = f * c + i * (v[:, :, None] * k[:, None, :]).flatten(1)
        n = f * n + i * k
        read = (c.view(-1, self.hidden, self.hidden) @ q.unsqueeze(-1)).squeeze(-1)
        return o.sigmoid() * read / torch.clamp((n * q).sum(1, keepdim=True).abs(), min=1.0), c, n, after


class OrderedNeuronsCell(_Cell):
    """ON-LSTM with cumulative softmax gates (Shen et al., 2019)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden, hidden), nn.Linear(features + hidden, 6 * hidden)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Any:
        f, i, g, o, *master = self.w(torch.cat([x, h], dim=1)).chunk(6, dim=1)
        forget, write = torch.softmax(master[0], -1).cumsum(-1), 1 - torch.softmax(master[1], -1).cumsum(-1)
        both = forget * write
        f, i = f.sigmoid() * both + forget - both, i.sigmoid() * both + write - both
        c = f * c + i * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GatedFeedbackCell(_Cell):
    """Two stacked layers with a global reset gate between them, as one cell (Chung et al., 2015)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden, hidden), nn.ModuleList((nn.Linear(features, hidden), nn.Linear(hidden, hidden)))
        self.u, self.gate = nn.Parameter(torch.randn(2, 2, hidden, hidden) / 4), nn.Linear(features, 4)

    def step(self, x: Tensor, one: Tensor, two: Tensor) -> Any:
        g, states = torch.sigmoid(self.gate(x)).view(-1, 2, 2), (one, two)
        first = torch.tanh(self.w[0](x) + sum(g[:, 0, [k]] * (states[k] @ self.u[0, k]) for k in range(2)))
        second = torch.tanh(self.w[1](first) + sum(g[:, 1, [k]] * (states[k] @ self.u[1, k]) for k in range(2)))
        return second, first


class ExpRNNCell(_Cell):
    """Orthogonal network whose matrix is the exponential of a skew matrix (Lezcano-Casado & Martinez-Rubio, 2019)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden,), nn.Linear(features, hidden)
        self.a, self.b = nn.Parameter(torch.randn(hidden, hidden) / 4), nn.Parameter(torch.zeros(hidden))

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        upper = self.a.triu(1)
        y = h @ torch.matrix_exp(upper - upper.mT) + self.w(x)
        return torch.sign(y) * torch.relu(y.abs() + self.b)


class PhasedLSTMCell(_Cell):
    """Phased LSTM with a time gate of learnt periods (Neil, Pfeiffer & Liu, 2016)."""

    def __init__(self, features: int, hidden: int, leak: float = 0.001) -> None:
        super().__init__()
        self.sizes, self.cell, self.leak = (hidden, hidden, 1), nn.LSTMCell(features, hidden), leak
        self.period = nn.Parameter(torch.linspace(1.3, 6.1, hidden))
        self.shift, self.ratio = nn.Parameter(torch.rand(hidden)), nn.Parameter(torch.full((hidden,), 0.6))

    def step(self, x: Tensor, h: Tensor, c: Tensor, time: Tensor) -> Any:
        phase = torch.remainder(time - self.shift, self.period) / self.period
        opening = torch.where(phase < self.ratio, 2 - 2 * phase / self.ratio, self.leak * phase)
        k = torch.where(phase < self.ratio / 2, 2 * phase / self.ratio, opening)
        new_h, new_c = self.cell(x, (h, c))
        return k * new_h + (1 - k) * h, k * new_c + (1 - k) * c, time + 1


class SpikingCell(_Cell):
    """Leaky integrate-and-fire units with a surrogate gradient (Neftci, Mostafa & Zenke, 2019)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes = (hidden, hidden)
        self.w, self.u = nn.Linear(features, hidden), nn.Linear(hidden, hidden, bias=False)

    def step(self, x: Tensor, spikes: Tensor, v: Tensor) -> Any:
        v = 0.9 * v * (1 - spikes.detach()) + self.w(x) + self.u(spikes)
        soft = torch.sigmoid(4 * (v - 0.3))
        return (v > 0.3).to(v.dtype) + soft - soft.detach(), v


class ConvolutionalCell(_Cell):
    """A tanh network with a convolution over units (as in convolutional LSTMs, Shi et al., 2015)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.w = (hidden,), nn.Linear(features, hidden)
        self.kernel = nn.Parameter(torch.randn(1, 1, 3))

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.w(x) + F.conv1d(h.unsqueeze(1), self.kernel, padding=1).squeeze(1))


class ClippedGradientCell(_Cell):
    """A tanh network with clipped gradients of its states (Graves, 2013)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.cell = (hidden,), nn.RNNCell(features, hidden)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        h = self.cell(x, h)
        if h.requires_grad:
            h.register_hook(lambda gradient: gradient.clamp(-1, 1))
        return h


CELLS: tuple[type[_Cell], ...] = (
    SLSTMCell, MinGRUCell, LRUCell, LMUCell, CTRNNCell, SRUCell, QRNNCell, RecurrentHighwayCell,
    MultiplicativeIntegrationCell, LayerNormLSTMCell, ZoneoutCell, ClockworkCell, IRNNCell, NARXCell, FourierUnitCell,
    DeltaRNNCell, RotationCell, HyperLSTMCell, FastWeightCell, DeltaNetCell, MLSTMCell, OrderedNeuronsCell,
    GatedFeedbackCell, ExpRNNCell, PhasedLSTMCell, SpikingCell, ConvolutionalCell, ClippedGradientCell, ComplexLRUCell,
)  # fmt: skip
