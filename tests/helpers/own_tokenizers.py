"""Small tokenizers of transformers, of the kinds of known models, trained on the texts of `own_files`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.helpers.own_files import reviews

_CHARACTERS = "".join(map(chr, range(32, 127))) + "ë很好"


def _gpt2() -> tuple[Tokenizer, Any, dict[str, str]]:
    """Byte-level BPE without padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"])
    return tokenizer, trainer, {"eos_token": "<|end|>"}


def _bert() -> tuple[Tokenizer, Any, dict[str, str]]:
    """WordPiece with padding 0, unknown tokens and a frame of special tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tokenizer, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special), names


def _roberta() -> tuple[Tokenizer, Any, dict[str, str]]:
    """Byte-level BPE with padding 1 and the start of a text 0."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return tokenizer, trainer, names | {"cls_token": "<s>", "sep_token": "</s>"}


def _t5() -> tuple[Tokenizer, Any, dict[str, str]]:
    """Unigram with unknown tokens 0 and padding 2."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "<pad>"], unk_token="<unk>")
    return tokenizer, trainer, {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>"}


def _qwen() -> tuple[Tokenizer, Any, dict[str, str]]:
    """Byte-level BPE without padding, with tokens that are not in the vocabulary of the model."""
    tokenizer, trainer, _ = _gpt2()
    trainer = trainers.BpeTrainer(vocab_size=290)
    return tokenizer, trainer, {"eos_token": "<|end|>", "bos_token": "<|start|>"}


KINDS: dict[str, Callable[[], tuple[Tokenizer, Any, dict[str, str]]]] = {
    "gpt2": _gpt2,
    "qwen": _qwen,
    "bert": _bert,
    "roberta": _roberta,
    "t5": _t5,
}


def save_tokenizer(kind: str, folder: Path) -> Path:
    """Train a tokenizer and save it as transformers does."""
    tokenizer, trainer, names = KINDS[kind]()
    tokenizer.train_from_iterator([*(text for text, _ in reviews()), _CHARACTERS], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder
