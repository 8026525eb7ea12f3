"""Loading and evaluation of a published model without seqhub. This file does not import seqhub.

    python remote.py JOB RESULT

JOB is a JSON file: {"model": folder or repository, "auto_class": name, "trust_remote_code": bool, "target": see
`tasks.schema.TaskSchema`, "tolerance": number, "max_target": most symbols of a target, "confusion": bool, "batch_size":
number of sequences, "probe": {"texts", "input_ids" or "input_values": [...]}, "cache": folder, "rows": {name:
source}}, where `source` is {"parquet": file} or {"dataset": folder or repository, "config": name, "split": name}.

RESULT is written as JSON: {"logits": logits of each probe sequence, computed one at a time, "rows": {name: {"counted":
number of sequences, or of steps for a target at each step, "right": number of correct ones, "loss": mean in nats, or
mean squared error, or half the squared errors of the logistic outputs of classes, "confusion": counts by true class
(row) and prediction (column), if the job asks for it, "labels": for each of several labels the numbers of right
predictions, of predictions and of rows that have it, "token_accuracy" and "edit_distance" of targets that are
sequences}}}.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_NO_LABEL = -100  # label of a step that does not count


class _NoSeqhub(MetaPathFinder):
    """Import finder that raises ImportError for seqhub, even if it is installed."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "seqhub":
            raise ImportError("seqhub is excluded from this process")
        return None


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job; see the docstring of this module."""
    import torch
    import transformers

    torch.set_num_threads(1)
    trust = job["trust_remote_code"]
    auto_class = getattr(transformers, job["auto_class"])
    model = auto_class.from_pretrained(job["model"], trust_remote_code=trust, use_safetensors=True)
    model.eval()
    tokenizer = None
    if "texts" in job["probe"] or job["target"] == "sequence":
        # the tokenizer needs no remote code, but its loader reads config.json and would ask on standard input
        tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"], trust_remote_code=trust)
    (probes,) = job["probe"].values()
    with torch.inference_mode():
        texts = tokenizer if "texts" in job["probe"] else None
        kind = next(iter(job["probe"]))
        logits = [model(**_inputs(texts, [probe], kind)).logits[0].tolist() for probe in probes]
        evaluate = _evaluate_sequences if job["target"] == "sequence" else _evaluate
        rows = {
            name: evaluate(model, tokenizer, _load_rows(source, job["cache"]), job)
            for name, source in job["rows"].items()
        }
    return {"logits": logits, "rows": rows}


def _load_rows(source: dict[str, str], cache: str) -> Any:
    """Load the rows of a split."""
    from datasets import load_dataset

    if "parquet" in source:
        return load_dataset("parquet", data_files=source["parquet"], split="train", cache_dir=cache)
    return load_dataset(source["dataset"], source["config"], split=source["split"], cache_dir=cache)


def _inputs(tokenizer: Any, sequences: list[Any], kind: str = "input_values") -> dict[str, Any]:
    """Return a batch of texts, of ids, or of real values (steps, features), padded on the right."""
    import torch

    if tokenizer is not None:
        return dict(tokenizer(sequences, padding=True, return_tensors="pt"))
    ids = kind == "input_ids"
    values = [torch.tensor(each, dtype=torch.int64 if ids else torch.float32) for each in sequences]
    pad = torch.nn.utils.rnn.pad_sequence
    masks = [torch.ones(len(each), dtype=torch.int64) for each in values]
    return {kind: pad(values, batch_first=True), "attention_mask": pad(masks, batch_first=True)}


def _batch_inputs(tokenizer: Any, batch: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the inputs of rows of a dataset, see `_inputs`."""
    kind = "input_values" if "input_values" in batch else "input_ids" if "input_ids" in batch else "text"
    return _inputs(tokenizer if kind == "text" else None, batch[kind], kind)


