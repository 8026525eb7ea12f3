"""Dispatch of models to the native kernels: equal results, and cases in which PyTorch's modules must be used."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from seqhub.models.registry import build_config, build_model, list_presets
from seqhub.native import dispatch, loader
from tests.helpers import forked_process
from tests.helpers.cli_calls import output_of
from tests.helpers.native_cases import CELLS, SETS
from tests.helpers.training_processes import finish

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
IDS = torch.randint(1, 9, (9, 12), generator=torch.Generator().manual_seed(0))
LEFT = torch.arange(12) >= torch.arange(9).unsqueeze(1) % 5
GAP = LEFT & (torch.arange(12) != 8)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that records whether each call of a model ran natively."""
    calls: list[bool] = []
    run = dispatch.run

    def watched(*arguments: object) -> object:
        result = run(*arguments)
        calls.append(result is not None)
        return result

    monkeypatch.setattr(dispatch, "run", watched)
    return calls


@pytest.mark.parametrize("settings", [{}, {"pad_token_id": None}, {"inputs": "embedding", "embedding_size": 3}])
@pytest.mark.parametrize("cell", CELLS)
def test_a_model_can_be_trained_after_inference_mode(cell: str, settings: dict[str, object], ran: list[bool]) -> None:
    dispatch.one_hot_columns.cache_clear()
    network = model(cell, **settings)
    with torch.inference_mode():
        network(input_ids=IDS)
    network(input_ids=IDS, labels=torch.zeros(len(IDS), dtype=torch.long)).loss.backward()
    assert ran == [True, True]
    assert all(parameter.grad is not None for parameter in network.parameters())


def model(cell: str = "lstm", head: str = "sequence", **settings: object) -> nn.Module:
    torch.manual_seed(0)
    return build_model(build_config(cell, hidden_size=5, **settings), head).double().eval()


def run_both(ran, monkeypatch, net, **given):
    """Return outputs and gradients with the native library and with PyTorch's modules."""
    results = []
    for native in (True, False):
        monkeypatch.setenv("SEQHUB_KERNELS", "1" if native else "0")
        net.zero_grad()
        ran.clear()
        output = net(**given)
        assert ran == [native]
        output.loss.backward()
        results.append([output.logits.detach(), *[p.grad for p in net.parameters()]])
    return results


