"""Embedding of texts as sequences of chunk vectors for `documents/custom`, with a cache on disk.

Source: Pappagari et al. (2019), see `tasks.documents`. Pooling is the mean over the tokens of a chunk, including
special tokens, the default of Reimers & Gurevych (2019), "Sentence-BERT", EMNLP, section 3.
"""

import hashlib
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqhub.data.labelled_texts import text_rows
from seqhub.data.vectors import VectorRow
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.io import write_atomically

Floats = NDArray[np.float32]

_CHUNKS_AT_ONCE = 16


class Encoder:
    """Frozen encoder of `transformers` on the CPU, with a fast tokenizer.

    Args:
        name: Folder, or repository on a Hub.
        window: Number of tokens of a chunk, including special tokens.
        overlap: Number of tokens that consecutive chunks have in common.
        cache: Folder for computed vectors; None for no cache. The key of a vector is a hash of text, weights, tokenizer
            and settings, so a changed encoder does not use vectors of an earlier one.

    Attributes:
        width: Number of values of a vector.

    Raises:
        InvalidInputError: The encoder cannot be loaded, or is an encoder-decoder, or has no fast tokenizer.
        InvalidConfigError: A window that is longer than the encoder allows, or not longer than its overlap.
    """

    def __init__(self, name: str, *, window: int = 200, overlap: int = 50, cache: Path | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name)
            self._model = AutoModel.from_pretrained(name).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InvalidInputError(f"{name} cannot be loaded as an encoder: {reason}") from error
        config = self._model.config
        if getattr(config, "is_encoder_decoder", False) or not self._tokenizer.is_fast:
            raise InvalidInputError(
                f"{name} ({config.model_type}): must be an encoder-only model with a fast tokenizer"
            )
        longest = min(self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or window)
        added = self._tokenizer.num_special_tokens_to_add()
        if not 0 <= overlap < window - added or window > longest:
            raise InvalidConfigError(
                f"window={window}, overlap={overlap}: window must be at most {longest} tokens, and overlap from 0 to "
                f"less than window - {added}, the number of special tokens ({name})"
            )
        self.name = name
        self.width = int(config.hidden_size)
        self._chunking = {"max_length": window, "stride": overlap}
        self._cache = cache
        self._identity = self._chunking | {"pooling": "mean", "encoder": self._fingerprint()}

    def embed(self, text: str) -> Floats:
        """Return the vectors of the chunks of a text: (T, width), T at least 1.

        Each text is a separate batch, so its vectors do not depend on other texts.

        Raises:
            InvalidInputError: The text has no tokens, or a vector is not finite.
        """
        file = self._file(text)
        if file is not None and (cached := _read(file, self.width)) is not None:
            return cached
        tokens = self._tokenizer(
            text, truncation=True, return_overflowing_tokens=True, return_special_tokens_mask=True, **self._chunking
        )
        chunks = tokens["input_ids"]
        if all(map(all, tokens["special_tokens_mask"])):
            raise InvalidInputError(f"no tokens in text {text[:60]!r}; {self.name} needs at least one")
        vectors = np.concatenate(
            [self._pooled(chunks[start : start + _CHUNKS_AT_ONCE]) for start in range(0, len(chunks), _CHUNKS_AT_ONCE)]
        )
        if not np.isfinite(vectors).all():
            raise InvalidInputError(f"{self.name} returns values for {text[:60]!r} that are not finite")
        if file is not None:
            buffer = BytesIO()
            np.save(buffer, vectors)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, buffer.getvalue())
        return vectors

    def _pooled(self, chunks: list[list[int]]) -> Floats:
        """Return the mean over the tokens of each chunk, (N, width)."""
        longest = max(map(len, chunks))
        ids = torch.full((len(chunks), longest), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros(len(chunks), longest, dtype=torch.int64)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk)], mask[row, : len(chunk)] = torch.tensor(chunk), 1
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(2).float()
        means: Floats = ((states * weights).sum(dim=1) / weights.sum(dim=1)).numpy()
        return means

    def _fingerprint(self) -> str:
        """Return the SHA-256 of architecture, weights and tokenizer."""
        total = hashlib.sha256(self._tokenizer.backend_tokenizer.to_str().encode())
        config = self._model.config.to_diff_dict()
        config.pop("_name_or_path", None)
        total.update(json.dumps(config, sort_keys=True, default=str).encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            total.update(name.encode())
            total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
        return total.hexdigest()

    def _file(self, text: str) -> Path | None:
        if self._cache is None:
            return None
        identity: dict[str, Any] = {**self._identity, "text": text}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return self._cache / key[:2] / f"{key}.npy"


def embedded_csv(file: Path, encoder: Encoder, text: str = "text", label: str = "label") -> Iterator[VectorRow]:
    """Yield the vectors of every text of a table, with its label and split. The format is that of `sentiment/custom`.

    Args:
        file: A table in any format of `table_reader`.
        encoder: Encoder of the texts.
        text: Column with the texts.
        label: Column with the labels.

    Raises:
        InvalidInputError: No such file or columns, or a line without text or label. The message has the line.
    """
    for row in text_rows(file, text, label):
        yield VectorRow(encoder.embed(row.text), row.label, row.split)


def _read(file: Path, width: int) -> Floats | None:
    """Return cached vectors; None if the file is missing or damaged."""
    try:
        vectors: Floats = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = vectors.dtype == np.float32 and vectors.ndim == 2 and vectors.shape[1] == width and len(vectors) > 0
    return vectors if fits else None