def _evaluate(model: Any, tokenizer: Any, dataset: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a model on a split; see RESULT."""
    import torch

    counted, correct, loss = 0, 0, 0.0
    logistic = getattr(model.config, "logistic_outputs", False)
    confusion = None
    if job["target"] == "multi_label":
        return _evaluate_labels(model, tokenizer, dataset, job)
    if job["target"] in ("class", "step_class"):
        classes = len(_class_names(model, dataset))
        if job["confusion"]:
            confusion = torch.zeros(classes, classes, dtype=torch.int64)
    for batch in _batches(dataset, job["batch_size"]):
        inputs = _batch_inputs(tokenizer, batch)
        logits = model(**inputs).logits.float()
        if job["target"] in ("number", "numbers", "inputs"):
            numbers = batch.get("label") or batch.get("labels")
            errors, losses = _real_errors(logits.sigmoid() if logistic else logits, inputs, numbers)
            counted += len(errors)
            correct += int((errors <= job["tolerance"]).sum())
            loss += float(losses.double().sum())
            continue
        scores, labels = _scores_and_labels(logits, inputs, batch, job["target"])
        predictions = scores.argmax(dim=-1)
        counted += len(labels)
        correct += int((predictions == labels).sum())
        if logistic:
            single = logits.size(-1) == 1
            outputs = (scores[:, 1:] if single else scores).double().sigmoid()
            targets = labels[:, None] if single else torch.nn.functional.one_hot(labels, scores.size(-1))
            loss += float((outputs - targets).square().sum()) / 2
        else:
            loss += float(torch.nn.functional.cross_entropy(scores.double(), labels, reduction="sum"))
        if confusion is not None:
            confusion.index_put_((labels, predictions), torch.ones(1, dtype=torch.int64), accumulate=True)
    result = {"counted": counted, "right": correct, "loss": loss / counted}
    return result if confusion is None else result | {"confusion": confusion.tolist()}


def _evaluate_labels(model: Any, tokenizer: Any, dataset: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a model that predicts any number of labels; see RESULT."""
    import torch

    names = _class_names(model, dataset)
    exact, loss, counts = 0, 0.0, torch.zeros(len(names), 3, dtype=torch.int64)
    for batch in _batches(dataset, job["batch_size"]):
        inputs = _batch_inputs(tokenizer, batch)
        logits = model(**inputs).logits.double()
        held = torch.zeros(logits.shape, dtype=torch.float64)
        for row, numbers in enumerate(batch["labels"]):
            held[row, numbers] = 1
        predicted = logits > 0
        exact += int((predicted == held.bool()).all(dim=1).sum())
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, held, reduction="none")
        loss += float(losses.mean(dim=1).sum())
        counts += torch.stack([(predicted & held.bool()).sum(0), predicted.sum(0), held.bool().sum(0)], dim=1)
    return {"counted": len(dataset), "right": exact, "loss": loss / len(dataset), "labels": counts.tolist()}


