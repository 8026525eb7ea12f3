"""Saving and loading, with and without seqhub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, BertConfig, pipeline

from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.models.registry import family_of, register_auto_classes
from seqhub.models.tokenizer import symbol_tokenizer
from tests.helpers.model_cases import CASES, HEADS, PRESETS, VARIANTS, build, padded, ragged, trained

IDS = padded(ragged(20), "right")[0]


@pytest.fixture(autouse=True)
def registered() -> None:
    register_auto_classes()


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_round_trip_is_exact(tmp_path, preset, variant):
    model = trained(preset, variant)
    model.save_pretrained(tmp_path)
    family = family_of(preset)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        f"configuration_{family}.py",
        *(["memory_blocks.py"] if family == "hs97" else []),
        "model.safetensors",
        "modeling_base.py",
        f"modeling_{family}.py",
        "scan.py",
        "tracing.py",
    ]
    for name, weights in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(weights, model.get_parameter(name))
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)  # without remote code
    assert type(loaded) is type(model)
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("saved", HEADS)
@pytest.mark.parametrize("loaded", HEADS)
def test_any_head_loads_weights_saved_by_another(tmp_path, saved, loaded):
    model = build("gru", saved)
    model.save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map.keys() == {"AutoConfig", *(AUTO_CLASSES[head] for head in HEADS)}
    again, info = getattr(transformers, AUTO_CLASSES[loaded]).from_pretrained(tmp_path, output_loading_info=True)
    for name, weights in getattr(model, "model", model).state_dict().items():
        assert torch.equal(getattr(again, "model", again).state_dict()[name], weights)
    readout = {name for name in again.state_dict() if name.startswith(("classifier.", "lm_head."))}
    assert len(readout) == (0 if loaded == "base" else 2)
    assert info["missing_keys"] == readout - model.state_dict().keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_bfloat16_is_kept(tmp_path, preset):
    build(preset).to(torch.bfloat16).save_pretrained(tmp_path)
    assert AutoModel.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert AutoModel.from_pretrained(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_auto_map_refers_to_the_folder_after_loading_from_another(tmp_path):
    """A config from the Hub has "repository--file.class"; the code is saved again, so the new folder is complete."""
    build("lstm").save_pretrained(tmp_path / "first")
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    config["auto_map"] = {name: f"someone/model--{value}" for name, value in config["auto_map"].items()}
    (tmp_path / "first" / "config.json").write_text(json.dumps(config))
    AutoModel.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    assert "--" not in (tmp_path / "second" / "config.json").read_text()


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_an_error(tmp_path, kept):
    build("lstm").save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(SafetensorError):
        AutoModel.from_pretrained(tmp_path)


def test_config_of_another_family_is_an_error(tmp_path):
    model = build("lstm")
    model.save_pretrained(tmp_path)
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model_type='bert': must be 'seqhub_recurrent'"):
        type(model).from_pretrained(tmp_path)


def test_config_that_does_not_fit_the_weights_is_an_error(tmp_path):
    build("lstm").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"cell": "gru"}))
    with pytest.raises(RuntimeError, match="mismatched_sizes"):
        AutoModel.from_pretrained(tmp_path)


WITHOUT_SEQHUB = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "seqhub":
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocked())
import torch
import transformers

torch.set_num_threads(1)
folders, ids = json.loads(sys.argv[1]), torch.tensor(json.loads(sys.argv[2]))
result = {}
for name, folder in folders.items():
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert config.model_type in ("seqhub_recurrent", "seqhub_hs97")
    autos = ["AutoModel", "AutoModelForSequenceClassification", "AutoModelForTokenClassification"]
    if not config.bidirectional:
        autos.append("AutoModelForCausalLM")
    for auto in autos:
        model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True)
        assert type(model).__module__.startswith("transformers_modules."), type(model)
        output = model(ids)
        result[f"{name} {auto}"] = output[0].tolist()
        if auto == "AutoModelForCausalLM":
            generated = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
            result[f"{name} generated"] = generated.tolist()
    model.save_pretrained(folder + "-again")
tokenizer = transformers.AutoTokenizer.from_pretrained(folders["lstm sequence"], trust_remote_code=False)
result["tokens"] = tokenizer("BXaE")["input_ids"]
classify = transformers.pipeline("text-classification", model=folders["lstm sequence"], trust_remote_code=True)
result["pipeline"] = classify(["BXaXE", "BYE"])
assert not [name for name in sys.modules if name.partition(".")[0] == "seqhub"]
print(json.dumps(result))
"""


@pytest.mark.slow
def test_saved_models_load_without_seqhub(tmp_path):
    """Any Auto class loads weights of any head, with the code saved with the weights."""
    models = {
        f"{preset} {head}": trained(preset, "deep" if head == "causal" else "deep-bidirectional", head)
        for preset in PRESETS
        for head in HEADS
    }
    folders = {}
    for name, model in models.items():
        folders[name] = str(tmp_path / name.replace(" ", "-"))
        model.save_pretrained(folders[name])
    symbol_tokenizer("XYabcdBE").save_pretrained(folders["lstm sequence"])
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_SEQHUB, json.dumps(folders), json.dumps(IDS.tolist())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for name, model in models.items():
        auto_class = AUTO_CLASSES[name.split()[1]]
        if auto_class == "AutoModelForCausalLM":
            ids = model.generate(IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=5, do_sample=False)
            assert result[f"{name} generated"] == ids.tolist()
        torch.testing.assert_close(torch.tensor(result[f"{name} {auto_class}"]), model(IDS)[0])
        body = getattr(model, "model", model)
        torch.testing.assert_close(torch.tensor(result[f"{name} AutoModel"]), body(IDS).last_hidden_state)
        again = transformers.AutoModelForTokenClassification.from_pretrained(Path(folders[name] + "-again"))
        assert torch.equal(again.model(IDS).last_hidden_state, body(IDS).last_hidden_state)
    assert result["tokens"] == [7, 1, 3, 8]
    assert [answer["label"] in models["lstm sequence"].config.id2label.values() for answer in result["pipeline"]]


@pytest.mark.parametrize("preset", PRESETS)
def test_pipeline_returns_labels(tmp_path, preset):
    labels = dict(enumerate("QRSU"))
    model = build(preset, id2label=labels, label2id={label: i for i, label in labels.items()})
    tokenizer = symbol_tokenizer("XYabcdBE")
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path), batch_size=3, top_k=None)
    texts = ["BXaXE", "BYE", "BaaYcdXE", "BE"]
    for text, answers in zip(texts, classify(texts), strict=True):
        expected = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(0)  # a single softmax
        assert {answer["label"]: pytest.approx(answer["score"], abs=1e-6) for answer in answers} == dict(
            zip("QRSU", expected.tolist(), strict=True)
        )
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):
        classify(["BQE"])


def test_logits_are_not_probabilities():
    for preset in PRESETS:
        for variant in VARIANTS:
            assert trained(preset, variant)(IDS).logits.min() < 0


def test_config_of_auto_class():
    config = AutoConfig.for_model("seqhub_recurrent", cell="gru")
    assert transformers.AutoModel.from_config(config).layers[0].recurrence.__class__ is torch.nn.GRU
