"""A training step of a recurrence, native and by torch's module: forward and backward, by length, width and batch.

The baseline is torch's module on prepared one-hot tensors, read at the last step. seqhub gets ids. "library" has only
the native calls, as from another program; "autograd" adds torch's operator and its backward pass, whose overhead of
some tens of microseconds is most of a small step. Both compute the gradients of all weights. Time is that of the
processor, of one thread.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.timing import Goal, Job, Row, compare
from seqhub.native.operator import Call, recurrence

_SYMBOLS = 8
_CLOCK = time.process_time
_SECONDS_OF_WORK = 0.1  # work of each side in each round, at the speed of its first step
_LENGTHS, _WIDTHS, _BATCHES = (8, 32, 110, 330, 1000), (4, 8, 16, 32, 64, 128), (1, 4, 32, 256, 1024)
_STANDARD = (4, 110, 32)  # width, steps, batch
_GOALS = {
    ("rnn_tanh", 4): 100,
    ("gru", 4): 60,
    ("lstm", 4): 25,
    ("lstm", 16): 6,
    ("lstm", 64): 2.2,
}  # goals of the library
_CELLS = ("rnn_tanh", "gru", "lstm")


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [row for case in cases() for row in _rows(*case, rounds)]


def cases() -> list[tuple[str, int, int, int]]:
    """Return cell, width, steps and batch: every width of each cell, and lengths and batches of the LSTM."""
    width, steps, batch = _STANDARD
    found = [(cell, each, steps, batch) for cell in _CELLS for each in _WIDTHS]
    found += [("lstm", width, each, batch) for each in _LENGTHS]
    found += [("lstm", width, steps, each) for each in _BATCHES]
    found.append(("lstm", 16, 1000, batch))
    # gradients that vanish, because the modules have PyTorch's initialization and are read at the last step
    found += [
        (*each, long, batch) for each in (("lstm", 8), ("lstm", 32), ("lstm", 64), ("gru", 16)) for long in (512, 1000)
    ]
    return list(dict.fromkeys(found))


def _rows(cell: str, hidden: int, steps: int, batch: int, rounds: int) -> list[Row]:
    module = _module(cell, hidden)
    weights = module.all_weights[0]
    ids = torch.randint(0, _SYMBOLS, (batch, steps))
    vectors, columns = torch.eye(_SYMBOLS)[ids], torch.arange(_SYMBOLS, dtype=torch.int32)
    d_last = torch.randn(batch, hidden)

    def plain() -> None:
        module.zero_grad(set_to_none=True)
        module(vectors)[0][:, -1].backward(d_last)

    def autograd() -> None:
        module.zero_grad(set_to_none=True)
        recurrence(ids, weights, cell, columns=columns, output_states=False)[1][0].backward(d_last)

    values = [weight.detach() for weight in weights]
    call = Call(ids, columns, None, values, cell, bidirectional=False, output_states=False, instruction_set="")
    saved = torch.empty(call.saved_bytes(), dtype=torch.uint8)
    outputs = torch.empty(0), torch.empty(1, batch, hidden), torch.empty(1, batch, hidden)
    gradients = [torch.empty_like(value) for value in values]
    none = (None,) * 3
    forward, held = call.problem("forward", ids, none[:2], saved, outputs, none * 2, values)
    given = (None, d_last.unsqueeze(0), None, *none)
    backward, held_too = call.problem("backward", ids, none[:2], saved, none, given, [*values, *gradients])

    def library() -> list[Tensor]:
        assert call.library.forward(forward) == call.library.backward(backward) == 0
        return gradients

    _check(plain, autograd, library, weights)
    theirs = _job(plain, batch)
    standard = (steps, batch) == _STANDARD[1:]
    floor: Goal | None = ("ratio", ">=", 1) if standard else None  # not slower at any of the standard sizes
    goal: Goal | None = ("ratio", ">=", _GOALS.get((cell, hidden), 1)) if standard else None
    name = f"{cell} {hidden}, T={steps}, B={batch}"
    rows = [
        compare(f"{name}, library", theirs, _job(library, batch), rounds, unit="sequences/s", goal=goal, clock=_CLOCK),
        compare(
            f"{name}, autograd", theirs, _job(autograd, batch), rounds, unit="sequences/s", goal=floor, clock=_CLOCK
        ),
    ]
    del held, held_too  # memory that the library's calls point to
    return rows


def _module(cell: str, hidden: int) -> nn.RNNBase:
    if cell in ("gru", "lstm"):
        return {"gru": nn.GRU, "lstm": nn.LSTM}[cell](_SYMBOLS, hidden, batch_first=True)
    return nn.RNN(_SYMBOLS, hidden, batch_first=True, nonlinearity=cell.removeprefix("rnn_"))


def _check(
    plain: Callable[[], None], autograd: Callable[[], None], library: Callable[[], list[Tensor]], weights: list[Tensor]
) -> None:
    """Assert that all three give the same gradients."""
    plain()
    wanted = [weight.grad for weight in weights]
    autograd()
    for native in ([weight.grad for weight in weights], library()):
        for one, two in zip(native, wanted, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def _job(step: Callable[[], object], batch: int) -> Job:
    step()
    started = _CLOCK()
    step()
    times = max(1, int(_SECONDS_OF_WORK / (_CLOCK() - started)))

    def repeat() -> None:
        for _ in range(times):
            step()

    return Job(repeat, times * batch)
