"""Small settings for the model types of transformers."""

import dataclasses
import re
from fnmatch import fnmatchcase
from functools import cache
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, DynamicCache, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, SPECIAL_MODEL_TYPE_TO_MODULE_NAME
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.transformers_types import TYPES, settings_for, width_multiple

INSTALLED = [name for name in TYPES if name in CONFIG_MAPPING]  # older versions of transformers have fewer
V = 5

# parameters of which a part is chosen by topk, or that are declared as constants
WITHOUT_GRADIENT = {
    "glm5_next_text": "*.self_attn.indexer.*",
    "qwen4_exp_text": "*.self_attn.indexer.*",
    "hrm_text": "z_L_init",
}

# source that handles a recurrent state, a linear attention or the state of a short convolution
RECURRENT = re.compile(
    r"_is_stateful = True|update_recurrent_state|update_conv_state|set_linear_cache|create_recurrent_attention_mask"
    r"|recurrent_states|rnn_state|linear_attention|selective_scan|nn\.(LSTM|GRU|RNN)\b"
)
IMAGES, AUDIO = "takes images", "takes audio"
COMPOSITE = "takes images or audio around a text model of the table"
EXCLUDED = {
    "deepseek_v4": "attention on compressed keys; its cache is only called stateful",
    "encodec": AUDIO,
    "glm5_next": COMPOSITE,
    "glm5_next_vision": IMAGES,
    "inkling2": COMPOSITE,
    "inkling2_vision": IMAGES,
    "inkling_mm_model": COMPOSITE,
    "minicpm_ocr": COMPOSITE,
    "minicpmv4_6": COMPOSITE,
    "minicpm_ocr_vision": IMAGES,
    "minicpmv4_7": COMPOSITE,
    "minicpmv4_7_vision": IMAGES,
    "nemo_speechlm": COMPOSITE,
    "nemotron3_5_asr": AUDIO,
    "nemotron3_5_transcribe_asr_audio": AUDIO,
    "nemotron3_5_transcribe_audio": AUDIO,
    "nemotron3_5_transcribe_word_timestamp": AUDIO,
    "nemotron_asr_streaming": AUDIO,
    "nemotron_asr_streaming_encoder": AUDIO,
    "parakeet_ctc": AUDIO,
    "parakeet_encoder": AUDIO,
    "parakeet_rnnt": AUDIO,
    "parakeet_tdt": AUDIO,
    "pvt_v2": IMAGES,
    "qwen3_5": COMPOSITE,
    "qwen3_5_moe": COMPOSITE,
    "qwen3_5_moe_vision": IMAGES,
    "qwen3_5_vision": IMAGES,
    "qwen4_exp": COMPOSITE,
    "qwen4_exp_vision": IMAGES,
}

fast_types = pytest.mark.fast_cases("mamba2", "qwen3_next", "gpt_neox")
every_type = pytest.mark.parametrize("name", INSTALLED)


def build(name: str, settings: dict[str, Any] | None = None) -> PreTrainedModel:
    """Return a new model whose parameters are all different from their initial constants."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, vocab_size=V, **(TYPES[name].settings if settings is None else settings))
    model = AutoModel.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@cache
def built(name: str) -> PreTrainedModel:
    return build(name)


def num_parameters(name: str, **sizes: Any) -> int:
    return build(name, settings_for(name, **sizes)).num_parameters()


def random_ids(*shape: int) -> torch.Tensor:
    return torch.randint(1, V, shape, generator=torch.Generator().manual_seed(1))


def deviation(given: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference in units of the standard deviation of the expected values."""
    assert given.shape == expected.shape
    return float((given - expected).detach().abs().max() / expected.detach().std())


@every_type
def test_every_setting_is_a_field_of_the_config(name: str) -> None:
    config_class = CONFIG_MAPPING[name]
    fields = {field.name for field in dataclasses.fields(config_class)} | set(config_class.attribute_map)
    tokens = {"pad_token_id", "bos_token_id", "eos_token_id"}
    settings = set(TYPES[name].settings) - tokens - {"attn_implementation", "num_hidden_layers"}
    assert settings <= fields | {"hidden_size"}
    assert {*TYPES[name].width_fields, *TYPES[name].layer_fields} <= settings


