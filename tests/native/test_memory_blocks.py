"""Native memory cell blocks compared with the modules of torch, with every instruction set of the machine."""

import pytest
import torch
from torch import Tensor

from seqhub.errors import InvalidInputError
from seqhub.models.hs97.configuration_hs97 import Hs97Config
from seqhub.models.hs97.memory_blocks import MemoryBlocks
from seqhub.models.registry import build_config, build_model
from seqhub.native import dispatch
from seqhub.native.memory_blocks import Units, memory_blocks
from tests.helpers.native_cases import BLOCKS, SETS

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")


def units_of(config: Hs97Config, instruction_set: str) -> Units:
    return Units(
        cells=config.hidden_size,
        block_size=config.block_size,
        output_gates=config.output_gates,
        squash_input=config.squash_input,
        squash_output=config.squash_output,
        instruction_set=instruction_set,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("by_ids", [False, True])
@pytest.mark.parametrize("variant", BLOCKS)
@pytest.mark.parametrize("instruction_set", SETS)
def test_outputs_and_gradients_equal_those_of_the_module(instruction_set, variant, by_ids, start, dtype):
    """The module of torch runs on each row without padding."""
    torch.manual_seed(1)
    config = Hs97Config(**BLOCKS[variant])
    module, rows, steps, width = MemoryBlocks(config, 5).to(dtype), 4, 9, 5
    units = units_of(config, instruction_set)
    spans = torch.tensor([[0, 2, 0, 5], [9, 4, 1, 4]])
    ids = torch.randint(0, 6, (rows, steps))
    columns = torch.tensor([-1, 0, 1, 2, 3, 4], dtype=torch.int32)
    one_hot = torch.cat([torch.zeros(1, width), torch.eye(width)]).to(dtype)
    values = torch.randn(rows, steps, width, dtype=dtype)
    states = [torch.randn(rows, size, dtype=dtype) for size in (units.cells, units.count)] if start else None
    d_outputs = [torch.randn(rows, *shape, dtype=dtype) for shape in ((steps, units.cells), (units.cells,),
                                                                     (units.count,))]  # fmt: skip

    def run(natively: bool) -> list[Tensor]:
        module.zero_grad()
        given = values.clone().requires_grad_()
        first = None if states is None else states[0]
        memory = None if states is None else states[1].clone().requires_grad_()
        if natively:
            weights = module.weight_ih_l0, module.weight_hh_l0, module.bias_l0
            inputs = ids if by_ids else given
            found = memory_blocks(inputs, weights, units, columns=columns if by_ids else None, spans=spans,
                                  h_0=first, m_0=memory)  # fmt: skip
        else:
            parts = []
            for row, (begin, length) in enumerate(spans.T.tolist()):
                part = slice(begin, begin + length)
                inputs = one_hot[ids[row, part]] if by_ids else given[row, part]
                before = None if first is None else (first[None, row, None], memory[None, row, None])
                outputs, (h_n, m_n) = module(inputs[None], before)
                padded = torch.nn.functional.pad(outputs[0], (0, 0, begin, steps - begin - length))
                parts.append((padded, h_n[0, 0], m_n[0, 0]))
            found = tuple(torch.stack(each) for each in zip(*parts, strict=True))
        torch.autograd.backward(found, d_outputs)
        gradients = [parameter.grad.clone() for parameter in module.parameters()]
        gradients += [] if by_ids else [given.grad]
        gradients += [] if memory is None else [memory.grad]
        return [*(each.detach() for each in found), *gradients]

    tolerance = 1e-10 if dtype is torch.float64 else 1e-5
    for native, expected in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(native, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("head", ["sequence", "token"])
@pytest.mark.parametrize("settings", [{}, {"num_hidden_layers": 2}, {"inputs": "embedding", "embedding_size": 3}])
def test_models_run_natively_with_truncated_gradients_only(head, settings, monkeypatch):
    ran, run = [], dispatch.run

    def watched(*arguments: object) -> object:
        ran.append((result := run(*arguments)) is not None)
        return result

    monkeypatch.setattr(dispatch, "run", watched)
    torch.manual_seed(0)
    network = build_model(build_config("lstm_hs97", hidden_size=5, num_labels=3, **settings), head).double()
    ids = torch.randint(1, 9, (9, 12))
    mask = torch.arange(12) >= torch.arange(9).unsqueeze(1) % 5
    labels = torch.zeros(ids.shape[: 1 + (head == "token")], dtype=torch.long)
    results = []
    for native in (True, False):
        monkeypatch.setenv("SEQHUB_KERNELS", "1" if native else "0")
        network.zero_grad()
        output = network(input_ids=ids, attention_mask=mask, labels=labels)
        output.loss.backward()
        results.append([output.logits.detach(), *[parameter.grad for parameter in network.parameters()]])
    torch.testing.assert_close(*results, atol=1e-10, rtol=0)
    monkeypatch.setenv("SEQHUB_KERNELS", "1")
    for layer in network.model.layers:
        layer.recurrence.truncated = False
    network(input_ids=ids)
    with torch.no_grad():
        network(input_ids=ids)
    assert ran == [True, False, False, True]


def test_invalid_inputs_are_errors_of_one_line():
    module = MemoryBlocks(Hs97Config(hidden_size=2), 3)
    weights = module.weight_ih_l0, module.weight_hh_l0, module.bias_l0
    columns = torch.tensor([-1, 0, 1, 2], dtype=torch.int32)
    ids = torch.tensor([[1, 2, 3]])
    for given, settings, message in [
        (ids + 1, {"columns": columns}, r"input_ids must be in \[0, 4\), got 2 to 4"),
        (ids, {"columns": columns, "spans": torch.tensor([[2], [2]])}, "row 0 has 2 steps from step 2 on"),
        (ids, {"columns": columns + 1}, "columns: must be at least -1 and below 3"),
        (ids, {}, r"inputs \(1, 3\) torch.int64; need \(1, 3, 3\) torch.float32"),
        (ids, {"columns": columns, "h_0": torch.zeros(1, 2)}, "one of h_0 and m_0; need both or neither"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            memory_blocks(given, weights, Units(2), **settings)
