"""Comparison of a saved model or dataset with its record: files, rows, logits and metrics."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqhub._logging import quiet_datasets, quiet_transformers
from seqhub.data.arrow import rows_table
from seqhub.data.digest import digest
from seqhub.data.source import DataSource
from seqhub.data.user_sources import resolve_file
from seqhub.errors import CorruptFileError, InvalidInputError, VerificationError
from seqhub.evaluation.evaluate import MAX_ROWS
from seqhub.evaluation.load import check_files, load_model
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.records import DatasetRecord, RunRecord
from seqhub.records.folders import other_content
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.verification import remote

LOGIT_TOLERANCE = 1e-4  # float32 rounding differs between processors and batch shapes
OUTPUT_TOLERANCE = 1e-6  # the same for outputs of the target number

_TARGET_TOLERANCE = 1e-6  # between the result of `solve` and the published float32
_BATCH_ROWS = 4096
_BATCH_SIZE = 500  # sequences of a model
_TIMEOUT = 600  # seconds for the isolated process


class Finding(NamedTuple):
    """Result of one comparison."""

    what: str
    recorded: str
    found: str
    agrees: bool


class Published(NamedTuple):
    """Repositories of a model and its dataset on a Hub."""

    endpoint: str  # URL of the Hub
    model: str  # namespace/name
    dataset: str  # namespace/name


def verify(
    folder: Path | str,
    *,
    isolated: bool = False,
    trust_remote_code: bool = False,
    dataset: Path | None = None,
    published: Published | None = None,
) -> list[Finding]:
    """Compare a model or dataset folder with its record.

    For a model: the SHA-256 of every file, the logits of the probe sequences, the generated rows that it was evaluated
    on, and the accuracy, loss and confusion matrix, or the mean squared error, on these rows. For a dataset, loaded by
    `datasets` alone: the rows, digest and targets of every split, compared with its record, with the task's definition
    and with newly generated rows.

    Args:
        folder: Folder with run.json or dataset.json.
        isolated: Load the model in a new process without seqhub, with the code in its folder. This executes that code:
            use it only for folders that you trust.
        trust_remote_code: Consent to run the code of a wrapped module, see `evaluation.load.load_model`; given with
            `isolated`.
        dataset: Built dataset folder to read the rows from, with `datasets` alone; None to generate them. Its rows must
            be those that the model was evaluated on. For a run on a file: that file, or the id of a dataset of a Hub,
            which is required.
        published: Load model and rows from a Hub, like any client, in a new process without seqhub.

    Returns:
        The findings in order; a folder agrees with its record if all of them agree.

    Raises:
        FileNotFoundError: The folder has no record.
        CorruptFileError: The record cannot be read, or the weights do not fit their config.json.
        InvalidInputError: `isolated` or `dataset` is given for a dataset; or the dataset or file has other rows; or the
            file of the run is missing.
        VerificationError: The model cannot be loaded; the message has the reason.
    """
    folder = Path(folder)
    if (folder / RunRecord.FILE_NAME).is_file():
        isolated = isolated or published is not None
        return list(_verify_model(folder, isolated, trust_remote_code, dataset, published))
    if not (folder / DatasetRecord.FILE_NAME).is_file():
        names = f"no {RunRecord.FILE_NAME} and no {DatasetRecord.FILE_NAME}"
        raise FileNotFoundError(f"{names} in {folder}{other_content(folder)}")
    if isolated or dataset is not None:
        raise InvalidInputError(f"{folder} is a dataset; isolated and dataset are only for models")
    return list(_verify_dataset(folder))


def _verify_model(
    folder: Path, isolated: bool, trusted: bool, dataset: Path | None, published: Published | None
) -> Iterator[Finding]:
    record = RunRecord.load(folder)
    config = record.task.config
    file = None
    if record.task.is_custom:
        file, dataset = (None if dataset is None else resolve_file(dataset)), None
    source = DataSource.of_run(record, file, folder)
    schema = source.schema
    try:
        check_files(folder, record)
    except CorruptFileError as error:
        yield Finding("files", f"{len(record.files)} SHA-256", str(error).removeprefix(f"{folder}/"), False)
        return
    yield Finding("files", f"{len(record.files)} SHA-256", "the same", True)

    record.require_metrics(schema)
    probe, recorded_logits = _probe(record, folder, schema)
    own = [split for split in record.evaluation if "/" not in split]
    if dataset is not None:
        _require_rows(dataset, record, own)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        rows: dict[str, Any] = {}
        for split in own:
            measured = record.evaluation[split]
            source_split = source.split(split, measured["seed"])
            limit = MAX_ROWS if source_split.size is None else source_split.size
            if measured["examples"] > limit:
                recorded_rows = f"{measured['examples']} {split} sequences"
                raise CorruptFileError(f"{folder / RunRecord.FILE_NAME}: {recorded_rows}; must be at most {limit:,}")
            table = rows_table(source_split, 0, measured["examples"]).cast(_schema(schema))
            found = digest(table)
            yield Finding(f"{split} rows", measured["digest"], found, found == measured["digest"])
            pq.write_table(table, Path(scratch) / f"{split}.parquet")
            rows[split] = {"parquet": str(Path(scratch) / f"{split}.parquet")}
            dataset_id = published.dataset if published else str(dataset.resolve()) if dataset else None
            if dataset_id is not None and not record.task.is_custom:
                rows[split] = {"dataset": dataset_id, "config": config.name, "split": split}
        job = {
            "model": published.model if published else str(folder.resolve()),
            "auto_class": AUTO_CLASSES[schema.head],
            "trust_remote_code": isolated or trusted,
            "target": schema.target,
            "tolerance": schema.tolerance,
            "max_target": schema.max_target,
            "confusion": schema.has_class_table,
            "batch_size": schema.rows_at_once(_longest(record, own), _BATCH_SIZE),
            "probe": probe,
            "cache": scratch,
            "rows": rows,
        }
        endpoint = published.endpoint if published else None
        result = _measure_isolated(job, Path(scratch), endpoint) if isolated else _measure_in_process(job)

    pairs = zip(result["logits"], recorded_logits, strict=True)
    difference = max(_largest_difference(found, recorded) for found, recorded in pairs)
    yield Finding(
        f"logits of {len(recorded_logits)} sequences", f"within {LOGIT_TOLERANCE:g}", f"{difference:.1e} off",
        difference <= LOGIT_TOLERANCE,
    )  # fmt: skip
    for split in own:
        yield from _compare(split, record.evaluation[split], result["rows"][split], schema)


def _longest(record: RunRecord, splits: Sequence[str]) -> int:
    return max((record.evaluation[split]["length"][1] for split in splits), default=1)


def _compare(split: str, recorded: Mapping[str, Any], found: dict[str, Any], schema: TaskSchema) -> Iterator[Finding]:
    """Compare the recorded and the new metrics of one split."""
    share = found["right"] / found["counted"]
    agrees = found["counted"] == recorded.get("steps", recorded["examples"])
    agrees &= abs(share - recorded["accuracy"]) < 1e-9
    if not schema.tolerance:
        agrees &= found.get("confusion") == recorded.get("confusion")
        agrees &= abs(found["loss"] - recorded["loss"]) < 1e-4
    if schema.target == "multi_label":
        counts = [[each["correct"], each["predicted"], each["total"]] for each in recorded["per_label"].values()]
        agrees &= found["labels"] == counts
    for name in ("token_accuracy", "edit_distance") if schema.target == "sequence" else ():
        agrees &= abs(found[name] - recorded[name]) < 1e-9
    yield Finding(f"{split} accuracy", f"{recorded['accuracy']:.4f}", f"{share:.4f}", agrees)
    if schema.tolerance:
        # largest change of the mean squared error by outputs that differ by the tolerance (Cauchy-Schwarz)
        bound = OUTPUT_TOLERANCE * (2 * math.sqrt(recorded["mse"]) + OUTPUT_TOLERANCE)
        near = abs(found["loss"] - recorded["mse"]) <= bound
        yield Finding(f"{split} mean squared error", f"{recorded['mse']:.7g}", f"{found['loss']:.7g}", near)


def _largest_difference(one: Any, other: Any) -> float:
    """Return the largest difference of two arrays of logits; infinite if their shapes differ."""
    a, b = np.array(one), np.array(other)
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")


def _verify_dataset(folder: Path) -> Iterator[Finding]:
    import datasets
    from datasets.exceptions import DatasetsError

    record = DatasetRecord.load(folder)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        for config, config_record in record.configs.items():
            for name, recorded in config_record["splits"].items():
                label = f"{config} {name}"
                split = Split(f"{record.task}/{config}", name, record.seed)
                try:
                    with quiet_datasets():
                        rows = datasets.load_dataset(str(folder.resolve()), config, split=name, cache_dir=scratch)
                    table = rows.with_format("arrow")[:]
                    found = digest(table)
                    wrong = _wrong_targets(split, table) if split.task.has_exact_targets(split.config, name) else None
                except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, DatasetsError) as error:
                    yield Finding(label, "rows that load", _reason(error), False)
                    continue
                yield Finding(f"{label} rows", str(recorded["rows"]), str(len(rows)), len(rows) == recorded["rows"])
                yield Finding(f"{label} digest", recorded["digest"], found, found == recorded["digest"])
                generated = digest(
                    rows_table(split, 0, len(rows) if split.size is None else min(len(rows), split.size))
                )
                yield Finding(f"{label} generated again", found, generated, generated == found)
                if wrong is not None:
                    yield Finding(f"{label} labels by definition", "0 wrong", f"{wrong} wrong", wrong == 0)


def _wrong_targets(split: Split, rows: pa.Table) -> int:
    """Return the number of rows with another target than by the task's definition; invalid sequences are wrong."""
    wrong = 0
    for start in range(0, len(rows), _BATCH_ROWS):
        part = rows.slice(start, _BATCH_ROWS)
        sequences = _sequences(part, split.schema)
        try:
            expected = split.task.solve_batch(sequences, split.config)
        except InvalidInputError:
            expected = [_solve(split, sequence) for sequence in sequences]
        pairs = zip(expected, _targets(part, split.schema), strict=True)
        wrong += sum(not _same_target(one, other) for one, other in pairs)
    return wrong


