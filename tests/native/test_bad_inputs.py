"""Invalid inputs of the native recurrence give an error of one line, not a crash or a wrong result."""

import gc
import struct
import warnings

import numpy as np
import pytest
import torch

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.native.loader import library, memory_block_functions
from seqhub.native.memory_blocks import Units
from seqhub.native.operator import recurrence
from tests.helpers.native_cases import CELLS, SETS, Case, assert_same, of_seqhub

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
OF_VALUES = {"by_ids": False, "double": True}


def run(case: Case, **other: object) -> object:
    arguments = {
        "inputs": case.inputs,
        "weights": case.weights,
        "cell": case.cell,
        "columns": case.columns,
        "spans": case.spans,
        "bidirectional": case.directions == 2,
    }
    return recurrence(**arguments | other)


def changed(tensor: torch.Tensor, where: tuple[int, ...], value: int) -> torch.Tensor:
    tensor = tensor.clone()
    tensor[where] = value
    return tensor


IDS, VALUES = Case("lstm", side="right"), Case("lstm", **OF_VALUES)
INVALID = {
    "id too large": (IDS, lambda c: {"inputs": changed(c.inputs, (2, 0), 4)}, r"\[0, 4\), got \d to 4"),
    "id negative": (IDS, lambda c: {"inputs": changed(c.inputs, (2, 0), -1)}, "got -1 to"),
    "id huge": (IDS, lambda c: {"inputs": changed(c.inputs, (0, 0), 2**62)}, f"to {2**62}"),
    "ids of another type": (IDS, lambda c: {"inputs": c.inputs.int()}, "torch.int32; need ids"),
    "ids of three dimensions": (IDS, lambda c: {"inputs": c.inputs.unsqueeze(0)}, "need ids"),
    "no row": (IDS, lambda c: {"inputs": c.inputs[:0]}, "all sizes at least 1"),
    "no step": (IDS, lambda c: {"inputs": c.inputs[:, :0]}, "all sizes at least 1"),
    "length zero": (IDS, lambda c: {"spans": changed(c.spans, (1, 3), 0)}, "row 3 has 0 steps"),
    "length negative": (IDS, lambda c: {"spans": changed(c.spans, (1, 3), -5)}, "row 3 has -5 steps"),
    "length beyond": (IDS, lambda c: {"spans": changed(c.spans, (1, 3), 8)}, "row 3 has 8 steps"),
    "length huge": (IDS, lambda c: {"spans": changed(c.spans, (1, 3), 2**63 - 1)}, "row 3 has"),
    "start negative": (IDS, lambda c: {"spans": changed(c.spans, (0, 1), -1)}, "row 1 has"),
    "start beyond": (IDS, lambda c: {"spans": changed(c.spans, (0, 1), 7)}, "from step 7 on"),
    "start huge": (IDS, lambda c: {"spans": changed(c.spans, (0, 1), 2**63 - 1)}, "row 1 has"),
    "spans of other rows": (IDS, lambda c: {"spans": c.spans[:, :3]}, r"spans \(2, 3\)"),
    "spans of another type": (IDS, lambda c: {"spans": c.spans.int()}, "need .* torch.int64"),
    "column beyond": (
        IDS,
        lambda c: {"columns": changed(c.columns, (1,), 3)},
        "columns: must be at least -1 and below 3",
    ),
    "column negative": (
        IDS,
        lambda c: {"columns": changed(c.columns, (1,), -2)},
        "columns: must be at least -1 and below 3",
    ),
    "no columns": (IDS, lambda c: {"columns": None}, "need values"),
    "columns of another type": (IDS, lambda c: {"columns": c.columns.long()}, "torch.int32"),
    "columns with values": (VALUES, lambda c: {"columns": IDS.columns}, "need ids"),
    "other features": (VALUES, lambda c: {"inputs": c.inputs[..., :2]}, "2 features; weight_ih has 3"),
    "values of another type": (VALUES, lambda c: {"inputs": c.inputs.float()}, "torch.float32"),
    "unknown cell": (IDS, lambda c: {"cell": "lstn"}, "cell='lstn': must be one of rnn_tanh, rnn_relu, gru, lstm"),
    "weights of another cell": (IDS, lambda c: {"cell": "gru"}, r"need \(12, 3\)"),
    "too few weights": (IDS, lambda c: {"weights": c.weights[:3]}, "need 4 of each layer"),
    "weights of one direction": (IDS, lambda c: {"bidirectional": True}, "need 8 of each layer"),
    "half precision": (IDS, lambda c: {"weights": [w.half() for w in c.weights]}, "need float32 or float64"),
    "mixed precision": (IDS, lambda c: {"weights": [c.weights[0], *[w.float() for w in c.weights[1:]]]}, "weight 1"),
    "no weights": (IDS, lambda c: {"weights": []}, "0 weights"),
    "h_0 of other rows": (IDS, lambda c: {"h_0": c.h_0[:, :2]}, "h_0"),
    "c_0 of another type": (IDS, lambda c: {"c_0": c.c_0.float()}, "c_0"),
    "unknown instruction set": (IDS, lambda c: {"instruction_set": "avx1024"}, "known: .*baseline"),
}


