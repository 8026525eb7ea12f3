"""Probe logits: the outputs of a model on a few test sequences, to verify a loaded copy."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.collate import CollatedArrays
from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.native_inference import NativeScorer
from seqhub.records.run import Probe

if TYPE_CHECKING:
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

    schema = source.schema
    model.eval()

    def logits_of(sequence: Any) -> Any:
        if schema.vocabulary is None:
            inputs = {"input_values": torch.tensor(sequence[None], device=model.device)}
        else:
            ids = sequence if schema.has_tokenizer else schema.vocabulary.encode(sequence)
            inputs = {"input_ids": torch.tensor([ids], device=model.device)}
        with torch.inference_mode():
            return model(**inputs).logits[0].float().cpu().numpy()

    return _probe(source, logits_of, getattr(model.config, "num_steps", None) is None)


def native_probe_logits(scorer: NativeScorer, source: DataSource) -> Probe:
    """Return the result of `probe_logits` for a natively trained model, which differs from it by rounding."""
    schema = source.schema

    def logits_of(sequence: Any) -> Any:
        if schema.vocabulary is None:
            inputs = sequence[None]
        else:
            ids = np.array([schema.vocabulary.encode(sequence)])
            inputs = ids.astype(np.uint8 if schema.vocabulary.bytewise else np.uint16)
        return scorer.outputs(CollatedArrays(inputs, np.array([len(inputs[0])]), np.empty(0), schema))[0]

    return _probe(source, logits_of, True)


def _probe(source: DataSource, logits_of: Callable[[Any], NDArray[np.floating]], any_length: bool) -> Probe:
    """Return the sequences of a probe with their logits.

    Args:
        source: Source of the rows.
        logits_of: Returns the logits of a sequence in human-readable form, or of the ids of a tokenizer.
        any_length: Whether the model accepts sequences of any length.
    """
    split = source.split("test")
    (batch,) = split.batches(0, _NUM_PROBES if split.size is None else min(_NUM_PROBES, split.size))
    outputs = split.schema.num_outputs(int(batch.lengths.max()))
    batch = batch[: max(1, _MAX_LOGITS // max(1, outputs))]
    sequences: list[Any]
    if split.schema.has_tokenizer:
        sequences = [row[:length].tolist() for row, length in zip(batch.inputs, batch.lengths, strict=True)]
        any_length = False  # texts of tokens are not shortened
    else:
        sequences = [inputs for inputs, _ in split.examples(batch)]
    vocabulary = split.schema.vocabulary
    if outputs > _MAX_LOGITS and vocabulary is not None and any_length:
        steps = max(1, _MAX_LOGITS // split.schema.num_outputs(1))
        sequences = [vocabulary.separator.join(vocabulary.split(text)[:steps]) for text in sequences]
    logits = [logits_of(sequence) for sequence in sequences]
    if not all(np.isfinite(row).all() for row in logits):
        raise InvalidConfigError(
            f"training of {source.task} diverged in its last steps; use a lower learning_rate or weight_decay"
        )
    if split.schema.has_tokenizer:
        from seqhub.data.tokenizers import tokenizer_of_source

        tokenizer: Any = tokenizer_of_source(source)
        texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in sequences]
        return {"texts": texts, "input_ids": sequences, "logits": [row.tolist() for row in logits]}
    if split.schema.vocabulary is not None:
        return {"texts": sequences, "logits": [row.tolist() for row in logits]}
    return {
        "input_values": [sequence.tolist() for sequence in sequences],
        "logits": [row.tolist() for row in logits],
    }
