"""What a model does inside, step by step, on one sequence: arrays for pictures."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqhub._logging import quiet_transformers
from seqhub.errors import InvalidInputError
from seqhub.evaluation.load import load_model
from seqhub.metrics.per_example import class_outputs
from seqhub.models.predict import logistic_outputs
from seqhub.models.tokenizer import encode
from seqhub.plots.trace import Trace, Watch
from seqhub.records import RunRecord
from seqhub.tasks.registry import resolve
from seqhub.tasks.schema import CUSTOM, TaskSchema

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def watcher(folder: Path) -> Watch:
    """Load the model of a run once, to run it over one sequence after the other.

    Returns:
        A function of a text, or of real values (T, F); it raises InvalidInputError for symbols that the tokenizer of
        the run does not know, and for values that are not finite or not so many at a step.
    """
    from transformers import AutoTokenizer

    task, config = resolve(RunRecord.load(folder).task)
    schema, tokenizer = task.schema(config), None
    model = load_model(folder)
    if config is CUSTOM and schema.vocabulary is None:  # how wide the steps of a file were, the model still knows
        schema = replace(schema, step_shape=(model.config.num_features,))
    if schema.vocabulary is not None:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return lambda inputs: _trace(model, schema, inputs, _given(schema, tokenizer, inputs))


def _trace(model: "PreTrainedModel", schema: TaskSchema, inputs: Any, given: "dict[str, Tensor]") -> Trace:
    import torch

    if schema.vocabulary is None:
        inputs = given["input_values"][0].numpy()
    with torch.inference_mode():
        output = model(**given)
        states = _states(model, given)
        readout = _readout(model, schema, output.logits, states.get("hidden"))
    logits = output.logits[0].float().numpy()
    arrays = {name: each[0].float().numpy() for name, each in states.items()}
    return Trace(inputs, logits, arrays, readout, _saliency(model, schema, given))


def _saliency(model: "PreTrainedModel", schema: TaskSchema, given: "dict[str, Tensor]") -> Any:
    """See `Trace.saliency`."""
    import torch

    if schema.vocabulary is not None or schema.target not in ("class", "number"):
        return None
    values = given["input_values"].clone().requires_grad_()
    score = model(**given | {"input_values": values}).logits.max()
    return torch.autograd.grad(score, values)[0][0].numpy()


def _given(schema: TaskSchema, tokenizer: Any, inputs: Any) -> "dict[str, Tensor]":
    import torch

    if tokenizer is not None:
        return dict(encode(tokenizer, [inputs]))
    values = np.array(inputs, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != schema.num_features or not len(values) or not np.isfinite(values).all():
        raise InvalidInputError(f"values of shape {values.shape}; need finite ones of (steps, {schema.num_features})")
    return {"input_values": torch.from_numpy(values)[None]}


def _states(model: "PreTrainedModel", given: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Of the last layer, (1, T, H) each; nothing where the family has none at each step."""
    if "AutoModelForTokenClassification" not in model.config.to_dict()["auto_map"]:
        return {}
    body = model.base_model
    more = (
        {"output_hidden_states": True} if "output_hidden_states" in inspect.signature(body.forward).parameters else {}
    )
    output = body(**given, **more)
    states = {"hidden": output.last_hidden_state}
    cells = getattr(output, "cell_states", None)
    return states | {"cell": cells[-1]} if cells else states


def _readout(model: "PreTrainedModel", schema: TaskSchema, logits: "Tensor", hidden: "Tensor | None") -> Any:
    """See `Trace.readout`; what a head makes of pooled states says nothing about one step."""
    if schema.target in ("step_class", "next_symbol"):
        return class_outputs(logits[0].float(), logistic_outputs(model)).numpy()
    config = model.config
    by_step = getattr(config, "pooling", None) == "last" and not getattr(config, "bidirectional", False)
    if schema.target == "inputs" or hidden is None or not by_step:
        return None
    scores = model.get_submodule("classifier")(hidden)[0].float()
    if schema.target == "class":
        return class_outputs(scores, logistic_outputs(model)).numpy()
    return (scores.sigmoid() if logistic_outputs(model) else scores).numpy()
