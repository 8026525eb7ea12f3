"""Families, presets, configs and Auto classes of transformers."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, BertConfig

from seqhub.errors import InvalidConfigError, SeqhubError, UnknownNameError
from seqhub.models import registry
from seqhub.models.registry import HEADS, ID_FORMS, build_config, build_model, list_families, list_heads, list_presets
from tests.helpers.model_families import family_of


def test_families_and_presets():
    families = (
        "conv_recurrent",
        "convolutional",
        "hs97",
        "locally_connected",
        "recurrent",
        "recurrent_seq2seq",
        "sequence_autoencoder",
        "wrapped",
    )
    assert tuple(name for name in list_families() if name in families) == families  # a contributor adds others
    assert list_presets("input_ids", head="causal") == ("gru", "lstm", "lstm_hs97", "rnn_relu", "rnn_tanh")
    of_families = tuple(name for name in list_presets() if family_of(name) in families)
    assert tuple(name for name in list_presets("input_values") if name in of_families) == of_families


def test_preset_names_are_unique():
    packages = [__import__(f"seqhub.models.{family}", fromlist=["PRESETS"]) for family in list_families()]
    assert sum(len(package.PRESETS) for package in packages) == len(list_presets())


@pytest.mark.parametrize("family", list_families())
def test_auto_map_has_the_auto_classes_of_the_models(family):
    for_values = {"AutoModelForSpeechSeq2Seq": "AutoModelForSeq2SeqLM"}  # a second Auto class of the same model
    auto_map = registry._auto_map(family)
    assert {"AutoConfig", "AutoModel"} <= auto_map.keys() <= {"AutoConfig", *HEADS.values(), *for_values}
    for auto_class in auto_map:
        assert registry._load(family, auto_class)._auto_class == for_values.get(auto_class, auto_class)


@pytest.mark.parametrize("preset", list_presets())
def test_every_preset_is_built_with_every_head(preset):
    """Only the number of labels is set."""
    config = build_config(preset, num_labels=3)
    for head in list_heads(config.model_type.removeprefix("seqhub_")):
        model = build_model(config, head)
        assert model.config.num_labels == 3
        assert model.training


def test_overrides_do_not_change_the_preset():
    build_config("gru", hidden_size=99)
    assert build_config("gru").hidden_size == 8


@pytest.mark.parametrize(
    ("preset", "overrides", "error", "message"),
    [
        ("grew", {}, UnknownNameError, f"^no model 'grew'; known: {', '.join([*list_presets(), *ID_FORMS])}$"),
        ("gru", {"hiden_size": 4}, UnknownNameError, r"'hiden_size'; known: .*hidden_size.*num_labels"),
        ("gru", {"hidden_size": 0}, InvalidConfigError, r"^model 'gru': hidden_size must be >= 1, got 0$"),
        ("gru", {"hidden_size": "4"}, InvalidConfigError, r"^model 'gru': .*'hidden_size' expected int, got str"),
        ("gru", {"pooling": "first"}, InvalidConfigError, r"expected one of \('last', 'mean', 'max'\), got first"),
        ("gru", {"num_labels": 1, "problem_type": "single_label_classification"}, InvalidConfigError, "num_labels > 1"),
    ],
)
def test_invalid_arguments_are_errors_of_one_line(preset, overrides, error, message):
    with pytest.raises(error, match=message) as raised:
        build_config(preset, **overrides)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, SeqhubError)


def test_unknown_head_and_unknown_family():
    with pytest.raises(UnknownNameError, match="no head of family 'recurrent' named 'tokens'; known: base, sequence,"):
        build_model(build_config("gru"), "tokens")
    with pytest.raises(UnknownNameError, match=r"no model type 'bert'; known: .*seqhub_recurrent"):
        build_model(BertConfig(), "base")


@pytest.mark.slow
def test_registration_is_idempotent_and_reversible():
    config, auto_classes = (
        build_config("lstm"),
        [getattr(transformers, HEADS[head]) for head in list_heads("recurrent")],
    )
    try:
        for _ in range(2):
            registry.unregister()
        with pytest.raises(ValueError, match="Unrecognized model identifier"):
            AutoConfig.for_model("seqhub_recurrent")
        for auto_class in auto_classes:
            with pytest.raises(ValueError, match="Unrecognized configuration class"):
                auto_class.from_config(config)
    finally:
        for _ in range(2):
            registry.register_auto_classes()
    assert type(AutoConfig.for_model("seqhub_recurrent")) is type(config)
    for head, auto_class in zip(list_heads("recurrent"), auto_classes, strict=True):
        assert type(auto_class.from_config(config)) is type(build_model(config, head))


IN_ANY_ORDER = """
import json, sys
{first}
early = [name for name in sys.modules if name.endswith("modeling_recurrent")]
from transformers import AutoConfig, AutoModel
config = AutoConfig.for_model("seqhub_recurrent", cell="gru")
early += [name for name in sys.modules if name.endswith("modeling_recurrent")]
print(json.dumps([early, type(AutoModel.from_config(config)).__module__]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "early"),
    [
        ("import seqhub, transformers.modeling_layers", 0),  # whose import is not completed when the hook is called
        ("import seqhub.models.recurrent.modeling_recurrent", 2),  # likewise
    ],
)
def test_modeling_file_is_imported_at_first_use(first, early):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_ANY_ORDER.format(first=first)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name = "seqhub.models.recurrent.modeling_recurrent"
    assert json.loads(done.stdout) == [[name] * early, name]


def test_registered_class_has_precedence_over_remote_code(tmp_path):
    registry.register_auto_classes()
    model = build_model(build_config("lstm"), "base")
    model.save_pretrained(tmp_path)
    for trust in (None, False, True):
        assert type(AutoModel.from_pretrained(tmp_path, trust_remote_code=trust)) is type(model)


def test_models_can_be_deep_copied_and_pickled():
    import copy
    import pickle

    ids = torch.randint(1, 9, (2, 5))
    for preset in list_presets("input_ids", head="causal"):
        model = build_model(build_config(preset, bidirectional=True), "sequence").eval()
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(twin(ids).logits, model(ids).logits)
