"""Tests of every preset of every family on real values."""

import copy
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from seqhub.models.registry import HEADS, register_auto_classes
from tests.helpers.model_families import CASES, answers, build, family_of, loss, padded, rows_for, trained

every_case = pytest.mark.parametrize("case", CASES)
SIDES = ["right", "left", "mixed"]


@pytest.fixture(autouse=True)
def registered() -> None:
    register_auto_classes()


def close(actual, expected, atol=2e-5):
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


def finite(row):
    """Return outputs in single precision; the logit of padding is the lowest number of its type."""
    return row.float().clamp(min=-1e4)


def alone(model, row):
    return answers(model, row[None], torch.ones(1, len(row)))[0]


@every_case
@torch.no_grad()
def test_batches_equal_single_rows_with_any_padding(case):
    model, rows = trained(case), rows_for(case, 2)
    single = [alone(model, row) for row in rows]
    for side in SIDES:
        close(answers(model, *padded(rows, side, case.shape.steps[1] + 3)), single)
    without_mask = model(input_values=rows[0][None])
    close([without_mask[0][0]], [model(input_values=rows[0][None], attention_mask=torch.ones(1, len(rows[0])))[0][0]])
    shared = min(row.numel() for row in single)
    assert torch.stack([row.flatten()[:shared] for row in single]).std(0).max() > 0.01  # rows have different outputs


@every_case
def test_values_in_the_padding_are_ignored(case):
    """They affect neither gradients nor the statistics of normalisation."""
    rows = rows_for(case, 3)
    models = [copy.deepcopy(trained(case)).train() for _ in range(2)]
    for model, fill in zip(models, (0.0, torch.nan), strict=True):
        loss(model, *padded(rows, "mixed", case.shape.steps[1] + 2, fill)).backward()
    for (name, clean), dirty in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert torch.equal(clean.grad, dirty.grad), name
    for clean, dirty in zip(models[0].buffers(), models[1].buffers(), strict=True):
        assert torch.equal(clean, dirty)


@every_case
@torch.no_grad()
def test_calls_are_independent(case):
    model = trained(case)
    first, second = (padded(rows_for(case, seed), "left", case.shape.steps[1]) for seed in (4, 5))
    before = answers(model, *first)
    answers(model, *second)
    close(answers(model, *first), before, atol=0)


@every_case
def test_every_weight_has_a_gradient(case):
    model = build(case).train()
    loss(model, *padded(rows_for(case, 6), "right", case.shape.steps[1])).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@every_case
def test_other_data_types(case, dtype):
    batch = padded(rows_for(case, 7), "left", case.shape.steps[1])
    exact = [finite(row) for row in answers(build(case), *batch)]
    model = build(case).to(dtype)
    typed = answers(model, *batch)
    assert {row.dtype for row in typed} == {dtype}
    close([finite(row) for row in typed], exact, atol=0.1)
    loss(model, *batch).backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        close([finite(row) for row in answers(build(case), *batch)], exact, atol=0.1)


@every_case
@torch.no_grad()
def test_saving_and_loading_is_exact(case, tmp_path):
    model = trained(case)
    model.save_pretrained(tmp_path)
    family = model.config.model_type.removeprefix("seqhub_")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        *(["configuration_recurrent.py"] if family == "recurrent_seq2seq" else []),
        f"configuration_{family}.py",
        *(["generation_config.json"] if case.head == "seq2seq" else []),
        *(["memory_blocks.py"] if family == "hs97" else []),
        "model.safetensors",
        *(["modeling_base.py"] if family in ("hs97", "recurrent", "recurrent_seq2seq") else []),
        *(["modeling_recurrent.py"] if family == "recurrent_seq2seq" else []),
        f"modeling_{family}.py",
        *(["scan.py"] if family not in ("convolutional", "locally_connected") else []),
        "tracing.py",
    ]
    loaded = getattr(transformers, HEADS[case.head]).from_pretrained(tmp_path)  # without remote code
    assert type(loaded) is type(model)
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
    batch = padded(rows_for(case, 8), "right", case.shape.steps[1])
    for twin in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.state_dict().keys() == model.state_dict().keys()
        close(answers(twin, *batch), answers(model, *batch), atol=0)


