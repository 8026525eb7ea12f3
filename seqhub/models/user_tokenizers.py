"""Tokenizers of transformers for the texts of a file, renumbered so that padding has the id 0.

All batches, models and kernels of seqhub pad with 0. A tokenizer whose padding has another id gets a copy in which
padding and the token with the id 0 are exchanged, or in which a new padding token takes the id 0.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from seqhub._logging import quiet_transformers
from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import TokenizersBackend

_PADDING = "[PAD]"
_NEVER = -1e9  # score of tokens that no text is divided into
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@lru_cache(maxsize=2)
def load_tokenizer(name: str) -> "TokenizersBackend":
    """Return a tokenizer with padding on the right and the padding id 0.

    Args:
        name: Folder or repository.

    Raises:
        InvalidInputError: It cannot be loaded, needs code of its own, or is not a fast tokenizer.
    """
    from transformers import AutoTokenizer, TokenizersBackend

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # of transformers, huggingface_hub, tokenizers and the network
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(f"--tokens {name}: cannot be loaded as a tokenizer: {reason}") from None
    if not isinstance(tokenizer, TokenizersBackend):
        raise InvalidInputError(f"--tokens {name}: is not a fast tokenizer, which has a tokenizer.json")
    return renumbered(tokenizer)


def renumbered(tokenizer: "TokenizersBackend") -> "TokenizersBackend":
    """Return a copy of a tokenizer with padding on the right and the padding id 0, which needs no code of its own."""
    from tokenizers import Tokenizer
    from transformers import TokenizersBackend

    added = tokenizer.pad_token is None
    if added:
        tokenizer.add_special_tokens({"pad_token": _PADDING})
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    pad = tokenizer.pad_token_id
    if pad != 0:
        other = tokenizer.convert_ids_to_tokens(0)
        names = {tokenizer.pad_token: 0, other: pad}
        _exchange_in_model(content["model"], tokenizer.get_vocab() | names)
        for token in content["added_tokens"]:
            token["id"] = names.get(token["content"], token["id"])
        content["added_tokens"].sort(key=lambda token: token["id"])
        content["post_processor"] = _exchanged(content["post_processor"], names)
    content["padding"] = content["truncation"] = None
    special = {name: getattr(tokenizer, name, None) for name in _SPECIAL}
    return TokenizersBackend(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        padding_side="right",
        model_max_length=tokenizer.model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        **{name: token for name, token in special.items() if token is not None},
    )


def _exchange_in_model(model: dict[str, Any], ids: dict[str, int]) -> None:
    """Give all tokens of a model their new ids, also those that were added to its vocabulary."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        vocabulary.update(ids)
    elif isinstance(vocabulary, list):  # Unigram: the id is the place
        unknown = None if model.get("unk_id") is None else vocabulary[model["unk_id"]][0]
        scores = dict(vocabulary)
        tokens = {number: token for token, number in ids.items()}
        model["vocab"] = [
            [token := tokens.get(number, f"[unused {number}]"), scores.get(token, _NEVER)]
            for number in range(max(tokens) + 1)
        ]
        if unknown is not None:
            model["unk_id"] = ids[unknown]


def _exchanged(part: Any, names: dict[str, int]) -> Any:
    """Return a post-processor with the exchanged ids of tokens."""
    if isinstance(part, list):
        if len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int):
            return [part[0], names.get(part[0], part[1])]
        return [_exchanged(each, names) for each in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("ids"), list) and isinstance(part.get("tokens"), list):
        pairs = zip(part["tokens"], part["ids"], strict=True)
        return part | {"ids": [names.get(token, number) for token, number in pairs]}
    return {name: _exchanged(value, names) for name, value in part.items()}
