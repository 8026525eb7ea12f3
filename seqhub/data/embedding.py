"""Real texts as sequences of chunk vectors, for `documents/custom`: cut into windows, embedded, kept on disk.

Source: Pappagari et al. (2019), see `tasks.documents`. Pooling is the mean over the tokens of a chunk, special ones
included, as Reimers & Gurevych (2019), "Sentence-BERT", EMNLP, section 3, have it by default.
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

from seqhub.data.tabular import text_rows
from seqhub.data.vectors import VectorRow
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.io import write_atomically

Floats = NDArray[np.float32]

_CHUNKS_AT_ONCE = 16


class Encoder:
    """Any encoder of `transformers` with a fast tokenizer; it stays on the CPU and is not trained.

    Args:
        name: A folder, or a repository on a Hub.
        window: Tokens of a chunk, those that the tokenizer adds included.
        overlap: Tokens that a chunk shares with the one before.
        cache: Folder where vectors are kept; None for nowhere. They are found again by text, weights, tokenizer and
            settings: not by names, so a changed encoder finds nothing of the old one's.

    Attributes:
        width: Values of a vector.

    Raises:
        InvalidInputError: It cannot be loaded, or is none that turns tokens into one vector each.
        InvalidConfigError: Windows longer than the encoder allows, or not longer than what they share.
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
            raise InvalidInputError(f"{name} ({config.model_type}); need an encoder alone, with a fast tokenizer")
        longest = min(self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or window)
        added = self._tokenizer.num_special_tokens_to_add()
        if not 0 <= overlap < window - added or window > longest:
            raise InvalidConfigError(
                f"window {window} and overlap {overlap} for {name}; need a window of at most {longest} tokens, {added} "
                "of which it adds, and an overlap below the others"
            )
        self.name = name
        self.width = int(config.hidden_size)
        self._cut = {"max_length": window, "stride": overlap}
        self._cache = cache
        self._identity = self._cut | {"pooling": "mean", "encoder": self._fingerprint()}

    def embed(self, text: str) -> Floats:
        """The vectors of the chunks of a text: (T, width), T at least 1.

        The chunks of one text are a batch of their own, so what they become depends on no other text.

        Raises:
            InvalidInputError: The text has no tokens, or a vector is not finite.
        """
        file = self._file(text)
        if file is not None and (known := _read(file, self.width)) is not None:
            return known
        cut = self._tokenizer(
            text, truncation=True, return_overflowing_tokens=True, return_special_tokens_mask=True, **self._cut
        )
        chunks = cut["input_ids"]
        if all(map(all, cut["special_tokens_mask"])):
            raise InvalidInputError(f"no tokens in text {text[:60]!r}, so no chunks; {self.name} needs one or more")
        vectors = np.concatenate(
            [self._pooled(chunks[start : start + _CHUNKS_AT_ONCE]) for start in range(0, len(chunks), _CHUNKS_AT_ONCE)]
        )
        if not np.isfinite(vectors).all():
            raise InvalidInputError(f"{self.name} makes values of {text[:60]!r} that are not finite")
        if file is not None:
            buffer = BytesIO()
            np.save(buffer, vectors)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, buffer.getvalue())
        return vectors

    def _pooled(self, chunks: list[list[int]]) -> Floats:
        """Means over the tokens of each chunk, (N, width)."""
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
        """SHA-256 of everything that decides a vector: architecture, weights, tokenizer."""
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
        facts: dict[str, Any] = {**self._identity, "text": text}
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return self._cache / key[:2] / f"{key}.npy"


def embedded_csv(file: Path, encoder: Encoder, text: str = "text", label: str = "label") -> Iterator[VectorRow]:
    """Every text of a table as vectors, with its label and split; read as a file for `sentiment/custom` is.

    Args:
        file: CSV, TSV, JSON lines, Parquet or Arrow, see `tabular`.
        encoder: Makes the vectors.
        text: Column with the texts.
        label: Column with the labels.

    Raises:
        InvalidInputError: No such file or columns, or a line without text or label. The message names the line.
    """
    for row in text_rows(file, text, label):
        yield VectorRow(encoder.embed(row.text), row.label, row.split)


def _read(file: Path, width: int) -> Floats | None:
    """Vectors that were kept; None where there are none, or a file that is not whole."""
    try:
        vectors: Floats = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = vectors.dtype == np.float32 and vectors.ndim == 2 and vectors.shape[1] == width and len(vectors) > 0
    return vectors if fits else None
