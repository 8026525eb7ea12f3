"""Model set-up: the head for the target of a task, and the fields of the config class that its rows determine."""

import sys
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.models.plain_config import PlainConfig, plain_config, plain_fields
from seqhub.models.registry import WRAPPED, build_config, build_model, config_fields, family_of
from seqhub.models.reports import Conformance
from seqhub.models.sizing import match_size
from seqhub.native.initial_weights import initial_weights
from seqhub.native.model import HEADS, NativeModel
from seqhub.tasks.schema import TaskSchema
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import data_source

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def create_model(config: TrainConfig, schema: TaskSchema) -> "PreTrainedModel":
    """Return the newly initialised model of a run; seeds the global generator of torch.

    Args:
        config: Settings of the run.
        schema: Schema of the rows.

    Raises:
        UnknownNameError: Unknown setting of the model.
        InvalidConfigError: The model does not fit the task or truncated BPTT, or a value is not allowed.
    """
    import torch

    torch.manual_seed(config.seed)
    model = build_model(model_config(config, schema), schema.head)
    stateful = "past_key_values" in signature(model.forward).parameters
    if config.chunk_steps and (not stateful or getattr(model.config, "bidirectional", False)):
        rule = f"0 for this model {config.model}, which cannot carry a state from segment to segment"
        raise InvalidConfigError.of("chunk_steps", config.chunk_steps, rule, config.task)
    if config.weights_seed is not None:
        torch.manual_seed(config.weights_seed)
        for module in model.modules():  # in the order of creation, as in a program of plain torch modules
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return model


def with_size(config: TrainConfig, target: int, by: Literal["parameters", "state"]) -> TrainConfig:
    """Return the settings with the width of the model that is closest to a given size.

    Args:
        config: Settings of the run, whose `hidden_size` is replaced.
        target: Number of parameters without the embedding of symbols and the readout, or of numbers in the state of a
            sequence after 256 steps.
        by: What `target` counts.

    Raises:
        InvalidConfigError: No width comes within 5 %, or the model has no state.
    """
    schema = data_source(config).schema

    def settings(model: ModelId) -> TrainConfig:
        return replace(config, model=str(model), hidden_size=None, model_options={})

    def build(model: str) -> "PreTrainedModel":
        return create_model(settings(ModelId.parse(model)), schema)

    return settings(match_size(ModelId.of(config.model, config.model_options), target, build, by))


def require_conformance(config: TrainConfig, model: Any, schema: TaskSchema) -> Conformance | None:
    """Test a new wrapped model, and return the results; None for other models, which tests of seqhub cover.

    Raises:
        InvalidConfigError: The model failed a test on which the run depends.
    """
    if family_of(config.model) != WRAPPED:
        return None
    from seqhub.models.conformance import check_conformance

    found = check_conformance(model)
    reasons = {
        "finite_gradients": "its gradients at the first step are NaN or infinite",
        "saved": f"a saved and loaded copy gives other outputs (difference {found['saved']} standard deviations)",
        "batch": f"a row alone and in a batch gives other outputs (difference {found['batch']} standard deviations)",
    }
    if schema.target in ("step_class", "next_symbol"):
        reasons["causal"] = (
            f"its output depends on later steps (difference {found['causal']} standard deviations), "
            f"and the target of {config.task} is one of each step"
        )
    if config.chunk_steps:
        difference = found["chunked"]
        reasons["chunked"] = (
            f"chunk_steps={config.chunk_steps} needs a state that continues a sequence exactly "
            f"(difference {difference} standard deviations)"
        )
    for name, reason in reasons.items():
        if name in found["failed"]:
            raise InvalidConfigError(f"model {config.model}: {reason}")
    if config.chunk_steps and found["chunked"] is None:
        rule = f"0 for this model {config.model}, which cannot carry a state from segment to segment"
        raise InvalidConfigError.of("chunk_steps", config.chunk_steps, rule, config.task)
    return found


def model_config(config: TrainConfig, schema: TaskSchema) -> "PreTrainedConfig":
    """Return the model config of a run.

    Raises:
        UnknownNameError: Unknown setting of the model.
        InvalidConfigError: The model does not fit the task, or a value is not allowed.
    """
    settings = config_settings(config, schema, config_fields(config.model))
    return build_config(config.model, trust_remote_code=config.trust_remote_code, **settings)


