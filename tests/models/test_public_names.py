"""Public classes of every family, descriptions of presets, and the command `seqhub models`."""

import json
import subprocess
import sys

import pytest

import seqhub
from seqhub.errors import UnknownNameError
from seqhub.models import registry
from seqhub.models.describe import count_parameters, describe_fields
from seqhub.models.registry import ID_FORMS, build_config, build_model, list_families, list_presets
from seqhub.models.transformers_types import TYPES
from tests.helpers.cli_calls import call, output_of


@pytest.mark.parametrize("family", list_families())
def test_every_class_is_imported_from_its_package_and_from_seqhub(family):
    package = registry._package(family)
    classes = {registry._load(family, auto_class) for auto_class in registry._auto_map(family)}
    names = set(package.__all__) - {"INPUTS", "PRESETS"}
    assert {getattr(package, name) for name in names} == classes
    assert {getattr(seqhub, name) for name in names} == classes
    assert names <= set(dir(package)) & set(dir(seqhub)) & set(seqhub.__all__)


@pytest.mark.slow
def test_import_of_model_classes():
    code = """
import sys
from seqhub.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification
from seqhub import RecurrentForSequenceClassification as Same, get_tokenizer
assert Same is RecurrentForSequenceClassification
model = RecurrentForSequenceClassification(RecurrentConfig(cell="gru", num_labels=4))
assert model(**get_tokenizer("qrsu")("BXaYE", return_tensors="pt")).logits.shape == (1, 4)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_unknown_names_are_attribute_errors():
    for module in (seqhub, registry._package("recurrent")):
        with pytest.raises(AttributeError, match="no attribute 'RecurrentForNothing'"):
            _ = module.RecurrentForNothing


@pytest.mark.parametrize("preset", list_presets())
def test_fields_of_a_preset_are_described(preset):
    config = build_config(preset)
    fields = describe_fields(preset)
    assert {field.name for field in fields} == registry.config_fields(preset)
    for field in fields:
        assert field.default == getattr(config, field.name)
        assert field.doc, f"{field.name} has no entry in Args"
        assert not field.allowed or field.default in field.allowed
    heads = registry.list_heads(registry.family_of(preset))
    head = next((each for each in ("sequence", "seq2seq") if each in heads), "base")
    assert count_parameters(preset) == build_model(config, head).num_parameters()


def test_models_ls_and_show():
    types = [f"transformers:{name}" for name in TYPES]
    assert output_of("models", "ls", "--quiet").split() == [*list_presets(), *types]
    listed = json.loads(output_of("models", "ls", "--json"))
    assert {each["model"] for each in listed} == {*list_presets(), *types}
    (gru,) = (each for each in listed if each["model"] == "gru")
    assert (gru["family"], gru["inputs"]) == ("recurrent", ["input_ids", "input_values"])
    shown = json.loads(output_of("models", "show", "gru", "--json"))
    assert gru.items() <= shown.items()
    (pooling,) = (each for each in shown["fields"] if each["name"] == "pooling")
    assert (pooling["type"], pooling["default"], pooling["allowed"]) == ("str", "last", ["last", "mean", "max"])
    text = output_of("models", "show", "gru")
    assert all(each["name"] in text for each in shown["fields"])
    ended = call("models", "show", "grew")
    assert (ended.code, ended.err) == (2, f"error: no model 'grew'; known: {', '.join([*list_presets(), *ID_FORMS])}\n")


def test_tasks_ls_shows_custom_data():
    listed = {each["task"]: each["custom_data"] for each in json.loads(output_of("tasks", "ls", "--json"))}
    for name, custom in listed.items():
        assert bool(custom) == bool(seqhub.get_task(name).custom_format)


def test_repr_of_tasks_and_configs():
    assert repr(seqhub.get_task("qrsu")).startswith("<Task qrsu: Temporal order of two marked symbols")
    assert "easy" in repr(seqhub.get_task("qrsu"))
    assert repr(seqhub.resolve("qrsu/easy")[1]).startswith("QrsuConfig(name='easy', length=(7, 8)")
    with pytest.raises(UnknownNameError):
        registry.family_of("grew")
