"""Cells in JAX for the benchmark `cells`: one step, `jax.lax.scan` over steps, `jax.jit` over forward and backward.

The products of the inputs and weights are computed for all steps at once before the scan, and the gates of a cell are
one product; this was the fastest of the spellings that were tried. The equations are those of torchrecurrent.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")  # read by jax

import jax
import jax.numpy as jnp

CELLS = ("LSTM", "MGU", "coRNN", "LEM")
_STATES = {"LSTM": 2, "MGU": 1, "coRNN": 2, "LEM": 2}
_RATE = 0.1  # of coRNN and LEM


def _weights(name: str, features: int, hidden: int) -> dict[str, Any]:
    """Return weights: `w` (F, gates * H) and `b` of the inputs, `u` (H, gates * H) of the state."""
    gates = {"LSTM": (4, 4), "MGU": (2, 1), "coRNN": (1, 1), "LEM": (4, 3)}[name]
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    found = {
        "w": jax.random.normal(keys[0], (features, gates[0] * hidden)) * 0.1,
        "u": jax.random.normal(keys[1], (hidden, gates[1] * hidden)) * 0.1,
        "b": jnp.zeros(gates[0] * hidden),
    }
    if name != "LSTM":
        found["v"] = jax.random.normal(keys[2], (hidden, hidden)) * 0.1
    return found


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


def _lem(p: Any, s: Any, x: Any) -> Any:
    y, z = s
    one, two, three, four = jnp.split(x, 4, axis=1)
    first, second, third = jnp.split(y @ p["u"], 3, axis=1)
    slow, fast = _RATE * jax.nn.sigmoid(one + first), _RATE * jax.nn.sigmoid(two + second)
    z = (1 - slow) * z + slow * jnp.tanh(three + third)
    return (1 - fast) * y + fast * jnp.tanh(four + z @ p["v"]), z


_STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {"LSTM": _lstm, "MGU": _mgu, "coRNN": _cornn, "LEM": _lem}


def training_step(name: str, batch: int, steps: int, features: int, hidden: int) -> Callable[[], None]:
    """Return a function that runs forward and backward once, with the gradients of all weights."""
    step, weights = _STEPS[name], _weights(name, features, hidden)
    keys = jax.random.split(jax.random.PRNGKey(1), 2)
    inputs = jax.random.normal(keys[0], (steps, batch, features))
    error = jax.random.normal(keys[1], (steps, batch, hidden))

    def loss(p: Any, inputs: Any, error: Any) -> Any:
        projected = inputs @ p["w"] + p["b"]
        first = (jnp.zeros((batch, hidden)),) * _STATES[name]

        def advance(states: Any, x: Any) -> Any:
            after = step(p, states, x)
            return after, after[0]

        return (jax.lax.scan(advance, first, projected)[1] * error).sum()

    gradient = jax.jit(jax.grad(loss))

    def run() -> None:
        jax.block_until_ready(gradient(weights, inputs, error))

    return run
