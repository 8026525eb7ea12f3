"""Load back what was published and hold it against its record: files, rows, logits and numbers."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqhub.data.digest import digest
from seqhub.data.table import rows_table
from seqhub.errors import CorruptFileError, InvalidInputError, VerificationError
from seqhub.evaluation import standalone
from seqhub.evaluation.evaluate import MOST_ROWS
from seqhub.evaluation.loading import check_files, load_model, quiet_datasets, quiet_transformers
from seqhub.records import DatasetRecord, RunRecord, what_else
from seqhub.tasks.base import Task
from seqhub.tasks.registry import get_task, resolve
from seqhub.tasks.splits import Split

LOGIT_TOLERANCE = 1e-4  # float32 rounding differs between processors and batch shapes

_SECONDS = 600  # until a process that loads a model back is given up


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    recorded: str
    found: str
    agrees: bool


class Published(NamedTuple):
    """Where a model and its dataset stand on a Hub."""

    endpoint: str  # address of the Hub
    model: str  # namespace/name
    dataset: str  # namespace/name


def verify(
    folder: Path, *, alone: bool = False, dataset: Path | None = None, published: Published | None = None
) -> list[Finding]:
    """Hold a model or dataset folder against its record.

    A model: every file's SHA-256; the logits of the probe sequences; the rows it was measured on, made again; accuracy
    and confusion matrix on them. A dataset, loaded by plain `datasets`: rows, digest and labels of every split, against
    its record, against the task's rule, and against the rows that the task draws.

    Args:
        folder: Holds run.json or dataset.json.
        alone: Load the model in a fresh process that has no seqhub, by the code in its own folder. That code is run:
            use it for folders you trust.
        dataset: A built dataset folder to take the rows from, by plain `datasets`; else they are drawn again. Its rows
            must be those that the model was measured on.
        published: Load model and rows from a Hub instead, as anybody does, in a fresh process that has no seqhub.

    Returns:
        What was found, in order; all agree, or it is not what its record says.

    Raises:
        FileNotFoundError: The folder holds no record.
        CorruptFileError: A record that cannot be read, or weights that do not fit their config.json.
        InvalidInputError: `alone` or `dataset` for a dataset, or a dataset of other rows.
        VerificationError: The model cannot be loaded back; the message says why.
    """
    folder = Path(folder)
    if (folder / RunRecord.FILE_NAME).is_file():
        return list(_verify_model(folder, alone or published is not None, dataset, published))
    if not (folder / DatasetRecord.FILE_NAME).is_file():
        names = f"no {RunRecord.FILE_NAME} and no {DatasetRecord.FILE_NAME}"
        raise FileNotFoundError(f"{names} in {folder}{what_else(folder)}")
    if alone or dataset is not None:
        raise InvalidInputError(f"{folder} holds a dataset; alone and dataset are for models")
    return list(_verify_dataset(folder))


def _verify_model(folder: Path, alone: bool, dataset: Path | None, published: Published | None) -> Iterator[Finding]:
    record = RunRecord.load(folder)
    task, config = resolve(record.address)
    try:
        check_files(folder, record)
    except CorruptFileError as error:
        yield Finding("files", f"{len(record.files)} SHA-256", str(error).removeprefix(f"{folder}/"), False)
        return
    yield Finding("files", f"{len(record.files)} SHA-256", "the same", True)

    texts, recorded_logits = _probe(record, folder, len(task.labels))
    own = [split for split in record.evaluation if "/" not in split]
    if dataset is not None:
        _require_rows(dataset, record, own)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        rows: dict[str, Any] = {}
        for split in own:
            measured = record.evaluation[split]
            if measured["examples"] > MOST_ROWS:
                claim = f"{measured['examples']} {split} sequences"
                raise CorruptFileError(f"{folder / RunRecord.FILE_NAME} claims {claim}; at most {MOST_ROWS:,} can be")
            table = rows_table(Split(record.address, split, measured["seed"]), 0, measured["examples"])
            table = table.replace_schema_metadata(_features(task.labels))
            found = digest(table)
            yield Finding(f"{split} rows", measured["digest"], found, found == measured["digest"])
            pq.write_table(table, Path(scratch) / f"{split}.parquet")
            rows[split] = {"parquet": str(Path(scratch) / f"{split}.parquet")}
            where = published.dataset if published else str(dataset.resolve()) if dataset else None
            if where is not None:
                rows[split] = {"dataset": where, "config": config.name, "split": split}
        job = {
            "model": published.model if published else str(folder.resolve()),
            "trust_remote_code": alone,
            "texts": texts,
            "cache": scratch,
            "rows": rows,
        }
        endpoint = published.endpoint if published else None
        result = _measure_alone(job, Path(scratch), endpoint) if alone else _measure_here(job)

    difference = float(np.abs(np.array(result["logits"]) - np.array(recorded_logits)).max())
    yield Finding(
        f"logits of {len(texts)} sequences", f"within {LOGIT_TOLERANCE:g}", f"{difference:.1e} off",
        difference <= LOGIT_TOLERANCE,
    )  # fmt: skip
    for split in own:
        recorded, found = record.evaluation[split]["confusion"], result["rows"][split]["confusion"]
        share = float(np.trace(found) / np.sum(found))
        agrees = found == recorded and abs(result["rows"][split]["loss"] - record.evaluation[split]["loss"]) < 1e-4
        yield Finding(f"{split} accuracy", f"{record.evaluation[split]['accuracy']:.4f}", f"{share:.4f}", agrees)


def _verify_dataset(folder: Path) -> Iterator[Finding]:
    import datasets
    from datasets.exceptions import DatasetsError

    record = DatasetRecord.load(folder)
    task = get_task(record.task)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        for config, facts in record.configs.items():
            for split, recorded in facts["splits"].items():
                what = f"{config} {split}"
                try:
                    with quiet_datasets():
                        rows = datasets.load_dataset(str(folder.resolve()), config, split=split, cache_dir=scratch)
                    table = rows.with_format("arrow")[:]
                    found = digest(table)
                    wrong = _wrong_labels(task, table)
                except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, DatasetsError) as error:
                    yield Finding(what, "rows that load", _reason(error), False)
                    continue
                yield Finding(f"{what} rows", str(recorded["rows"]), str(len(rows)), len(rows) == recorded["rows"])
                yield Finding(f"{what} digest", recorded["digest"], found, found == recorded["digest"])
                drawn = digest(rows_table(Split(f"{record.task}/{config}", split, record.seed), 0, len(rows)))
                yield Finding(f"{what} drawn again", found, drawn, drawn == found)
                yield Finding(f"{what} labels by the rule", "0 wrong", f"{wrong} wrong", wrong == 0)


def _wrong_labels(task: Task[Any], rows: pa.Table) -> int:
    """How many rows have another label than the task's rule gives them; texts that it cannot draw have none."""
    texts, labels = rows["text"].to_pylist(), rows["label"].to_pylist()
    try:
        right = task.solve_batch(texts)
    except InvalidInputError:
        right = [_solve(task, text) for text in texts]
    names = dict(enumerate(task.labels))
    return sum(names.get(label) != name for name, label in zip(right, labels, strict=True))


