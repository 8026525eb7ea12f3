"""Load a published model as a stranger does, and measure it. Imports nothing of seqhub, and is run where it cannot.

    python standalone.py JOB RESULT

JOB is a JSON file: {"model": folder or repository, "trust_remote_code": bool, "texts": [...], "cache": folder,
"rows": {name: how}}, where `how` is {"parquet": file} or {"dataset": folder or repository, "config": name, "split":
name}. RESULT is written as JSON: {"logits": [[...]] of the texts, one by one, "rows": {name: {"confusion": [[...]],
"loss": nats}}}.
"""

import json
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_BATCH_SIZE = 500


class _NoSeqhub(MetaPathFinder):
    """Stands before every other finder, so that seqhub is not there, installed or not."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "seqhub":
            raise ImportError("seqhub is kept out of this process on purpose")
        return None


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job, see the top of this file."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(1)
    trust = job["trust_remote_code"]
    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"], trust_remote_code=trust, use_safetensors=True
    )
    model.eval()
    # trust is told here too: the tokenizer needs no code, but its loader reads config.json, and would ask on stdin
    tokenizer = AutoTokenizer.from_pretrained(job["model"], trust_remote_code=trust)
    with torch.inference_mode():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0].tolist() for text in job["texts"]]
        rows = {name: _confusion(model, tokenizer, *_rows(how, job["cache"])) for name, how in job["rows"].items()}
    return {"logits": logits, "rows": rows}


def _rows(how: dict[str, str], cache: str) -> tuple[Any, list[str]]:
    """The rows of a split, and its class names in the order of the label ids."""
    from datasets import load_dataset

    if "parquet" in how:
        dataset = load_dataset("parquet", data_files=how["parquet"], split="train", cache_dir=cache)
    else:
        dataset = load_dataset(how["dataset"], how["config"], split=how["split"], cache_dir=cache)
    return dataset, dataset.features["label"].names


def _confusion(model: Any, tokenizer: Any, dataset: Any, names: list[str]) -> dict[str, Any]:
    """Counts by true class (row) and answer (column), and mean cross-entropy in nats."""
    import torch

    own = [model.config.id2label[i] for i in range(len(model.config.id2label))]
    if names != own:
        raise ValueError(f"the dataset's classes are {names}, the model's {own}")
    confusion = torch.zeros(len(names), len(names), dtype=torch.int64)
    loss = 0.0
    for batch in _batches(dataset):
        inputs = tokenizer(batch["text"], padding=True, return_tensors="pt")
        labels = torch.tensor(batch["label"])
        logits = model(**inputs).logits
        loss += float(torch.nn.functional.cross_entropy(logits.double(), labels, reduction="sum"))
        confusion.index_put_((labels, logits.argmax(dim=-1)), torch.ones(1, dtype=torch.int64), accumulate=True)
    return {"confusion": confusion.tolist(), "loss": loss / len(dataset)}


def _batches(dataset: Any) -> Iterator[dict[str, list[Any]]]:
    for start in range(0, len(dataset), _BATCH_SIZE):
        yield dataset[start : start + _BATCH_SIZE]


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoSeqhub())
    result = measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if any(name.partition(".")[0] == "seqhub" for name in sys.modules):
        raise SystemExit("seqhub was imported, so this proves nothing")
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
