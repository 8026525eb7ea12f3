"""Libraries that replace, move, add or wrap modules: quantization, offloading, PEFT, DataParallel."""

from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload, load_checkpoint_and_dispatch
from torch import Tensor, nn

from seqhub.models.registry import build_config, build_model, list_heads, list_presets
from tests.helpers.model_families import CASES, build, padded, rows_for

CELLS = list_presets("input_ids", head="causal")
IDS = torch.randint(1, 9, (5, 12), generator=torch.Generator().manual_seed(0))
IDS[1, 8:] = IDS[3, :2] = 0


def make(cell: str, head: str = "sequence", **settings: Any) -> Any:
    torch.manual_seed(0)
    return build_model(build_config(cell, num_labels=4, hidden_size=8, **settings), head).eval()


def first(output: Any) -> Tensor:
    names = ("logits", "pooler_output", "last_hidden_state")  # the last of encoder-decoders without a head
    return output[next(name for name in names if name in output)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantiz.*:UserWarning")
def test_dynamic_quantization():
    for cell in CELLS:
        for head in list_heads("recurrent"):
            model = make(cell, head, num_hidden_layers=2)
            small = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.Linear}, dtype=torch.qint8)
            torch.testing.assert_close(first(small(IDS)), first(model(IDS)), rtol=0, atol=0.1)
            states = small(IDS, output_hidden_states=True)
            expected = model(IDS, output_hidden_states=True)
            for name in ("hidden_states", "cell_states"):
                if (expected_states := getattr(expected, name)) is not None:
                    for one, two in zip(getattr(states, name), expected_states, strict=True):
                        torch.testing.assert_close(one, two, rtol=0, atol=0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dynamic_quantization_of_other_families():
    for case in (each.values[0] for each in CASES):
        model = build(case)
        small = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.Linear}, dtype=torch.qint8)
        values, mask = padded(rows_for(case, 1), "right", case.shape.steps[1])
        found, expected = (each(input_values=values, attention_mask=mask) for each in (small, model))
        torch.testing.assert_close(first(found), first(expected), rtol=0, atol=0.2)


@pytest.mark.parametrize("where", ["cpu", "disk"])
def test_offloading(tmp_path, where):
    for cell in CELLS:
        model = make(cell, num_hidden_layers=2)
        expected = model(IDS, output_hidden_states=True)
        if where == "cpu":
            cpu_offload(model, execution_device="cpu")
        else:
            disk_offload(model, str(tmp_path / cell), execution_device="cpu")
        assert all(parameter.is_meta for parameter in model.parameters())
        torch.testing.assert_close(model(IDS).logits, expected.logits, rtol=0, atol=1e-6)
        found = model(IDS, output_hidden_states=True)
        for one, two in zip(found.cell_states or (), expected.cell_states or (), strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_offloading_other_families():
    for case in (each.values[0] for each in CASES):
        model = build(case)
        values, mask = padded(rows_for(case, 1), "right", case.shape.steps[1])
        expected = first(model(input_values=values, attention_mask=mask))
        cpu_offload(model, execution_device="cpu")
        torch.testing.assert_close(first(model(input_values=values, attention_mask=mask)), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_loading_to_several_devices(tmp_path):
    for cell in CELLS:
        model = make(cell, num_hidden_layers=2)
        model.save_pretrained(tmp_path / cell)
        expected = model(IDS).logits
        device_map = {"model.layers.0": "cpu", "model.layers.1": "disk", "classifier": "cpu"}
        spread = load_checkpoint_and_dispatch(
            make(cell, num_hidden_layers=2), str(tmp_path / cell / "model.safetensors"), device_map,
            offload_folder=str(tmp_path / "offload" / cell), force_hooks=True,
        )  # fmt: skip
        torch.testing.assert_close(spread(IDS).logits, expected, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_peft():
    peft = pytest.importorskip("peft")
    for cell in CELLS:
        for head, task in (("sequence", "SEQ_CLS"), ("token", "TOKEN_CLS"), ("causal", "CAUSAL_LM")):
            target = "embed_tokens"  # PEFT trains all weights of classification heads
            config = peft.LoraConfig(task_type=task, target_modules=[target], r=2)
            model = make(cell, head, inputs="embedding", embedding_size=6)
            expected = model(IDS).logits
            adapted = peft.get_peft_model(model, config)
            found = adapted(input_ids=IDS, attention_mask=(IDS != 0).long(), token_type_ids=torch.zeros_like(IDS))
            torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-6)
            labels = {"sequence": IDS[:, 0] % 4, "token": IDS % 4, "causal": IDS}[head]
            adapted(input_ids=IDS, labels=labels).loss.backward()
            assert any(p.grad is not None for name, p in adapted.named_parameters() if "lora" in name)


def test_data_parallel():
    model = make("lstm")
    wrapper = nn.DataParallel(model)
    assert torch.equal(wrapper(IDS).logits, model(IDS).logits)