def plain_model(config: TrainConfig, schema: TaskSchema) -> NativeModel | None:
    """Return the newly initialised model of a run without torch, with the weights of `create_model`.

    None if torch is needed: for models of other families, some settings, or another default type of torch.

    Raises:
        UnknownNameError: Unknown model.
        InvalidConfigError: The model does not fit the task.
    """
    plain = plain_model_config(config, schema)
    weights = None if plain is None else initial_weights(plain, schema.head, config.seed, config.weights_seed)
    return None if weights is None else NativeModel(plain, schema.head, weights)


def plain_model_config(config: TrainConfig, schema: TaskSchema) -> PlainConfig | None:
    """Return the config of `plain_model`."""
    if "torch" in sys.modules and str(sys.modules["torch"].get_default_dtype()) != "torch.float32":
        return None
    if schema.head not in HEADS or config.chunk_steps or (fields := plain_fields(config.model)) is None:
        return None
    plain = plain_config(config.model, config_settings(config, schema, fields))
    if plain is None or (schema.head == "causal" and (plain.bidirectional or plain.inputs == "values")):  # type: ignore[attr-defined]
        return None
    return plain


def config_settings(config: TrainConfig, schema: TaskSchema, fields: frozenset[str]) -> dict[str, Any]:
    """Return the settings of the model config of a run.

    Args:
        config: Settings of the run.
        schema: Schema of the rows.
        fields: Fields that the config class defines itself.

    Raises:
        InvalidConfigError: The model does not fit the task.
    """
    determined, settings = _schema_settings(config, schema, fields), config.model_settings()
    if both := ", ".join(sorted(determined.keys() & settings.keys())):
        raise InvalidConfigError(f"{both} in model_options: is determined by the rows of {config.task}; remove it")
    shortest, longest = config.task.config.length
    whole_rows = "num_steps" in fields and ("pooling" not in fields or settings.get("pooling") == "flatten")
    if whole_rows and shortest == longest:
        settings = {"num_steps": longest, **settings}
    return determined | settings


def _schema_settings(config: TrainConfig, schema: TaskSchema, fields: frozenset[str]) -> dict[str, Any]:
    """Return the settings of the config class that the rows determine."""
    settings: dict[str, Any] = {}
    if schema.vocabulary is not None:
        if "vocab_size" not in fields:
            raise InvalidConfigError(f"model {config.model} takes real values; {config.task} has texts")
        settings["vocab_size"] = 1 + len(schema.vocabulary)
    elif "step_shape" in fields:
        settings["step_shape"] = list(schema.step_shape)
    else:
        if "num_features" not in fields:
            raise InvalidConfigError(f"model {config.model} takes texts; {config.task} has real values")
        settings["num_features"] = schema.num_features
        if "inputs" in fields:
            settings["inputs"] = "values"
    if (schema.target == "inputs") != ("step_shape" in fields):
        raise InvalidConfigError(f"model {config.model} does not fit {config.task}, whose target is {schema.target}")
    if schema.target_vocabulary is not None:
        settings |= {"decoder_vocab_size": 1 + schema.end_id, "max_target_length": 1 + schema.max_target}
    if schema.labels:
        settings["id2label"] = dict(enumerate(schema.labels))
        settings["label2id"] = {label: i for i, label in enumerate(schema.labels)}
    elif schema.target == "number":
        settings |= {"num_labels": 1, "problem_type": "regression"}
    elif schema.target == "numbers":
        settings["id2label"] = dict(enumerate(schema.numbers))
        settings["label2id"] = {name: i for i, name in enumerate(schema.numbers)}
        settings["problem_type"] = "regression"
    if schema.target == "multi_label":
        settings["problem_type"] = "multi_label_classification"
    if config.single_logit:
        if schema.target != "class" or len(schema.labels) != 2:
            raise InvalidConfigError.of("single_logit", True, "False without exactly two classes", config.task)
        settings |= {"id2label": {0: schema.labels[1]}, "label2id": {schema.labels[1]: 0}}
        settings["problem_type"] = "multi_label_classification"
    return settings