@every_type
def test_config_has_no_special_tokens_dropout_or_short_maximum(name: str) -> None:
    config = AutoConfig.for_model(name, vocab_size=3, **TYPES[name].settings)
    assert config.hidden_size == 64
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, None, None)
    values = config.to_dict()
    assert not any(value for key, value in values.items() if "drop" in key)
    maxima = ("max_position_embeddings", "n_positions", "context_length", "model_max_length")
    assert all(values[key] >= 4096 for key in maxima if key in values)


@fast_types
@every_type
def test_builds_and_trains(name: str) -> None:
    model = build(name).train()
    ids = random_ids(3, 10)
    output = model(ids).last_hidden_state
    assert output.shape == (3, 10, 64)
    embeddings = model.get_input_embeddings()(ids)
    assert deviation(model(inputs_embeds=embeddings).last_hidden_state, output) < 1e-4
    output.backward(torch.randn(output.shape, generator=torch.Generator().manual_seed(2)))
    for parameter_name, parameter in model.named_parameters():
        if fnmatchcase(parameter_name, WITHOUT_GRADIENT.get(name, "")):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name


@every_type
@fast_types
def test_size(name: str) -> None:
    model = built(name)
    positions = model.wpe.weight.numel() if name == "gpt2" else 0
    assert 50_000 < model.num_parameters() - positions < 200_000


@fast_types
@every_type
@torch.no_grad()
def test_padding_on_the_right_and_later_steps_do_not_matter(name: str) -> None:
    ids = random_ids(3, 10)
    expected = built(name)(ids).last_hidden_state
    for length in (1, 6):
        padded = ids.clone()
        padded[1, length:] = 0
        assert deviation(built(name)(padded).last_hidden_state[1, :length], expected[1, :length]) < 1e-4
        alone = built(name)(ids[1:2, :length]).last_hidden_state
        assert deviation(alone[0], expected[1, :length]) < 1e-4


@fast_types
@every_type
@torch.no_grad()
def test_carried_state(name: str) -> None:
    model, entry = built(name), TYPES[name]
    ids = random_ids(3, 20)
    expected = model(ids).last_hidden_state
    assert entry.state_argument in signature(model.forward).parameters

    def in_segments(steps: int) -> torch.Tensor:
        state = DynamicCache(config=model.config) if entry.state_output is None else None
        outputs = []
        for start in (0, *range(10, 20, steps)):
            end = 10 if start == 0 else start + steps
            inputs: dict[str, Any] = {entry.state_argument: state, "use_cache": True}
            if entry.needs_position_ids and start:
                inputs["position_ids"] = torch.arange(start, end).expand(3, -1)
            output = model(ids[:, start:end], **inputs)
            outputs.append(output.last_hidden_state)
            if entry.state_output is None:
                assert not {"past_key_values", "cache_params", "state"} & set(output)
            else:
                state = output[entry.state_output]
        return torch.cat(outputs, dim=1)

    for steps in (1, 2, 5):
        if steps >= entry.min_segment and (entry.max_segment is None or steps <= entry.max_segment):
            assert deviation(in_segments(steps), expected) < 1e-3
        else:
            try:
                segments = in_segments(steps)
            except (RuntimeError, ValueError):
                continue
            assert segments.shape != expected.shape or deviation(segments, expected) > 1e-3


@pytest.mark.parametrize("name", [name for name in INSTALLED if TYPES[name].needs_position_ids])
@torch.no_grad()
def test_position_ids_are_needed(name: str) -> None:
    model, ids = built(name), random_ids(3, 20)
    prefix = model(ids[:, :19], use_cache=True)
    step = model(ids[:, 19:], past_key_values=prefix.past_key_values, use_cache=True).last_hidden_state
    assert deviation(step, model(ids).last_hidden_state[:, 19:]) > 1e-3


@fast_types
@every_type
def test_other_sizes(name: str) -> None:
    step, least = TYPES[name].width_multiple, TYPES[name].min_layers
    assert width_multiple(name) == step
    counts = []
    for width in (step, 16, 16 + step, 32, 64, 128):
        model = build(name, settings_for(name, hidden_size=width)).train()
        output = model(random_ids(3, 10)).last_hidden_state
        assert output.shape == (3, 10, width)
        assert output.isfinite().all()
        output.sum().backward()
        counts.append(model.num_parameters())
    assert counts == sorted(set(counts))
    layers = [num_parameters(name, num_hidden_layers=number) for number in range(least, 5)]
    assert all(few < many for few, many in pairwise(layers))
    model = build(name, settings_for(name, num_hidden_layers=4))
    assert model(random_ids(3, 10)).last_hidden_state.shape == (3, 10, 64)


