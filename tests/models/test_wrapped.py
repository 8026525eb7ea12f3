"""Wrapped models: any module and any model of transformers, with heads, padding, state, saving and clear errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModel, AutoModelForTokenClassification

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.registry import build_config, build_model
from seqhub.models.wrapped.modeling_wrapped import WrappedState, map_tensors

MODULES = Path(__file__).parent / "modules.py"
CAUSAL = [f"{MODULES}:Ids", f"{MODULES}:Vectors", f"{MODULES}:TimeFirst", f"{MODULES}:make_vectors", "torch.nn:LSTM"]
TYPES = ["transformers:llama", "transformers:mamba2", "transformers:rwkv", "transformers:recurrent_gemma"]
SMALL = "hidden_size=16"


def build(model: str, head: Any = "token", **overrides: Any) -> Any:
    torch.manual_seed(0)
    sizes = {} if "num_features" in overrides else {"vocab_size": 7}
    return build_model(build_config(f"{model}?{SMALL}", **sizes, num_labels=3, **overrides), head).eval()


def padded(rows: list[Tensor], side: str) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows)) + 2
    ids, mask = torch.full((len(rows), width), 6), torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        start = {"left": width - len(row), "right": 0, "middle": 1}[side]
        ids[number, start : start + len(row)], mask[number, start : start + len(row)] = row, 1
    return ids, mask


@pytest.mark.parametrize("model", [*CAUSAL, *TYPES])
@pytest.mark.parametrize("head", ["sequence", "token", "causal"])
def test_outputs_do_not_depend_on_padding_or_other_rows(model: str, head: str) -> None:
    net = build(model, head)
    rows = [torch.randint(1, 7, (length,)) for length in (5, 1, 9)]
    with torch.no_grad():
        alone = [net(input_ids=row[None]).logits[0] for row in rows]
        for side in ("left", "right", "middle"):
            ids, mask = padded(rows, side)
            logits = net(input_ids=ids, attention_mask=mask).logits
            steps = [] if head == "sequence" else [each[real.bool()] for each, real in zip(logits, mask, strict=True)]
            for one, two in zip(alone, logits if head == "sequence" else steps, strict=True):
                torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-4)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6).filter(any), min_size=1, max_size=4))
@settings(max_examples=25)
def test_padded_steps_may_be_anywhere(masks: list[list[bool]]) -> None:
    net = build("torch.nn:GRU")
    ids, mask = torch.randint(1, 7, (len(masks), 6)), torch.tensor(masks)
    with torch.no_grad():
        logits = net(input_ids=ids, attention_mask=mask).logits
        for number, real in enumerate(mask):
            alone = net(input_ids=ids[number, real][None]).logits[0]
            torch.testing.assert_close(logits[number, real], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", [f"{MODULES}:Vectors", f"{MODULES}:TimeFirst", "torch.nn:LSTM", "transformers:llama"])
def test_real_values(model: str) -> None:
    net = build(model, "sequence", num_features=2)
    values = torch.randn(2, 5, 2)
    loss = net(input_values=values, labels=torch.tensor([0, 1])).loss
    loss.backward()
    unused = [name for name, each in net.named_parameters() if each.requires_grad and each.grad is None]
    assert not unused, "processes of a distributed run would wait for these gradients"
    with pytest.raises(ValueError, match=r"input_values must be \(batch, steps, 2\), got \(2, 5, 3\)"):
        net(input_values=torch.randn(2, 5, 3))


def test_a_module_of_ids_does_not_take_real_values() -> None:
    with pytest.raises(InvalidConfigError, match="reads ids, as it has an argument vocab_size"):
        build(f"{MODULES}:Ids", "sequence", num_features=2)


def test_the_time_axis_and_the_width_are_measured() -> None:
    assert build(f"{MODULES}:TimeFirst").config.time_first
    assert not build("torch.nn:LSTM").config.time_first
    assert build(f"{MODULES}:Vectors").config.output_size == 19
    assert not build_model(build_config("torch.nn:LSTM", bidirectional=True), "token").config.causal
    assert not build(f"{MODULES}:LooksAhead").config.causal


def test_a_module_that_looks_ahead_needs_rows_of_one_length() -> None:
    net = build(f"{MODULES}:LooksAhead", "sequence")
    net(input_ids=torch.ones(2, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="all rows of a batch must have the same length"):
        net(input_ids=torch.ones(2, 4, dtype=torch.long), attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    with pytest.raises(InvalidConfigError, match="reads later steps, so it cannot predict next ids"):
        build(f"{MODULES}:LooksAhead", "causal")


@pytest.mark.parametrize(
    "model", [f"{MODULES}:TimeFirst", "torch.nn:LSTM", "transformers:mamba2", "transformers:llama"]
)
def test_a_carried_state_continues_a_sequence(model: str) -> None:
    net = build(model)
    ids = torch.randint(1, 7, (3, 12))
    with torch.no_grad():
        whole = net(input_ids=ids).logits
        first = net(input_ids=ids[:, :5], use_cache=True)
        second = net(input_ids=ids[:, 5:], use_cache=True, past_key_values=first.past_key_values.detach())
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole, atol=2e-5, rtol=1e-4)
    assert second.past_key_values.steps == 12


def test_a_module_without_a_state() -> None:
    with pytest.raises(ValueError, match="has no state that can be carried on"):
        build(f"{MODULES}:Ids")(input_ids=torch.ones(1, 3, dtype=torch.long), use_cache=True)


def test_a_state_is_detached_in_all_its_parts() -> None:
    tensor = torch.ones(2, requires_grad=True) * 2
    state = WrappedState({"a": [tensor, (tensor, 3)], "b": None}).detach()
    assert not state.inner["a"][0].requires_grad
    assert not state.inner["a"][1][0].requires_grad
    assert state.inner["a"][1][1] == 3
    assert tensor.requires_grad
    assert map_tensors("text", torch.neg) == "text"


@pytest.mark.parametrize(
    "model", [f"{MODULES}:Ids", f"{MODULES}:TimeFirst", "transformers:llama", "torchrecurrent:MGU"]
)
def test_a_saved_model_loads_with_equal_outputs(model: str, tmp_path: Path) -> None:
    if model.startswith("torchrecurrent"):
        pytest.importorskip("torchrecurrent")
    net = build(model)
    net.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path, trust_remote_code=True)
    ids = torch.randint(1, 7, (2, 6))
    assert torch.equal(net(input_ids=ids).logits, loaded(input_ids=ids).logits)
    body = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert body(input_ids=ids).last_hidden_state.shape == (2, 6, net.config.output_size)


def test_code_runs_only_with_consent(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = tmp_path / "net.py"
    file.write_text(f"from torch.nn import GRU\nopen({str(marker)!r}, 'w').close()\n\n\nclass Net(GRU):\n    pass\n")
    folder = tmp_path / "saved"
    build(f"{file}:Net").save_pretrained(folder)
    marker.unlink()
    with pytest.raises(ValueError, match=r"net.py:Net is defined by the file net.py; load the model with .*trust"):
        AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=False)
    assert not marker.exists()
    (folder / "net.py").write_text(file.read_text() + "\n# changed")
    with pytest.raises(ValueError, match="its SHA-256 is not the one in config"):
        AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=True)


def test_the_saved_file_is_the_one_that_was_imported(tmp_path: Path) -> None:
    """The user may edit the file during a run, or name a class that it imports from elsewhere."""
    file = tmp_path / "net.py"
    file.write_text("from torch.nn import GRU as Net\n")
    net = build(f"{file}:Net")
    file.write_text("raise SystemExit\n")
    net.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "net.py").read_text() == "from torch.nn import GRU as Net\n"
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved", trust_remote_code=True)
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "net.py").read_bytes() == (tmp_path / "saved" / "net.py").read_bytes()


def test_a_changed_file_is_not_imported(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    build(f"{MODULES}:Ids").save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "modules.py").write_text(f"open({str(marker)!r}, 'w')\n")
    with pytest.raises(ValueError, match="its SHA-256 is not the one in config"):
        AutoModelForTokenClassification.from_pretrained(tmp_path / "saved", trust_remote_code=True)
    assert not marker.exists()


def test_a_file_may_not_replace_one_of_seqhub(tmp_path: Path) -> None:
    (tmp_path / "tracing.py").write_text("from torch.nn import GRU\n")
    with pytest.raises(InvalidConfigError, match=r"tracing.py is the name of a file of seqhub; rename it"):
        build_config(f"{tmp_path / 'tracing.py'}:GRU")


def test_a_config_cannot_run_a_program(tmp_path: Path) -> None:
    """A config.json may name any package; nothing of it is called without consent."""
    build("torch.nn:GRU").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    marker = tmp_path / "ran"
    config |= {"source": "pathlib:Path.touch", "options": {"self": str(marker)}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="is defined by an installed package"):
        AutoModelForTokenClassification.from_pretrained(tmp_path, trust_remote_code=False)
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("model", [f"{MODULES}:Ids", "transformers:mamba2"])
def test_a_saved_model_loads_without_seqhub(model: str, tmp_path: Path) -> None:
    net = build(model)
    net.save_pretrained(tmp_path)
    ids = torch.randint(1, 7, (2, 6))
    program = (
        "import sys, json, torch\nsys.modules['seqhub'] = None\n"
        "from transformers import AutoModelForTokenClassification as Auto\n"
        f"net = Auto.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)\n"
        f"print(json.dumps(net(input_ids=torch.tensor({ids.tolist()})).logits.tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    torch.testing.assert_close(found, net(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("no/such.py:Net", InvalidConfigError, "no/such.py: No such file or directory"),
        (f"{MODULES}:Nit", UnknownNameError, "no class or function in .*modules.py named 'Nit'; known: .*Ids.*Vectors"),
        (f"{MODULES}:NOT_A_MODULE", UnknownNameError, "named 'NOT_A_MODULE'; known: .*Ids"),
        (f"{MODULES}:make_nothing", InvalidConfigError, "make_nothing returned NoneType; expected a torch.nn.Module"),
        (f"{MODULES}:NeedsMore", InvalidConfigError, "argument rank has no default; give it as .*NeedsMore.rank=VALUE"),
        (f"{MODULES}:Pooled", InvalidConfigError, r"returned a tensor \(3, 16\) for 3 sequences of 5 steps; expected"),
        (f"{MODULES}:Fails", InvalidConfigError, "RuntimeError: "),
        (f"{MODULES}:AcrossRows", InvalidConfigError, "a sequence of the batch changes the hidden states of another"),
        ("no_such_package.nets:Net", InvalidConfigError, "no_such_package is not installed; try: pip install"),
        ("torch.nn:NoSuch", UnknownNameError, "no class or function in torch.nn named 'NoSuch'; known: .*LSTM"),
        ("transformers:mumba", UnknownNameError, "no model type of transformers 'mumba'; known: .*mamba"),
        (
            "transformers:mamba?hiden_size=3",
            UnknownNameError,
            "no option of model transformers:mamba named 'hiden_size'",
        ),
        ("fla:gated_deltanet", InvalidConfigError, "flash-linear-attention (is not installed|need a GPU)"),
    ],
)
def test_a_model_that_cannot_be_made_is_an_error_of_one_line(model: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        build_model(build_config(model, hidden_size=16, vocab_size=7, num_labels=3), "token")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module_here\n", r"net.py cannot be imported \(line 1\): ModuleNotFoundError: No module named"),
        ("x = 1\ndef f(:\n", r"net.py cannot be imported \(line 2\): SyntaxError"),
        ("\n\nraise SystemExit(3)\n", r"net.py cannot be imported \(line 3\): SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_imported(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(source)
    with pytest.raises(InvalidConfigError, match=message):
        build_config(f"{tmp_path / 'net.py'}:Net")


def test_a_changed_file_is_imported_again(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    for width in (3, 4):
        file.write_text(f"from torch import nn\n\n\nclass Net(nn.GRU):\n    WIDTH = {width}\n")
        config: Any = build_config(f"{file}:Net")
        assert width == config.factory.WIDTH


def test_generation_needs_no_state() -> None:
    net = build(f"{MODULES}:Ids", "causal")
    ids = torch.tensor([[1, 2, 3]])
    found = net.generate(ids, max_new_tokens=4, do_sample=False)
    expected = ids
    for _ in range(4):
        expected = torch.cat([expected, net(input_ids=expected).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(found, expected)
    assert not bool((found == 0).any())


def test_exactly_one_input() -> None:
    net = build("torch.nn:GRU")
    with pytest.raises(ValueError, match="inputs none: must be input_ids or inputs_embeds"):
        net()
    with pytest.raises(ValueError, match="row 1 has no real step"):
        net(input_ids=torch.ones(2, 2, dtype=torch.long), attention_mask=torch.tensor([[1, 1], [0, 0]]))