@pytest.mark.parametrize("name", INVALID)
def test_error_of_one_line(name):
    case, change, message = INVALID[name]
    run(case)
    with pytest.raises(ValueError, match=message) as error:
        run(case, **change(case))
    assert "\n" not in str(error.value)


def test_cell_states_are_for_lstm_only():
    case = Case("gru")
    with pytest.raises(InvalidInputError, match="c_0 is only for cell 'lstm'"):
        run(case, c_0=case.c_0)


@pytest.mark.parametrize("cell", CELLS)
def test_tensors_that_are_not_contiguous(cell):
    """Inputs may be parts of larger tensors, and are not modified."""
    for by_ids in (True, False):
        case = Case(cell, batch=6, by_ids=by_ids, start=True)
        expected = of_seqhub(case)
        case.inputs = torch.stack((case.inputs, case.inputs + 1), dim=-1)[..., 0]
        case.spans = case.spans.t().contiguous().t()
        case.h_0 = case.h_0.transpose(0, 2).contiguous().transpose(0, 2)
        case.d_outputs = [torch.stack((each, each), dim=-1)[..., 1] for each in case.d_outputs]
        assert not case.inputs.is_contiguous()
        assert_same(of_seqhub(case), expected, 0)
        expanded = torch.ones((), dtype=torch.float64).expand(1, 6, 4)
        run(case, h_0=expanded)


def test_sizes_beyond_the_limit():
    weights = [torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), torch.zeros(1)]
    ids, columns = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int32)
    for shape in ((2**40, 2**20), (2**31, 1), (1, 2**31)):  # one id, expanded
        with pytest.raises(InvalidInputError, match="all sizes at least 1 and below 2147483648"):
            recurrence(ids.expand(shape), weights, "rnn_tanh", columns=columns, output_states=False)


def test_failed_allocation_of_activations():
    """The allocation is the only error; the destructor of the incomplete object does not raise another one."""
    from seqhub.native.reused_memory import Activations

    with pytest.raises(RuntimeError, match="memory"):
        Activations(1 << 62)
    gc.collect()  # an exception in `__del__` would be a warning, and so an error
    assert Activations(8).memory.numel() >= 8


def test_read_only_arrays(tmp_path):
    """Arrays are mapped from files opened for reading, so that writing would crash the process."""
    for by_ids in (True, False):
        case = Case("lstm", by_ids=by_ids, start=True)
        expected = of_seqhub(case)
        for name in ("inputs", "spans", "h_0", "c_0"):
            path = tmp_path / f"{name}.npy"
            np.save(path, getattr(case, name).numpy())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns that the array is not writable
                setattr(case, name, torch.from_numpy(np.load(path, mmap_mode="r")))
        options = {"columns": case.columns, "spans": case.spans, "h_0": case.h_0, "c_0": case.c_0}
        weights = [weight.detach().requires_grad_() for weight in case.weights]
        outputs = recurrence(case.inputs, weights, "lstm", **options)
        torch.autograd.backward(outputs, case.d_outputs)
        found = dict(zip(("states", "h_n", "c_n"), outputs, strict=True))
        found |= {f"d_weight_{number}": weight.grad for number, weight in enumerate(weights)}
        assert_same(found, {name: expected[name] for name in found}, 0)


def test_sizes_that_overflow():
    from seqhub.native.operator import _num_bytes

    with pytest.raises(MemoryError, match="does not fit"):
        _num_bytes(library(), "saved_bytes", (3, 1, 2**30, 2, 2**30, 2**30, 1, 2**30, 0), (True, True, True))


@pytest.mark.parametrize("instruction_set", SETS)
def test_the_library_rejects_sizes_that_overflow(instruction_set):
    """Regression: the library accepted any memory as sufficient, and wrote beyond it."""
    byte, wide = torch.zeros(1, dtype=torch.uint8), 2**30
    given = library(instruction_set)
    for saved in (0, byte.data_ptr()):
        sizes = (3, 1, 1, 1, 1, 1, 1, wide, 0)
        problem = struct.pack("27q", *sizes, *(0,) * 5, saved, -1, byte.data_ptr(), 1, *(0,) * 9)
        assert given.forward(problem) == given.backward(problem) == 1
    blocks = memory_block_functions(instruction_set)
    for scratch, train in ((given.train_scratch, given.train), (blocks["train_scratch"], blocks["train"])):
        sizes = (3, 1, 1, 1, wide, wide, 0, 0, wide, 0, wide, 0, 1)
        numbers = (*sizes, *(0.0,) * 7, 1, 1, 1, 1, *(0,) * 10, byte.data_ptr(), 1, 1, 1, 1, 0, 0, 0, 1, 0)
        problem = struct.pack("13q7d4q12q8q", *numbers)
        assert scratch(problem) == -1
        assert train(problem) == 1


@pytest.mark.parametrize("block_size", [2, 0, -1, 4])
def test_blocks_that_do_not_divide_the_cells(block_size):
    """Regression: the library read and wrote gates beyond the last one."""
    with pytest.raises(InvalidConfigError, match="must divide cells=3"):
        Units(3, block_size)