@every_type
def test_defaults_are_of_width_64(name: str) -> None:
    assert settings_for(name) == TYPES[name].settings
    assert settings_for(name, hidden_size=64, num_hidden_layers=TYPES[name].num_hidden_layers) == TYPES[name].settings


def test_layers_of_one_kind() -> None:
    settings = settings_for("qwen3_next", layer_types=["linear_attention", "linear_attention"])
    model = build("qwen3_next", settings)
    assert [hasattr(layer, "linear_attn") for layer in model.layers] == [True, True]
    assert settings_for("qwen3_next", num_hidden_layers=3, layer_types=["full_attention"])["layer_types"] == (
        ["full_attention"] * 3
    )
    assert settings_for("bamba", layer_types=["full_attention", "linear_attention"])["attn_layer_indices"] == [0]
    assert settings_for("recurrent_gemma", layer_types=["recurrent"] * 4)["block_types"] == ["recurrent"] * 4


def test_mlp_layers_follow_the_number_of_layers() -> None:
    settings = settings_for("kimi_linear", num_hidden_layers=3)
    assert settings["layer_types"] == ["linear_attention", "full_attention", "linear_attention"]
    assert settings["mlp_layer_types"] == ["dense"] * 3


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("llama", {"hidden_size": 20}, "hidden_size=20: must be a positive multiple of 8 (transformers:llama)"),
        ("mamba", {"hidden_size": 0}, "hidden_size=0: must be a positive multiple of 4 (transformers:mamba)"),
        ("mamba", {"num_hidden_layers": 0}, "num_hidden_layers=0: must be at least 1 (transformers:mamba)"),
        ("olmo_hybrid", {"num_hidden_layers": 1}, "num_hidden_layers=1: must be at least 2 (transformers:olmo_hybrid)"),
        (
            "mamba",
            {"layer_types": ["conv"]},
            "layer_types=['conv']: must be omitted for this type (transformers:mamba)",
        ),
        (
            "lfm2",
            {"layer_types": ["conv", "recurrent"]},
            "layer_types=['conv', 'recurrent']: must be a list of conv or full_attention (transformers:lfm2)",
        ),
        (
            "lfm2",
            {"layer_types": "conv"},
            "layer_types='conv': must be a list of conv or full_attention (transformers:lfm2)",
        ),
        (
            "lfm2",
            {"layer_types": ["conv", "conv"], "num_hidden_layers": 1},
            "num_hidden_layers=1: must be at least 2, the length of layer_types (transformers:lfm2)",
        ),
    ],
)
def test_settings_that_are_not_allowed(name: str, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as error:
        settings_for(name, **sizes)
    assert str(error.value) == message


def test_unknown_type() -> None:
    with pytest.raises(UnknownNameError, match="'bert'; known: llama, "):
        settings_for("bert")
    with pytest.raises(UnknownNameError, match="'bert'"):
        width_multiple("bert")


def recurrent_types() -> set[str]:
    """Return the types that `AutoModel` builds and whose source handles a state that is not keys and values."""
    folder = Path(transformers.__file__).parent / "models"
    found = set()
    for name in MODEL_MAPPING_NAMES:
        module = SPECIAL_MODEL_TYPE_TO_MODULE_NAME.get(name, name.replace("-", "_"))
        sources = [path.read_text(encoding="utf-8") for path in (folder / module).glob("modeling_*.py")]
        if any(RECURRENT.search(source) for source in sources):
            found.add(name)
    return found


def test_every_recurrent_type_is_in_the_table_or_excluded() -> None:
    found = recurrent_types()
    assert not found - set(TYPES) - set(EXCLUDED)
    assert not set(TYPES) & set(EXCLUDED)
    assert set(EXCLUDED) & set(CONFIG_MAPPING) <= found
    unrecognised = set(INSTALLED) - found
    assert unrecognised == {"llama", "gpt_neox", "gpt2", "hrm_text"} & set(INSTALLED)