def _solve(task: Task[Any], text: str) -> Any:
    try:
        return task.solve(text)
    except InvalidInputError:
        return "none"


def _probe(record: RunRecord, folder: Path, classes: int) -> tuple[list[str], list[list[float]]]:
    """The sequences that the record has logits of, and these."""
    texts, logits = record.probe.get("texts"), record.probe.get("logits")
    if texts and isinstance(texts, list) and isinstance(logits, list) and len(texts) == len(logits):
        task, _ = resolve(record.address)
        for text in texts:
            task.encode(str(text))
        if all(isinstance(row, list) and len(row) == classes for row in logits):
            return texts, logits
    raise CorruptFileError(f"{folder / RunRecord.FILE_NAME} has no sequences with their logits to compare the model by")


def _require_rows(dataset: Path, record: RunRecord, splits: list[str]) -> None:
    """Raise unless a dataset folder has the rows that a model was measured on."""
    built = DatasetRecord.load(dataset)
    name, _, config = record.address.partition("/")
    if built.task != name or config not in built.configs:
        raise InvalidInputError(f"{dataset} holds {built.task} ({', '.join(built.configs)}), not {record.address}")
    for split in splits:
        facts, measured = built.configs[config]["splits"].get(split), record.evaluation[split]
        if facts is None or facts["digest"] != measured["digest"]:
            rows = f"the {measured['examples']:,} of seed {measured['seed']} that the model was measured on"
            raise InvalidInputError(f"{dataset} has other {split} rows than {rows}")


def _features(labels: tuple[str, ...]) -> dict[str, str]:
    """Schema metadata that tells `datasets` the class names, as its own files have it."""
    from datasets import ClassLabel, Features, Value

    schema = Features({"text": Value("string"), "label": ClassLabel(names=list(labels))}).arrow_schema
    return {key.decode(): value.decode() for key, value in schema.metadata.items()}


def _measure_here(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["model"])
    load_model(folder)  # says more clearly what does not fit together
    try:
        with quiet_transformers(), quiet_datasets():
            return standalone.measure(job)
    except Exception as error:  # as in a process of its own: whatever goes wrong is the folder's fault
        raise VerificationError(f"{folder} could not be loaded back: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of an error, or of the one that it came from, which is nearer to what happened."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _measure_alone(job: dict[str, Any], scratch: Path, endpoint: str | None = None) -> dict[str, Any]:
    """Run `standalone` in a process without seqhub, in an empty folder, with caches of its own and nobody's token."""
    job_file, result_file = scratch / "job.json", scratch / "result.json"
    job_file.write_text(json.dumps(job), encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE_"))}
    variables |= {
        "HF_HOME": str(scratch / "hf-home"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    if endpoint is not None:
        variables |= {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        for name in ("NO_PROXY", "no_proxy"):  # a Hub on this machine is not to be looked for behind a proxy
            variables[name] = ",".join(filter(None, (variables.get(name), "127.0.0.1", "localhost")))
    command = [sys.executable, "-I", standalone.__file__, str(job_file), str(result_file)]
    empty = scratch / "empty"
    empty.mkdir()
    try:
        done = subprocess.run(
            command,
            cwd=empty,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VerificationError(f"{job['model']} was not loaded back within {_SECONDS} s") from None
    if done.returncode or not result_file.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise VerificationError(f"{job['model']} could not be loaded back in a process without seqhub: {last}")
    result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    return result