@pytest.mark.fast_cases("cnn_gru-deep-token", "lstm_autoencoder*", "cnn-*")
@every_case
def test_a_missing_weight_is_initialised_and_the_others_are_loaded(case, tmp_path):
    model = build(case)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(7)  # different from any initial weight
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    assert whole.keys() == model.state_dict().keys()
    for missing in whole:
        save_file({name: w for name, w in whole.items() if name != missing}, file, metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path).state_dict()
        assert loaded.pop(missing).abs().max() < 7, missing  # also false for NaN
        assert all(torch.equal(weights, whole[name]) for name, weights in loaded.items()), missing


@every_case
@torch.no_grad()
def test_outputs_may_be_tuples(case):
    values, mask = padded(rows_for(case, 10), "right", case.shape.steps[1])
    named = build(case)(input_values=values, attention_mask=mask)
    for model, settings in [(build(case), {"return_dict": False}), (build(case, return_dict=False), {})]:
        plain = model(input_values=values, attention_mask=mask, **settings)
        assert isinstance(plain, tuple)
        assert all(torch.equal(one, other) for one, other in zip(plain, named.to_tuple(), strict=True))


@every_case
def test_weights_depend_on_the_seed_only(case):
    one, two, other = (dict(build(case, seed=seed).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@every_case
def test_config_to_json_and_back(case):
    config = build(case).config
    again = type(config).from_dict(json.loads(json.dumps(config.to_dict())))
    assert again.to_dict() == config.to_dict()
    assert type(AutoConfig.for_model(config.model_type)) is type(config)
    assert type(config)().to_diff_dict().keys() == type(config)().to_diff_dict().keys()
    with pytest.raises(ValueError, match="model_type='bert'"):
        type(config)(model_type="bert")


@every_case
def test_invalid_input_is_an_error_of_one_line(case):
    model, step = build(case), case.shape.step
    steps = case.shape.steps[1]
    values, mask = torch.ones(2, steps, *step), torch.ones(2, steps)
    for given, message in [
        ({"input_values": values[..., :-1]}, "input_values must .*, got "),
        ({"input_values": values[0, ..., 0]}, "input_values must be .*, got "),
        ({"input_values": values[:0]}, r"input_values must be .*, got \(0, "),
        ({"input_values": values[:, :0]}, "input_values must be .*, got "),
        ({"input_values": values, "attention_mask": mask[:, 1:]}, "attention_mask must have .*, got "),
        ({"input_values": values, "attention_mask": torch.tensor([[1.0], [0.0]]) * mask}, "row 1 "),
    ]:
        with pytest.raises((ValueError, RuntimeError), match=message) as error:
            model(**given)
        assert "\n" not in str(error.value)


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
for folder, auto in json.loads(sys.argv[1]).items():
    model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    batch = torch.load(folder + "/batch.pt")
    expected = batch.pop("expected")
    torch.testing.assert_close(model(**batch)[0], expected)
    model.save_pretrained(folder + "-again")
assert not [name for name in sys.modules if name.partition(".")[0] == "seqhub"]
"""


@pytest.mark.slow
@torch.no_grad()
def test_saved_models_load_without_seqhub(tmp_path):
    """With the code saved with the weights, which is saved again, for one model of each class."""
    folders = {}
    cases = {(family_of(case.preset), case.head): case for (case,) in (case.values for case in CASES)}
    for (family, head), case in cases.items():
        model, folder = trained(case), tmp_path / f"{family}-{head}"
        model.save_pretrained(folder)
        values, mask = padded(rows_for(case, 9), "left", case.shape.steps[1])
        batch = {"input_values": values, "attention_mask": mask}
        torch.save(batch | {"expected": model(**batch)[0]}, folder / "batch.pt")
        folders[str(folder)] = HEADS[case.head]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_SEQHUB, json.dumps(folders)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
    )
    assert done.returncode == 0, done.stderr
    for folder, auto_class in folders.items():
        assert getattr(transformers, auto_class).from_pretrained(folder + "-again").num_parameters() > 0
