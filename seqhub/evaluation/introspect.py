"""States, readouts and gradients of a model on one sequence, for figures."""

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
from seqhub.tasks.schema import TaskSchema

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def load_tracer(folder: Path, *, trust_remote_code: bool = False) -> Watch:
    """Load the model of a run and return a function that traces it on one sequence; for consent see `load_model`.

    Returns:
        Function of a text, or of real values (T, F). It raises InvalidInputError for symbols that are not in the
        vocabulary of the tokenizer, and for values that are not finite or have another number of features.
    """
    from transformers import AutoTokenizer

    record = RunRecord.load(folder)
    task = record.task
    schema = task.schema
    tokenizer: Any = None
    if task.is_custom and record.schema.has_tokenizer:
        schema = record.schema
    model = load_model(folder, trust_remote_code=trust_remote_code)
    if task.is_custom and schema.vocabulary is None:  # the config has the number of features of the file
        schema = replace(schema, step_shape=(model.config.num_features,))
    if schema.text_vocabulary is not None:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def trace(inputs: Any) -> Trace:
        batch = _encode(schema, tokenizer, inputs)
        if schema.has_tokenizer:  # the steps are not the words of the text
            inputs = " ".join(tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist()))
        return _trace(model, schema, tokenizer, inputs, batch)

    return trace


def _trace(
    model: "PreTrainedModel", schema: TaskSchema, tokenizer: Any, inputs: Any, batch: "dict[str, Tensor]"
) -> Trace:
    import torch

    if schema.vocabulary is None:
        inputs = batch["input_values"][0].numpy()
    with torch.inference_mode():
        output = model(**batch)
        states = _states(model, batch)
        readout = _readout(model, schema, output.logits, states.get("hidden"))
    logits = output.logits[0].float().numpy()
    arrays = {name: each[0].float().numpy() for name, each in states.items()}
    generated, attention = _alignment(model, tokenizer, batch) if schema.target == "sequence" else ((), None)
    return Trace(inputs, logits, arrays, readout, _saliency(model, schema, batch), generated, attention)


def _alignment(model: "PreTrainedModel", tokenizer: Any, batch: "dict[str, Tensor]") -> tuple[tuple[str, ...], Any]:
    """See `Trace.generated` and `Trace.attention`."""
    import torch

    with torch.inference_mode():
        ids = model.generate(**batch, do_sample=False)  # type: ignore[operator]
        found = model(**batch, decoder_input_ids=ids[:, :-1], output_attentions=True).cross_attentions
    weights = None if found is None else found[0][0, 0].float().numpy()
    symbols = tokenizer.convert_ids_to_tokens(ids[0, 1:].tolist())
    return tuple("end" if symbol == tokenizer.eos_token else str(symbol) for symbol in symbols), weights


def _saliency(model: "PreTrainedModel", schema: TaskSchema, batch: "dict[str, Tensor]") -> Any:
    """See `Trace.saliency`."""
    import torch

    if schema.vocabulary is not None or schema.target not in ("class", "number"):
        return None
    values = batch["input_values"].clone().requires_grad_()
    score = model(**batch | {"input_values": values}).logits.max()
    return torch.autograd.grad(score, values)[0][0].numpy()


def _encode(schema: TaskSchema, tokenizer: Any, inputs: Any) -> "dict[str, Tensor]":
    import torch

    if schema.vocabulary is not None:
        return dict(encode(tokenizer, [inputs]))
    values = np.array(inputs, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != schema.num_features or not len(values) or not np.isfinite(values).all():
        raise InvalidInputError(
            f"values of shape {values.shape}: must be finite, with shape (steps, {schema.num_features})"
        )
    return {"input_values": torch.from_numpy(values)[None]}


def _states(model: "PreTrainedModel", batch: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Return the states of the last layer, (1, T, H) each; empty if the family has no state at each step."""
    if "AutoModelForTokenClassification" not in model.config.to_dict()["auto_map"]:
        return {}
    base = model.base_model
    options = (
        {"output_hidden_states": True} if "output_hidden_states" in inspect.signature(base.forward).parameters else {}
    )
    output = base(**batch, **options)
    states = {"hidden": output.last_hidden_state}
    cells = getattr(output, "cell_states", None)
    return states | {"cell": cells[-1]} if cells else states


def _readout(model: "PreTrainedModel", schema: TaskSchema, logits: "Tensor", hidden: "Tensor | None") -> Any:
    """See `Trace.readout`; a head on pooled states has no readout at single steps."""
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
