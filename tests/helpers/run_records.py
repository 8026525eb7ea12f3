"""Example records of runs and datasets, with metrics of simulated probabilities."""

from pathlib import Path
from typing import Any

import numpy as np

from seqhub.metrics.classification import classification_metrics
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.registry import resolve
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import Split

SIBLINGS = {"easy": 0.6, "normal": 0.3, "moderate": 0.02, "nightmare": 0.5}  # share of wrong answers


def first_rows(task_id: str, split: str, rows: int) -> Batch:
    """Return the first rows of a split."""
    return Split(task_id, split).blocks(0, -(-rows // BLOCK_SIZE))[:rows]


def metrics(task_id: str, split: str, rows: int, wrong: float) -> dict[str, Any]:
    """Return metrics of one split, in the format of `evaluate`."""
    task, _ = resolve(task_id)
    batch = first_rows(task_id, split, rows)
    random = np.random.default_rng(rows)
    probabilities = random.dirichlet((0.05, 0.05, 0.05, 0.05), rows) * 0.04
    probabilities[np.arange(rows), batch.labels] += 0.96
    missed = random.random(rows) < wrong
    probabilities[missed] = np.roll(probabilities[missed], 1, axis=1)
    return classification_metrics(probabilities, batch.labels, task.labels) | {
        "length": [int(batch.lengths.min()), int(batch.lengths.max())],
        "mean_length": float(batch.lengths.mean()),
        "seed": 0,
        "digest": f"{rows:064x}",
    }


def run_record(**changes: Any) -> RunRecord:
    """Return the record of a finished and evaluated run."""
    values: dict[str, Any] = {
        "task": "qrsu/hard",
        "model": "lstm",
        "model_config": {"hidden_size": 8, "initialization": "chrono", "chrono_max_steps": 110},
        "num_parameters": 580,
        "seed": 7,
        "training": {
            "address": "qrsu/hard",
            "model": "lstm",
            "hidden_size": 8,
            "initialization": "chrono",
            "chrono_max_steps": None,
            "data": "stream",
            "batch_size": 16,
            "optimizer": "adam",
            "learning_rate": 0.01,
            "trackers": [],
        },
        "data": {"task_version": 1, "source": "stream", "seed": 7, "rows": 5088, "digest": "cd34" * 16},
        "sequences_seen": 5088,
        "optimizer_steps": 318,
        "processes": 1,
        "criteria": {"accuracy>=0.999": 2560, "st3": 5088},
        "evaluation": {
            "validation": metrics("qrsu/hard", "validation", 3_000, 0.0),
            "test": metrics("qrsu/hard", "test", 2_560, 0.001),
            **{f"{name}/test": metrics(f"qrsu/{name}", "test", 2_000, wrong) for name, wrong in SIBLINGS.items()},
        },
        "timings": {"train": 3.214, "of which checks": 1.002, "evaluate": 2.517},
        "environment": {
            "python": "3.11.7",
            "cores": 2,
            "device": "cpu",
            "versions": {"torch": "2.13.0", "numpy": None},
        },
        "command": "seqhub train qrsu/hard --seed 7",
    }
    return RunRecord(**values | changes)


def dataset_record(**changes: Any) -> DatasetRecord:
    """Return the record of a built dataset of two configs, 40 rows each."""
    values: dict[str, Any] = {
        "task": "qrsu",
        "task_version": 1,
        "seed": 0,
        "configs": {name: _config(f"qrsu/{name}") for name in ("easy", "hard")},
        "seconds": 1.25,
        "environment": {"python": "3.11.7", "versions": {"seqhub": "0.1.0", "torch": None}},
        "command": "seqhub build qrsu",
    }
    return DatasetRecord(**values | changes)


def write_parquet(record: DatasetRecord, folder: Path) -> None:
    """Write the Parquet files of `record`, with the file names of an export."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, content in record.configs.items():
        (folder / name).mkdir()
        for split, facts in content["splits"].items():
            batch = first_rows(f"{record.task}/{name}", split, facts["rows"])
            table = pa.table({"text": batch.texts(), "label": batch.labels})
            pq.write_table(table, folder / name / f"{split}-00000-of-00001.parquet")


def _config(task_id: str) -> dict[str, Any]:
    task, _ = resolve(task_id)
    splits = {}
    for number, (split, rows) in enumerate({"train": 24, "validation": 8, "test": 8}.items()):
        batch = first_rows(task_id, split, rows)
        splits[split] = {
            "rows": rows,
            "digest": f"{number + 1:064x}",
            "bytes": 1_000 + 3 * rows,
            "labels": {label: int((batch.labels == i).sum()) for i, label in enumerate(task.labels)},
            "mean_length": float(batch.lengths.mean()),
        }
    return {
        "splits": splits,
        "overlap": {"train/validation": 0, "train/test": 0, "validation/test": 0},
        "examples": [list(Split(task_id, "train")[i]) for i in range(5)],
    }
