"""Cells in JAX for the benchmark `cells`: one step, `jax.lax.scan` over steps, `jax.jit` over forward and backward.

The products of the inputs and weights are computed for all steps at once before the scan, and the gates of a cell are
one product. Where another spelling is faster at some widths, there are several. The equations are those of
torchrecurrent.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")  # read by jax

import jax
import jax.numpy as jnp
import numpy as np

CELLS = ("LSTM", "MGU", "coRNN", "LEM")
_STATES = {"LSTM": 2, "MGU": 1, "coRNN": 2, "LEM": 2}
_RATE = 0.1  # of coRNN; that of LEM is 1

Weights = Mapping[str, np.ndarray]


def _weights(name: str, given: Weights) -> dict[str, Any]:
    """Return `w` (F, gates * H) and `b` of inputs, `u` and `v` of states, from weights by their names in torch."""
    inputs, states = given["weight_ih"].T, given["weight_hh"].T
    width = states.shape[0]
    found = {"w": inputs, "u": states, "b": given["bias_ih"] + 0}
    found["b"][: states.shape[1]] += given["bias_hh"]
    if name == "MGU":
        found |= {"u": states[:, :width], "v": states[:, width:]}
    elif name != "LSTM":
        found["v"] = given["weight_ch"].T
        found["b"][-width:] += given["bias_ch"]
    return {key: jnp.asarray(each) for key, each in found.items()}


def _lstm(p: Any, s: Any, x: Any) -> Any:
    h, c = s
    i, f, g, o = jnp.split(x + h @ p["u"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _mgu(p: Any, s: Any, x: Any) -> Any:
    (h,) = s
    gate, candidate = jnp.split(x, 2, axis=1)
    f = jax.nn.sigmoid(gate + h @ p["u"])
    return ((1 - f) * h + f * jnp.tanh(candidate + (f * h) @ p["v"]),)


def _cornn(p: Any, s: Any, x: Any) -> Any:
    y, z = s
    z = z + _RATE * (jnp.tanh(x + y @ p["u"] + z @ p["v"]) - y - z)
    return y + _RATE * z, z


def _cornn_joined(p: Any, s: Any, x: Any) -> Any:
    y, z = s
    z = z + _RATE * (jnp.tanh(x + jnp.concatenate([y, z], axis=1) @ jnp.concatenate([p["u"], p["v"]])) - y - z)
    return y + _RATE * z, z


def _lem(p: Any, s: Any, x: Any) -> Any:
    y, z = s
    one, two, three, four = jnp.split(x, 4, axis=1)
    first, second, third = jnp.split(y @ p["u"], 3, axis=1)
    slow, fast = jax.nn.sigmoid(one + first), jax.nn.sigmoid(two + second)
    new = (1 - slow) * y + slow * jnp.tanh(four + z @ p["v"])
    return new, (1 - fast) * z + fast * jnp.tanh(three + third)


def _lem_joined(p: Any, s: Any, x: Any) -> Any:
    y, z = s
    width = y.shape[1]
    whole = jnp.block([[p["u"], jnp.zeros((width, width))], [jnp.zeros((width, 3 * width)), p["v"]]])
    one, two, three, four = jnp.split(x + jnp.concatenate([y, z], axis=1) @ whole, 4, axis=1)
    slow, fast = jax.nn.sigmoid(one), jax.nn.sigmoid(two)
    return (1 - slow) * y + slow * jnp.tanh(four), (1 - fast) * z + fast * jnp.tanh(three)


_STEPS: dict[str, tuple[Callable[[Any, Any, Any], Any], ...]] = {
    "LSTM": (_lstm,),
    "MGU": (_mgu,),
    "coRNN": (_cornn, _cornn_joined),
    "LEM": (_lem, _lem_joined),
}


def training_steps(
    name: str, given: Weights, inputs: np.ndarray, error: np.ndarray
) -> list[Callable[[], dict[str, Any]]]:
    """Return functions that run forward and backward once, and return the gradients of all weights: one each spelling.

    Args:
        name: One of `CELLS`.
        given: Weights by their names in torch.
        inputs: (B, T, F).
        error: Gradient of the outputs (B, T, H).
    """
    weights = _weights(name, given)
    xs, errors = (jnp.asarray(each.swapaxes(0, 1)) for each in (inputs, error))

    def loss(step: Any, p: Any, xs: Any, errors: Any) -> Any:
        projected = xs @ p["w"] + p["b"]
        first = (jnp.zeros(errors.shape[1:]),) * _STATES[name]

        def advance(states: Any, x: Any) -> Any:
            after = step(p, states, x)
            return after, after[0]

        return (jax.lax.scan(advance, first, projected)[1] * errors).sum()

    def run(gradient: Any) -> dict[str, Any]:
        found: dict[str, Any] = gradient(weights, xs, errors)
        for each in found.values():
            each.block_until_ready()
        return found

    return [partial(run, jax.jit(jax.grad(partial(loss, step)))) for step in _STEPS[name]]


def largest_difference(name: str, gradients: Mapping[str, Any], own: Weights) -> float:
    """Return the largest difference to gradients by their names in torch, as a share of the largest number of each."""
    expected = _weights(name, {key: each * (key not in ("bias_hh", "bias_ch")) for key, each in own.items()})
    return max(float(jnp.abs(gradients[key] - each).max() / jnp.abs(each).max()) for key, each in expected.items())