def _evaluate_sequences(model: Any, tokenizer: Any, dataset: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a model whose targets are sequences; see RESULT."""
    import torch

    end = model.config.eos_token_id
    exact, tokens, shares, distance, loss = 0, 0, 0.0, 0.0, 0.0
    for batch in _batches(dataset, job["batch_size"]):
        inputs = _inputs(tokenizer, batch["text"]) if "text" in batch else _inputs(None, batch["input_values"])
        targets = [[*ids, end] for ids in tokenizer(batch["target"])["input_ids"]]
        rows = [torch.tensor(ids) for ids in targets]
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_NO_LABEL)
        logits = model(**inputs, labels=labels).logits.double()
        counted = labels != _NO_LABEL
        hits = (logits.argmax(dim=-1) == labels) & counted
        right = (hits == counted).all(dim=1)
        exact += int(right.sum())
        tokens += int(counted.sum())
        shares += float((hits.sum(dim=1).double() / counted.sum(dim=1)).sum())
        loss += float(torch.nn.functional.cross_entropy(logits[counted], labels[counted], reduction="sum"))
        if right.all():
            continue
        wrong = {name: tensor[~right] for name, tensor in inputs.items()}
        outputs = model.generate(**wrong, max_new_tokens=job["max_target"] + 1, do_sample=False, num_beams=1)
        for row, ids in zip((~right).nonzero().flatten().tolist(), outputs[:, 1:].tolist(), strict=True):
            found = ids[: ids.index(end)] if end in ids else ids
            distance += _edits(found, targets[row][:-1]) / max(len(found), len(targets[row]) - 1)
    shown = {"token_accuracy": shares / len(dataset), "edit_distance": distance / len(dataset)}
    return {"counted": len(dataset), "right": exact, "loss": loss / tokens, **shown}


def _edits(one: list[int], other: list[int]) -> int:
    """Return the edit distance of two sequences, see `seqhub.metrics.edit_distance`."""
    before = list(range(len(other) + 1))
    for row, symbol in enumerate(one, start=1):
        current = [row]
        for column, against in enumerate(other, start=1):
            current.append(min(before[column - 1] + (symbol != against), before[column] + 1, current[-1] + 1))
        before = current
    return before[-1]


def _class_names(model: Any, dataset: Any) -> list[str]:
    """Return the class names of a dataset.

    Raises:
        ValueError: The classes of the model differ; a single logit has the name of the second class.
    """
    features = dataset.features
    names: list[str] = (features["labels"].feature if "labels" in features else features["label"]).names
    own = [model.config.id2label[i] for i in range(len(model.config.id2label))]
    unnamed = own == [f"LABEL_{i}" for i in range(len(own))]  # default names of transformers
    if len(own) != len(names) if unnamed and len(own) > 1 else own != (names[1:] if len(own) == 1 else names):
        raise ValueError(f"classes of the model: {own}; must be {names}, as in the dataset")
    return names


def _scores_and_labels(logits: Any, inputs: dict[str, Any], batch: dict[str, Any], target: str) -> tuple[Any, Any]:
    """Return scores (N, C) and labels (N,) of all sequences, or of all steps that count."""
    import torch

    if logits.size(-1) == 1:  # a single logit for the second of two classes
        logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    if target == "class":
        return logits, torch.tensor(batch["label"])
    if target == "step_class":
        steps = [torch.tensor(each) for each in batch["labels"]]
        labels = torch.nn.utils.rnn.pad_sequence(steps, batch_first=True, padding_value=_NO_LABEL)
    else:  # next_symbol: the label is the symbol of the next step
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, _NO_LABEL)[:, 1:]
        logits = logits[:, :-1]
    counts = labels != _NO_LABEL
    return logits[counts], labels[counts]


def _real_errors(logits: Any, inputs: dict[str, Any], numbers: list[Any] | None) -> tuple[Any, Any]:
    """Return errors to compare with the tolerance, (B,), and squared errors, (B,), of numbers or whole sequences.

    Of several numbers, these are the largest error and the mean squared error.
    """
    import torch

    if numbers is not None and isinstance(numbers[0], list):
        several = (logits - torch.tensor(numbers)).abs()
        return several.amax(dim=1), several.square().mean(dim=1)
    if numbers is not None:
        errors = (logits[..., 0] - torch.tensor(numbers)).abs()
        return errors, errors.square()
    mask = inputs["attention_mask"]
    by_step = (logits.flatten(2) - inputs["input_values"].flatten(2)).square().mean(dim=-1)
    errors = (by_step * mask).sum(dim=1) / mask.sum(dim=1)
    return errors, errors


def _batches(dataset: Any, size: int) -> Iterator[dict[str, list[Any]]]:
    for start in range(0, len(dataset), size):
        yield dataset[start : start + size]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("job", type=Path)
    parser.add_argument("result", type=Path)
    given = parser.parse_args()
    sys.meta_path.insert(0, _NoSeqhub())
    result = measure(json.loads(given.job.read_text(encoding="utf-8")))
    if any(name.partition(".")[0] == "seqhub" for name in sys.modules):
        raise SystemExit("seqhub was imported; the process must not use it")
    given.result.write_text(json.dumps(result), encoding="utf-8")
