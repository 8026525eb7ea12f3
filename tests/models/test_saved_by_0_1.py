"""Model folders saved by version 0.1 load with equal logits, with the code of seqhub and with their saved code.

`saved_by_0_1.tar.xz` has four folders with weights, config.json and modelling files of version 0.1, and the logits of
its PyTorch code.
"""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import transformers

from seqhub.models.registry import HEADS, build_config, register_auto_classes
from seqhub.native import dispatch

NAMES = ("gru", "lstm", "lstm_hs97", "lstm_hs97_below")
REMOVED = {  # fields of lstm_hs97 in every config.json of 0.1
    "biased_units", "block_size", "connectivity", "gradient", "init_range", "output_gate_bias", "output_gates",
    "squash_input", "squash_output",
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(Path(__file__).with_name("saved_by_0_1.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    register_auto_classes()
    return folder


@pytest.fixture(scope="module")
def logits_of_saved_code(saved, tmp_path_factory) -> dict[str, torch.Tensor]:
    """Logits of the modelling files of version 0.1 on this processor, on which the rounding of PyTorch depends."""
    folder = tmp_path_factory.mktemp("logits")
    done = subprocess.run(
        [sys.executable, "-c", LOGITS_OF_SAVED_CODE, str(folder / "logits.pt"), *(str(saved / name) for name in NAMES)],
        env=os.environ | {"SEQHUB_KERNELS": "0", "SEQHUB_NO_HOOK": "1", "HF_MODULES_CACHE": str(folder)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(NAMES, torch.load(folder / "logits.pt"), strict=True))


def load(folder: Path) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return the model, an input and the logits of version 0.1."""
    expected = json.loads((folder / "expected.json").read_text())
    model, info = getattr(transformers, HEADS[expected["head"]]).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    return model.eval(), torch.tensor(expected["input_ids"]), torch.tensor(expected["logits"])


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_bitwise_equal(saved, logits_of_saved_code, monkeypatch, name):
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    model, ids, logits = load(saved / name)
    assert type(model).__name__.startswith("Hs97" if "hs97" in name else "Recurrent")
    assert torch.equal(model(ids).logits, logits_of_saved_code[name])
    torch.testing.assert_close(logits_of_saved_code[name], logits, rtol=0, atol=1e-6)  # those of another processor


@pytest.mark.parametrize("name", NAMES)
def test_models_are_saved_in_the_current_form(saved, logits_of_saved_code, tmp_path, monkeypatch, name):
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    before = json.loads((saved / name / "config.json").read_text())
    assert before.keys() >= REMOVED
    load(saved / name)[0].save_pretrained(tmp_path)
    after = json.loads((tmp_path / "config.json").read_text())
    if "hs97" in name:
        assert after["model_type"] == "seqhub_hs97"
        assert before.keys() - after.keys() == {"cell", "chrono_max_steps", "forget_bias", "latch"}
    else:
        assert before.keys() - after.keys() == REMOVED
    same = before.keys() & after.keys() - {"model_type", "architectures", "auto_map", "transformers_version"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    (tmp_path / "expected.json").write_bytes((saved / name / "expected.json").read_bytes())
    model, ids, logits = load(tmp_path)
    assert torch.equal(model(ids).logits, logits_of_saved_code[name])
    torch.testing.assert_close(logits_of_saved_code[name], logits, rtol=0, atol=1e-6)  # those of another processor


def test_classes_of_the_family_load_old_folders(saved):
    from seqhub.models.hs97 import Hs97Config, Hs97ForSequenceClassification
    from seqhub.models.recurrent import RecurrentConfig

    old = saved / "lstm_hs97"
    assert isinstance(Hs97ForSequenceClassification.from_pretrained(old).config, Hs97Config)
    assert isinstance(RecurrentConfig.from_pretrained(old), Hs97Config)
    assert isinstance(transformers.AutoConfig.from_pretrained(old), Hs97Config)
    assert type(transformers.AutoConfig.from_pretrained(saved / "gru")) is RecurrentConfig


def test_fields_of_other_families_are_errors():
    from seqhub.models.hs97 import Hs97Config
    from seqhub.models.recurrent import RecurrentConfig

    with pytest.raises(ValueError, match="block_size is a field of Hs97Config, got block_size=2 with cell='gru'"):
        RecurrentConfig(cell="gru", block_size=2)
    with pytest.raises(ValueError, match="cell='gru': must be 'lstm_hs97'"):
        Hs97Config(cell="gru")


def test_config_json_has_only_the_fields_of_the_family():
    gru, hs97 = (build_config(preset).to_dict() for preset in ("gru", "lstm_hs97"))
    assert not REMOVED & gru.keys()
    assert hs97.keys() >= REMOVED
    assert not {"cell", "forget_bias", "latch", "chrono_max_steps"} & hs97.keys()


LOGITS_OF_SAVED_CODE = """
import json, sys
import torch, transformers
from seqhub.models.registry import HEADS
found = []
for folder in sys.argv[2:]:
    expected = json.loads(open(folder + "/expected.json").read())
    auto_class = getattr(transformers, HEADS[expected["head"]])
    model = auto_class.from_pretrained(folder, trust_remote_code=True).eval()
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    found.append(model(torch.tensor(expected["input_ids"])).logits.detach())
torch.save(found, sys.argv[1])
"""

SAVED_CODE = """
import json, sys
import seqhub, torch, transformers
from transformers import PreTrainedModel
from seqhub.native import dispatch, loader
from seqhub.models.registry import HEADS
assert sys.modules["seqhub.kernels.hook"] is dispatch
run, ran = dispatch.run, []
def watched(*arguments):
    result = run(*arguments)
    ran.append(result is not None)
    return result
dispatch.run = watched
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    expected = json.loads(open(folder + "/expected.json").read())
    auto_class = getattr(transformers, HEADS[expected["head"]])
    model = auto_class.from_pretrained(folder, trust_remote_code=True).eval()
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    torch.testing.assert_close(model(torch.tensor(expected["input_ids"])).logits, torch.tensor(expected["logits"]))
print(json.dumps([loader.reason(), ran]))
"""


def test_saved_code_runs_natively(saved, tmp_path):
    """The modelling files of 0.1 look up `seqhub.kernels.hook`, the old name of `seqhub.native.dispatch`."""
    done = subprocess.run(
        [sys.executable, "-c", SAVED_CODE, *(str(saved / name) for name in NAMES)],
        env=os.environ | {"SEQHUB_NO_HOOK": "1", "HF_MODULES_CACHE": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reason, ran = json.loads(done.stdout)
    # With connectivity="below" a model is not run natively
    assert ran == [reason is None] * 3 + [False] if reason is None else not any(ran)
    assert dispatch is sys.modules["seqhub.kernels.hook"]
