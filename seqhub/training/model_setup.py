"""Which model fits a task: the head for its target, and the fields of the config class that its rows decide."""

from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model, config_fields
from seqhub.tasks.schema import TaskSchema
from seqhub.training.config import TrainConfig

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def create_model(config: TrainConfig, schema: TaskSchema) -> "PreTrainedModel":
    """The model that a run trains on rows of a layout, with its first weights, from torch's global generator.

    Raises:
        UnknownNameError: A setting that the model does not have.
        InvalidConfigError: The model does not take what the task has, or cannot be given chunks; or a value is not
            allowed.
    """
    torch.manual_seed(config.seed)
    model = build_model(model_config(config, schema), schema.head)
    stateful = "past_key_values" in signature(model.forward).parameters
    if config.chunk_steps and (not stateful or getattr(model.config, "bidirectional", False)):
        reason = "it has no state to carry from one to the next"
        raise InvalidConfigError(f"chunk_steps {config.chunk_steps} for model {config.model}: {reason}")
    if config.weights_seed is not None:
        torch.manual_seed(config.weights_seed)
        for module in model.modules():  # in the order of their making, as a program of plain modules draws
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return model


def model_config(config: TrainConfig, schema: TaskSchema) -> "PreTrainedConfig":
    """The config of the model that a run trains.

    Raises:
        UnknownNameError: A setting that the model does not have.
        InvalidConfigError: The model does not take what the task has, or a value is not allowed.
    """
    fields = config_fields(config.model)
    facts, settings = _facts(config, schema, fields), config.model_settings()
    if decided := ", ".join(sorted(facts.keys() & settings.keys())):
        raise InvalidConfigError(f"{decided} among model_options; the rows of {config.task} decide it")
    shortest, longest = config.task.config.length
    whole_rows = "num_steps" in fields and ("pooling" not in fields or settings.get("pooling") == "flatten")
    if whole_rows and shortest == longest:
        settings = {"num_steps": longest, **settings}
    return build_config(config.model, **facts, **settings)


def _facts(config: TrainConfig, schema: TaskSchema, fields: frozenset[str]) -> dict[str, Any]:
    """What the rows decide."""
    facts: dict[str, Any] = {}
    if schema.vocabulary is not None:
        if "vocab_size" not in fields:
            raise InvalidConfigError(f"model {config.model} takes real values; {config.task} has texts")
        facts["vocab_size"] = 1 + len(schema.vocabulary)
    elif "step_shape" in fields:
        facts["step_shape"] = list(schema.step_shape)
    else:
        if "num_features" not in fields:
            raise InvalidConfigError(f"model {config.model} takes texts; {config.task} has real values")
        facts["num_features"] = schema.num_features
        if "inputs" in fields:
            facts["inputs"] = "values"
    if (schema.target == "inputs") != ("step_shape" in fields):
        what = "is to be reconstructed" if schema.target == "inputs" else f"has a {schema.target} to learn"
        raise InvalidConfigError(f"model {config.model} does not fit {config.task}, which {what}")
    if schema.labels:
        facts["id2label"] = dict(enumerate(schema.labels))
        facts["label2id"] = {label: i for i, label in enumerate(schema.labels)}
    elif schema.target == "number":
        facts |= {"num_labels": 1, "problem_type": "regression"}
    if config.single_logit:
        if schema.target != "class" or len(schema.labels) != 2:
            raise InvalidConfigError(f"single_logit is for two classes a sequence; {config.task} has other targets")
        facts |= {"id2label": {0: schema.labels[1]}, "label2id": {schema.labels[1]: 0}}
        facts["problem_type"] = "multi_label_classification"
    return facts