@pytest.mark.parametrize("mask", [LEFT, LEFT.flip(1), None], ids=["left", "right", "none"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", CELLS)
def test_same_results(ran, monkeypatch, cell, pooling, mask):
    for bidirectional, layers, inputs in ((False, 1, "one_hot"), (True, 2, "one_hot"), (False, 2, "embedding")):
        settings = {"embedding_size": 6} if inputs == "embedding" else {}
        net = model(cell, pooling=pooling, bidirectional=bidirectional, num_hidden_layers=layers, inputs=inputs,
                    **settings)  # fmt: skip
        native, expected = run_both(ran, monkeypatch, net, input_ids=IDS, attention_mask=mask, labels=IDS[:, 0] % 2)
        for one, two in zip(native, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_same_results_with_labels_per_step_and_with_values(ran, monkeypatch):
    net = model(head="token")
    pairs = [run_both(ran, monkeypatch, net, input_ids=IDS, attention_mask=LEFT, labels=IDS % 2)]
    net = model(inputs="values", num_features=2)
    values = torch.randn(9, 12, 2, dtype=torch.float64)
    pairs.append(run_both(ran, monkeypatch, net, input_values=values, attention_mask=LEFT, labels=IDS[:, 0] % 2))
    for native, expected in pairs:
        for one, two in zip(native, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_in_segments(ran, cell):
    net = model(cell, head="token", num_hidden_layers=2)
    whole = net(IDS)
    first = net(IDS[:, :5], use_cache=True)
    second = net(IDS[:, 5:], past_key_values=first.past_key_values, use_cache=True)
    assert ran == [True] * 3
    torch.testing.assert_close(torch.cat((first.logits, second.logits), dim=1), whole.logits, rtol=0, atol=1e-12)
    assert second.past_key_values.steps == 12


def unsupported_cases():
    def hooked(net):
        net.model.layers[0].recurrence.register_forward_hook(lambda *_: None)

    def replaced(net):
        class Other(nn.LSTM):
            pass

        other = Other(8, 5, batch_first=True).double()
        other.load_state_dict(net.model.layers[0].recurrence.state_dict())
        net.model.layers[0].recurrence = other

    def half(net):
        net.bfloat16()

    nothing = lambda net: None  # noqa: E731
    yield "a mask with gaps", nothing, {"attention_mask": GAP}
    yield "all states requested", None, {}
    yield "hook", hooked, {}
    yield "another class", replaced, {}
    yield "another type", half, {}


@pytest.mark.parametrize(
    ("change", "given"), [case[1:] for case in unsupported_cases()], ids=[c[0] for c in unsupported_cases()]
)
def test_unsupported_models_use_torch(ran, monkeypatch, change, given):
    net, reference = model(), model()
    monkeypatch.setenv("SEQHUB_KERNELS", "1")
    if change is None:
        net(IDS, output_hidden_states=True)
        assert ran == []
        return
    change(net), change(reference)
    found = net(IDS, **given).logits
    assert ran == [False]
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    assert torch.equal(found, reference(IDS, **given).logits)


def test_transforms_use_torch(ran):
    net = model()
    parameters = dict(net.named_parameters())

    def loss(parameters):
        return torch.func.functional_call(net, parameters, (IDS,)).logits.square().sum()

    gradients = torch.func.grad(loss)(parameters)
    assert True not in ran
    loss(parameters).backward()
    assert ran[-1]
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, parameters[name].grad)


def test_dropout_and_checkpointing_use_torch(ran):
    net = model(num_hidden_layers=2, dropout=0.5).train()
    net(IDS)
    assert ran == []
    net.eval()(IDS)
    assert ran == [True]
    net = model().train()
    net.activation_checkpointing_enable()
    net(IDS)
    assert ran == [True]


def test_ids_out_of_range_are_errors():
    with pytest.raises(ValueError, match=r"input_ids must be in \[0, 9\), got \d to 9"):
        model()(torch.where(IDS == 8, 9, IDS))


def test_rows_without_a_real_step_are_errors():
    mask = LEFT.clone()
    mask[3] = False
    with pytest.raises(ValueError, match="row 3 is all padding"):
        model()(IDS, mask)


@pytest.mark.slow
def test_the_library_may_be_missing(monkeypatch, tmp_path):
    code = (
        "import warnings\nwarnings.simplefilter('error')\n"
        "from pathlib import Path\nfrom seqhub.native import loader\n"
        f"loader.PATH = Path({str(tmp_path / 'none.so')!r})\n"
        "import torch\nfrom seqhub.models.registry import build_config, build_model\n"
        "build_model(build_config('lstm'), 'sequence')(torch.ones(2, 3, dtype=torch.long))\n"
        "print(loader.reason())\n"
    )
    for content, reason in ((None, "not built"), (b"no library", "cannot be loaded")):
        if content is not None:
            (tmp_path / "none.so").write_bytes(content)
        ended, out, errors = finish(forked_process.Process(["-c", code], cwd=tmp_path, env=dict(os.environ)))
        assert ended == 0, errors
        assert out.startswith(reason), out


def test_a_library_of_another_version_is_not_used():
    """Its structs may differ."""
    code = "from seqhub.native import loader\nloader.ABI_VERSION += 1\nprint(loader.reason())\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "built from another version of seqhub; install seqhub again\n"


def test_env_shows_the_instruction_set(monkeypatch):
    monkeypatch.delenv("SEQHUB_KERNELS", raising=False)
    shown = json.loads(output_of("env", "--json"))
    assert (shown["recurrence"], shown["reason"]) == (SETS[0], None)
    assert output_of("env", "--quiet") == f"{SETS[0]}\n"
    assert f"native ({SETS[0]})" in output_of("env")
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    assert "torch (turned off by SEQHUB_KERNELS=0)" in output_of("env")


def test_every_recurrent_preset_is_supported(ran):
    supported = [preset for preset in list_presets() if preset in CELLS]
    assert supported == sorted(CELLS)
    for preset in supported:
        model(preset)(IDS)
    assert ran == [True] * len(supported)


@pytest.mark.slow
def test_dispatch_is_loaded_with_the_models():
    for first in ("import seqhub, transformers.modeling_utils", "import transformers.modeling_utils, seqhub"):
        code = f"{first}; import sys; print('seqhub.native.dispatch' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=100,
            env=os.environ | {"SEQHUB_NO_HOOK": "1"},
        )  # fmt: skip
        assert done.stdout == "True\n", done.stderr


def test_torch_is_used_if_it_is_faster(ran):
    for preset, hidden, batch, steps, native in (
        ("lstm", 128, 32, 3, True),
        ("lstm", 128, 33, 3, False),
        ("lstm", 128, 1, 3, False),
        ("lstm", 16, 1, 1, True),
        ("gru", 128, 2, 3, True),
        ("gru", 128, 1, 3, False),
        ("rnn_tanh", 129, 32, 3, False),
        ("rnn_tanh", 4, 32, 2, True),
        ("rnn_relu", 4, 32, 1, False),
    ):
        net = build_model(build_config(preset, hidden_size=hidden), "sequence")
        net(torch.ones(batch, steps, dtype=torch.long))
        assert ran.pop() == native, (preset, hidden, batch, steps)
    for preset, features, batch, steps, native in (
        ("lstm", 128, 32, 8, True),
        ("lstm", 129, 32, 8, False),
        ("lstm", 128, 33, 8, False),
        ("lstm", 8, 33, 8, True),
        ("lstm", 1, 1, 8, False),
        ("lstm", 1, 7, 8, True),
        ("gru", 256, 32, 8, True),
        ("gru", 257, 32, 8, False),
        ("rnn_relu", 128, 32, 4, True),
        ("rnn_relu", 4, 1, 4, False),
        ("rnn_tanh", 768, 32, 8, False),
    ):
        net = build_model(build_config(preset, hidden_size=16, inputs="values", num_features=features), "sequence")
        net(input_values=torch.ones(batch, steps, features))
        assert ran.pop() == native, (preset, features, batch, steps)


def test_the_signature_for_saved_models_does_not_change():
    """Modelling files in saved folders call `run` with these arguments; a change requires a new function."""
    import inspect

    names = ["inputs", "mask", "layers", "cell", "vocab_size", "pad_token_id", "h_0", "c_0", "output_states"]
    assert list(inspect.signature(dispatch.run).parameters) == names
    assert loader.reason() is None
