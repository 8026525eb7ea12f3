"""Seeds of an LSTM on qrsu/hard to the criterion in JAX, for the benchmark `sweep`.

Everything is in one compiled function, which runs for one seed after another: drawing the rows, `jax.lax.scan` over the
steps, Adam with clipping, and the validations; `jax.lax.while_loop` ends at the criterion. Setting and criterion are
those of the benchmark `sweep`. Of the spellings that were tried, the fastest has a backward pass of its own, with one
product for the gradients of all steps; `jax.vmap` over seeds was slower, since all wait for the last.
"""

import os
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")  # read by jax

import jax
import jax.numpy as jnp

_LONGEST, _HIDDEN, _BATCH, _PAD = 110, 8, 16, 8
_RATE, _NORM = 2e-2, 1.0
_EVERY, _AT_ONCE, _CHECKED, _WRONG, _MOST = 320, 1_024, 10_240, 10, 100_000
_X, _Y, _FIRST, _LAST = 0, 1, 6, 7  # ids; 2 to 5 are noise


def _draw(key: Any, rows: int) -> tuple[Any, Any]:
    """Return ids (T, rows), padded in front, and classes (rows,)."""
    keys = jax.random.split(key, 5)
    lengths = jax.random.randint(keys[0], (rows,), 100, 111)
    one, other = (jax.random.randint(each, (rows,), low, low + 11) for each, low in ((keys[1], 10), (keys[2], 50)))
    labels = jax.random.randint(keys[3], (rows,), 0, 4)
    ids = jax.random.randint(keys[4], (_LONGEST, rows), 2, 6)
    step = jnp.arange(_LONGEST)[:, None] - (_LONGEST - lengths)
    ids = jnp.where(step == one, labels // 2, jnp.where(step == other, labels % 2, ids))
    ids = jnp.where(step == 0, _FIRST, jnp.where(step == lengths - 1, _LAST, ids))
    return jnp.where(step < 0, _PAD, ids), labels


def _weights(key: Any) -> dict[str, Any]:
    """Return weights; the last row of `table` is that of padding, without an input."""
    keys = jax.random.split(key, 5)
    bound = _HIDDEN**-0.5

    def uniform(number: int, *shape: int) -> Any:
        return jax.random.uniform(keys[number], shape, minval=-bound, maxval=bound)

    forget = jnp.log(jax.random.uniform(keys[4], (_HIDDEN,), minval=1.0, maxval=_LONGEST - 1.0))
    bias = jnp.concatenate([-forget, forget, jnp.zeros(2 * _HIDDEN)])
    return {
        "table": uniform(0, _PAD, 4 * _HIDDEN),
        "bias": bias,
        "u": uniform(1, _HIDDEN, 4 * _HIDDEN),
        "w": uniform(2, _HIDDEN, 4),
        "b": uniform(3, 4),
    }


def _forward(table: Any, u: Any, ids: Any) -> tuple[Any, Any]:
    first = jnp.zeros((ids.shape[1], _HIDDEN))

    def advance(state: Any, now: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(table[now] + h @ u, 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        after = f * c + i * g
        squashed = jnp.tanh(after)
        return (o * squashed, after), (h, c, i, f, g, o, squashed)

    (h, _), saved = jax.lax.scan(advance, (first, first), ids)
    return h, saved


@jax.custom_vjp
def _lstm(table: Any, u: Any, ids: Any) -> Any:
    """Return the last states (B, H) of rows of ids (T, B); `table` has the sums of each id."""
    return _forward(table, u, ids)[0]


def _lstm_forward(table: Any, u: Any, ids: Any) -> tuple[Any, Any]:
    h, saved = _forward(table, u, ids)
    return h, (u, ids, saved)


def _lstm_backward(kept: Any, error: Any) -> tuple[Any, Any, None]:
    u, ids, saved = kept

    def back(state: Any, step: Any) -> Any:
        dh, dc = state
        _, c, i, f, g, o, squashed = step
        dc = dc + dh * o * (1 - squashed**2)
        sums = jnp.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)], axis=1
        )
        return (sums @ u.T, dc * f), sums

    _, sums = jax.lax.scan(back, (error, jnp.zeros_like(error)), saved, reverse=True)
    flat, before = sums.reshape(-1, 4 * _HIDDEN), saved[0].reshape(-1, _HIDDEN)
    return jax.nn.one_hot(ids.reshape(-1), _PAD + 1).T @ flat, before.T @ flat, None


_lstm.defvjp(_lstm_forward, _lstm_backward)


def _logits(p: Any, ids: Any) -> Any:
    table = jnp.concatenate([p["table"], jnp.zeros((1, 4 * _HIDDEN))]) + p["bias"]
    return _lstm(table, p["u"], ids) @ p["w"] + p["b"]


def _loss(p: Any, ids: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(_logits(p, ids)), labels[:, None], axis=1).mean()


def _update(number: Any, state: Any) -> Any:
    """Train with one batch."""
    p, m, v, key, count = state
    key, now = jax.random.split(key)
    gradient = jax.grad(_loss)(p, *_draw(now, _BATCH))
    norm = jnp.sqrt(sum((each**2).sum() for each in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda each: each * jnp.minimum(1.0, _NORM / (norm + 1e-6)), gradient)
    count = count + 1
    m = jax.tree.map(lambda old, each: 0.9 * old + 0.1 * each, m, gradient)
    v = jax.tree.map(lambda old, each: 0.999 * old + 0.001 * each**2, v, gradient)
    p = jax.tree.map(
        lambda old, a, b: old - _RATE * a / (1 - 0.9**count) / (jnp.sqrt(b / (1 - 0.999**count)) + 1e-8), p, m, v
    )
    return p, m, v, key, count


def _is_solved(p: Any, key: Any) -> Any:
    """Validate on up to `_CHECKED` new rows, until too many are wrong."""

    def check(state: Any) -> Any:
        wrong, seen, key = state
        key, now = jax.random.split(key)
        ids, labels = _draw(now, _AT_ONCE)
        return wrong + (_logits(p, ids).argmax(axis=1) != labels).sum(), seen + _AT_ONCE, key

    def goes_on(state: Any) -> Any:
        return (state[0] <= _WRONG) & (state[1] < _CHECKED)

    return jax.lax.while_loop(goes_on, check, (0, 0, key))[0] <= _WRONG


@jax.jit
def solve(key: Any) -> tuple[Any, Any]:
    """Return the training sequences of a run, and whether it met the criterion."""
    first, key = jax.random.split(key)
    p = _weights(first)
    zeros = jax.tree.map(jnp.zeros_like, p)

    def train(state: Any) -> Any:
        training, seen, _ = state
        training = jax.lax.fori_loop(0, _EVERY // _BATCH, _update, training)
        checking, key = jax.random.split(training[3])
        training = (*training[:3], key, training[4])
        return training, seen + _EVERY, _is_solved(training[0], checking)

    def goes_on(state: Any) -> Any:
        return ~state[2] & (state[1] < _MOST)

    _, seen, solved = jax.lax.while_loop(goes_on, train, ((p, zeros, zeros, key, 0), 0, False))
    return seen, solved


def main(seeds: int) -> None:
    """Print the number of seeds that are solved, and the median of the sequences until then."""
    found = [solve(jax.random.PRNGKey(seed)) for seed in range(seeds)]
    print(sum(bool(solved) for _, solved in found), sorted(int(seen) for seen, _ in found)[len(found) // 2])
