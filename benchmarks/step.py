"""A training step of a recurrence, natively and by torch's own module: forward and backward at T = 110, batches of 32.

Theirs is the plain module of torch on ready one-hot tensors, read at the last step. Ours gets ids. "library" is the
native calls alone, as another program would make them; "autograd" is the same through torch's operator and its
backward pass, whose own cost, some tens of microseconds, is most of a small step. Both leave the gradients of all
weights; one thread.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.timing import Goal, Job, Row, compare
from seqhub.kernels.operator import Call, recurrence

_SYMBOLS, _BATCH = 8, 32
_SECONDS_OF_WORK = 0.2  # of each side in each round, at the speed of its first step
_CASES: list[tuple[str, int, int, float | None]] = [  # cell, width, steps, ratio asked of the library
    ("rnn_tanh", 4, 110, 100),
    ("gru", 4, 110, 60),
    ("lstm", 4, 110, 25),
    ("lstm", 16, 110, 6),
    ("lstm", 64, 110, 2),
    ("rnn_tanh", 128, 110, 1),
    ("gru", 128, 110, 1),
    ("lstm", 128, 110, 1),
    ("lstm", 4, 8, None),
    ("lstm", 4, 1000, None),
    ("lstm", 16, 1000, None),
]


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [row for case in _CASES for row in _rows(*case, rounds)]


def _rows(cell: str, hidden: int, steps: int, asked: float | None, rounds: int) -> list[Row]:
    module = _module(cell, hidden)
    weights = module.all_weights[0]
    ids = torch.randint(0, _SYMBOLS, (_BATCH, steps))
    vectors, columns = torch.eye(_SYMBOLS)[ids], torch.arange(_SYMBOLS, dtype=torch.int32)
    d_last = torch.randn(_BATCH, hidden)

    def plain() -> None:
        module.zero_grad(set_to_none=True)
        module(vectors)[0][:, -1].backward(d_last)

    def autograd() -> None:
        module.zero_grad(set_to_none=True)
        recurrence(ids, weights, cell, columns=columns, output_states=False)[1][0].backward(d_last)

    values = [weight.detach() for weight in weights]
    call = Call(ids, columns, None, values, cell, bidirectional=False, output_states=False, instruction_set="")
    saved = torch.empty(call.saved_bytes(), dtype=torch.uint8)
    outputs = torch.empty(0), torch.empty(1, _BATCH, hidden), torch.empty(1, _BATCH, hidden)
    gradients = [torch.empty_like(value) for value in values]
    none = (None,) * 3
    forward, held = call.problem("forward", ids, none[:2], saved, outputs, none * 2, values)
    given = (None, d_last.unsqueeze(0), None, *none)
    backward, held_too = call.problem("backward", ids, none[:2], saved, none, given, [*values, *gradients])

    def library() -> list[Tensor]:
        assert call.library.forward(forward) == call.library.backward(backward) == 0
        return gradients

    _check(plain, autograd, library, weights)
    theirs = _job(plain)
    goal: Goal | None = None if asked is None else ("ratio", ">=", asked)
    floor: Goal | None = None if asked is None else ("ratio", ">=", 1)
    name = f"{cell} {hidden}, T={steps}"
    rows = [
        compare(f"{name}, library", theirs, _job(library), rounds, unit="sequences/s", goal=goal),
        compare(f"{name}, autograd", theirs, _job(autograd), rounds, unit="sequences/s", goal=floor),
    ]
    del held, held_too  # the memory that the calls of the library point to
    return rows


def _module(cell: str, hidden: int) -> nn.RNNBase:
    if cell in ("gru", "lstm"):
        return {"gru": nn.GRU, "lstm": nn.LSTM}[cell](_SYMBOLS, hidden, batch_first=True)
    return nn.RNN(_SYMBOLS, hidden, batch_first=True, nonlinearity=cell.removeprefix("rnn_"))


def _check(
    plain: Callable[[], None], autograd: Callable[[], None], library: Callable[[], list[Tensor]], weights: list[Tensor]
) -> None:
    """All three must give the same gradients, or there is nothing to compare."""
    plain()
    wanted = [weight.grad for weight in weights]
    autograd()
    for native in ([weight.grad for weight in weights], library()):
        for one, two in zip(native, wanted, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def _job(step: Callable[[], object]) -> Job:
    import time

    step()
    started = time.perf_counter()
    step()
    times = max(1, int(_SECONDS_OF_WORK / (time.perf_counter() - started)))

    def repeat() -> None:
        for _ in range(times):
            step()

    return Job(repeat, times * _BATCH)