def _solve(split: Split, sequence: Any) -> Any:
    try:
        return split.task.solve_batch([sequence], split.config)[0]
    except InvalidInputError:
        return NotImplemented  # equal to no target


def _sequences(rows: pa.Table, schema: TaskSchema) -> list[Any]:
    """Return texts, or values (T, F)."""
    column = rows[schema.columns[0]]
    if schema.vocabulary is not None:
        texts: list[Any] = column.to_pylist()
        return texts
    lengths = pc.list_value_length(column).to_numpy()
    values = pc.list_flatten(pc.list_flatten(column)).to_numpy().reshape(int(lengths.sum()), -1)
    return np.split(values, np.cumsum(lengths)[:-1])


def _targets(rows: pa.Table, schema: TaskSchema) -> list[Any]:
    """Return targets as in `tasks.schema.Example`; invalid labels are unchanged."""
    names = dict(enumerate(schema.labels))
    if schema.target == "class":
        return [names.get(label, label) for label in rows["label"].to_pylist()]
    if schema.target == "step_class":
        return [
            [None if label == NO_LABEL else names.get(label, label) for label in labels]
            for labels in rows["labels"].to_pylist()
        ]
    return rows[schema.target_column].to_pylist() if schema.target_column else [None] * len(rows)


def _same_target(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= _TARGET_TOLERANCE
    return bool(one == other)


def _probe(record: RunRecord, folder: Path, schema: TaskSchema) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return the probe sequences of the record and their logits."""
    kind = "input_values" if schema.vocabulary is None else "input_ids" if schema.has_tokenizer else "texts"
    sequences, logits = record.probe.get(kind), record.probe.get("logits")
    if sequences and isinstance(sequences, list) and isinstance(logits, list) and len(sequences) == len(logits):
        lengths = [_steps(sequence, schema) for sequence in sequences]
        if all(_are_logits(row, steps, schema) for row, steps in zip(logits, lengths, strict=True)):
            return {kind: sequences}, logits
    raise CorruptFileError(f"{folder / RunRecord.FILE_NAME}: probe must have sequences and their logits")


def _steps(sequence: Any, schema: TaskSchema) -> int:
    """Return the number of steps of a recorded sequence; 0 if it is not valid for the task."""
    if schema.has_tokenizer:
        return len(sequence) if isinstance(sequence, list) else 0
    if schema.vocabulary is not None:
        return len(schema.vocabulary.encode(str(sequence)))
    shape = _shape(sequence)
    return shape[0] if len(shape) == 2 and shape[1] == schema.num_features else 0


def _are_logits(row: Any, steps: int, schema: TaskSchema) -> bool:
    """Return whether nested lists have the shape of the logits for a sequence of this number of steps."""
    shape, classes = _shape(row), len(schema.labels)
    if schema.target == "class":
        fits = shape == (classes,) or (classes == 2 and shape == (1,))  # or a single logit for the second class
    elif schema.target == "multi_label":
        fits = shape == (classes,)
    elif schema.target in ("number", "numbers"):
        fits = shape == (len(schema.numbers) or 1,)
    elif schema.target == "inputs":
        fits = shape[:1] == (steps,) and math.prod(shape[1:]) == schema.num_features
    elif schema.target == "sequence":
        fits = shape == (1, 1 + schema.end_id)  # of the first symbol
    else:
        fits = shape == (steps, classes if schema.vocabulary is None or classes else 1 + len(schema.vocabulary))
    return steps > 0 and fits


def _shape(values: Any) -> tuple[int, ...]:
    """Return the shape of nested lists of finite numbers; (0,) for anything else."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return (0,)
    return array.shape if np.isfinite(array).all() else (0,)


def _require_rows(dataset: Path, record: RunRecord, splits: list[str]) -> None:
    """Raise InvalidInputError unless a dataset folder has the rows that a model was evaluated on."""
    built = DatasetRecord.load(dataset)
    config = record.task.config_name
    if built.task != record.task.name or config not in built.configs:
        raise InvalidInputError(
            f"{dataset} is a dataset of {built.task} ({', '.join(built.configs)}); must be {record.task}"
        )
    for split in splits:
        built_split, measured = built.configs[config]["splits"].get(split), record.evaluation[split]
        if built_split is None or built_split["digest"] != measured["digest"]:
            rows = f"the {measured['examples']:,} rows of seed {measured['seed']} that the model was evaluated on"
            raise InvalidInputError(f"{dataset}: other {split} rows; must be {rows}")


def _schema(schema: TaskSchema) -> pa.Schema:
    """Return the Arrow schema of the columns, with the metadata in which `datasets` stores class names."""
    from seqhub.data.builder import features_of  # imports `datasets`, which takes a second or two

    return features_of(schema).arrow_schema


def _measure_in_process(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["model"])
    trusted = job["trust_remote_code"]
    model = load_model(folder, trust_remote_code=trusted)  # for its clearer error messages
    if model.config.model_type == "seqhub_wrapped":  # its code has just been imported with consent, or is not needed
        job = job | {"trust_remote_code": model.config.inner is None}
    try:
        with quiet_transformers(), quiet_datasets():
            return remote.measure(job)
    except Exception as error:  # as in an isolated process, any error means that the folder cannot be loaded
        raise VerificationError(f"{folder} could not be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the first line of an error, or of its cause if it has one."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _measure_isolated(job: dict[str, Any], scratch: Path, endpoint: str | None = None) -> dict[str, Any]:
    """Run `remote` in a process without seqhub, in an empty folder, with separate caches and without a token."""
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
        for name in ("NO_PROXY", "no_proxy"):  # connect to a local Hub without a proxy
            variables[name] = ",".join(filter(None, (variables.get(name), "127.0.0.1", "localhost")))
    command = [sys.executable, "-I", remote.__file__, str(job_file), str(result_file)]
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
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VerificationError(f"{job['model']} was not loaded within {_TIMEOUT} s") from None
    if done.returncode or not result_file.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise VerificationError(f"{job['model']} could not be loaded in a process without seqhub: {last}")
    result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    return result
