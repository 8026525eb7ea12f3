"""Probe logits: the outputs of a model on a few test sequences, to verify a loaded copy."""

from typing import TYPE_CHECKING, Any

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError
from seqhub.records.run import Probe
from seqhub.tasks.schema import Batch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_NUM_PROBES = 8  # sequences
_MAX_LOGITS = 1 << 17  # in the record, of all sequences


def probe_logits(model: "PreTrainedModel", source: DataSource) -> Probe:
    """Return the first test sequences of a source and the logits of a model for them, computed one at a time.

    They are up to eight, fewer if they have many steps with many classes. If one has too many logits for a record, its
    first steps are used.

    Raises:
        InvalidConfigError: A logit is NaN or infinite.
    """
    import torch

    split = source.split("test")
    (batch,) = split.batches(0, _NUM_PROBES if split.size is None else min(_NUM_PROBES, split.size))
    outputs = split.schema.num_outputs(int(batch.lengths.max()))
    batch = batch[: max(1, _MAX_LOGITS // max(1, outputs))]
    if split.schema.has_tokenizer:
        return _probe_of_ids(model, source, batch)
    sequences = [inputs for inputs, _ in split.examples(batch)]
    vocabulary = split.schema.vocabulary
    if outputs > _MAX_LOGITS and vocabulary is not None and getattr(model.config, "num_steps", None) is None:
        steps = max(1, _MAX_LOGITS // split.schema.num_outputs(1))
        sequences = [vocabulary.separator.join(vocabulary.split(text)[:steps]) for text in sequences]
    logits = []
    model.eval()
    with torch.inference_mode():
        for sequence in sequences:
            if split.schema.vocabulary is not None:
                inputs = {"input_ids": torch.tensor([split.schema.vocabulary.encode(sequence)], device=model.device)}
            else:
                inputs = {"input_values": torch.tensor(sequence[None], device=model.device)}
            logits.append(model(**inputs).logits[0].float())
    _require_finite(logits, source)
    if split.schema.vocabulary is not None:
        return {"texts": sequences, "logits": [row.tolist() for row in logits]}
    return {
        "input_values": [sequence.tolist() for sequence in sequences],
        "logits": [row.tolist() for row in logits],
    }


def _probe_of_ids(model: "PreTrainedModel", source: DataSource, batch: Batch) -> Probe:
    """Return sequences of the ids of a tokenizer, with the texts that they stand for, and their logits."""
    import torch

    from seqhub.data.tokenizers import tokenizer_of_source

    tokenizer: Any = tokenizer_of_source(source)
    sequences = [row[:length].tolist() for row, length in zip(batch.inputs, batch.lengths, strict=True)]
    model.eval()
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float() for ids in sequences]
    _require_finite(logits, source)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in sequences]
    return {"texts": texts, "input_ids": sequences, "logits": [row.tolist() for row in logits]}


def _require_finite(logits: "list[Tensor]", source: DataSource) -> None:
    if not all(bool(row.isfinite().all()) for row in logits):
        raise InvalidConfigError(
            f"training of {source.task} diverged in its last steps; use a lower learning_rate or weight_decay"
        )
