"""Load back what was published and hold it against its record: files, rows, logits and numbers."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
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
from seqhub.errors import CorruptFileError, InvalidInputError, VerificationError
from seqhub.evaluation.evaluate import MOST_ROWS
from seqhub.evaluation.load import check_files, load_model
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.records import DatasetRecord, RunRecord
from seqhub.records.folders import other_content
from seqhub.tasks.schema import CUSTOM, NO_LABEL, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.verification import remote

LOGIT_TOLERANCE = 1e-4  # float32 rounding differs between processors and batch shapes
ANSWER_TOLERANCE = 1e-6  # of a number that is answered, for the same reason

_NUMBER_TOLERANCE = 1e-6  # between a number by the rule and the float32 that is published
_ROWS_AT_ONCE = 4096
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
    folder: Path | str, *, isolated: bool = False, dataset: Path | None = None, published: Published | None = None
) -> list[Finding]:
    """Hold a model or dataset folder against its record.

    A model: every file's SHA-256; the logits of the probe sequences; the rows it was measured on, made again; accuracy,
    loss and confusion matrix on them, or mean squared error. A dataset, loaded by plain `datasets`: rows, digest and
    targets of every split, against its record, against the task's rule, and against the rows that the task draws.

    Args:
        folder: Holds run.json or dataset.json.
        isolated: Load the model in a fresh process that has no seqhub, by the code in its own folder. That code is run:
            use it for folders you trust.
        dataset: A built dataset folder to take the rows from, by plain `datasets`; else they are drawn again. Its rows
            must be those that the model was measured on. Of a run on a file, that file, which must be given.
        published: Load model and rows from a Hub instead, as anybody does, in a fresh process that has no seqhub.

    Returns:
        What was found, in order; all agree, or it is not what its record says.

    Raises:
        FileNotFoundError: The folder holds no record.
        CorruptFileError: A record that cannot be read, or weights that do not fit their config.json.
        InvalidInputError: `isolated` or `dataset` is given for a dataset; or the dataset or file has other rows; or the
            file of the run is missing.
        VerificationError: The model cannot be loaded back; the message says why.
    """
    folder = Path(folder)
    if (folder / RunRecord.FILE_NAME).is_file():
        return list(_verify_model(folder, isolated or published is not None, dataset, published))
    if not (folder / DatasetRecord.FILE_NAME).is_file():
        names = f"no {RunRecord.FILE_NAME} and no {DatasetRecord.FILE_NAME}"
        raise FileNotFoundError(f"{names} in {folder}{other_content(folder)}")
    if isolated or dataset is not None:
        raise InvalidInputError(f"{folder} holds a dataset; isolated and dataset are for models")
    return list(_verify_dataset(folder))


def _verify_model(folder: Path, isolated: bool, dataset: Path | None, published: Published | None) -> Iterator[Finding]:
    record = RunRecord.load(folder)
    config = record.task.config
    file, dataset = (dataset, None) if config is CUSTOM else (None, dataset)
    source = DataSource.of_run(record, file)
    schema = source.schema
    try:
        check_files(folder, record)
    except CorruptFileError as error:
        yield Finding("files", f"{len(record.files)} SHA-256", str(error).removeprefix(f"{folder}/"), False)
        return
    yield Finding("files", f"{len(record.files)} SHA-256", "the same", True)

    record.require_metrics(schema.target)
    probe, recorded_logits = _probe(record, folder, schema)
    own = [split for split in record.evaluation if "/" not in split]
    if dataset is not None:
        _require_rows(dataset, record, own)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        rows: dict[str, Any] = {}
        for split in own:
            measured = record.evaluation[split]
            drawn = source.split(split, measured["seed"])
            most = MOST_ROWS if drawn.size is None else drawn.size
            if measured["examples"] > most:
                claim = f"{measured['examples']} {split} sequences"
                raise CorruptFileError(f"{folder / RunRecord.FILE_NAME} claims {claim}; at most {most:,} can be")
            table = rows_table(drawn, 0, measured["examples"]).cast(_schema(schema))
            found = digest(table)
            yield Finding(f"{split} rows", measured["digest"], found, found == measured["digest"])
            pq.write_table(table, Path(scratch) / f"{split}.parquet")
            rows[split] = {"parquet": str(Path(scratch) / f"{split}.parquet")}
            where = published.dataset if published else str(dataset.resolve()) if dataset else None
            if where is not None and config is not CUSTOM:
                rows[split] = {"dataset": where, "config": config.name, "split": split}
        job = {
            "model": published.model if published else str(folder.resolve()),
            "auto_class": AUTO_CLASSES[schema.head],
            "trust_remote_code": isolated,
            "target": schema.target,
            "tolerance": schema.tolerance,
            "probe": probe,
            "cache": scratch,
            "rows": rows,
        }
        endpoint = published.endpoint if published else None
        result = _measure_isolated(job, Path(scratch), endpoint) if isolated else _measure_here(job)

    pairs = zip(result["logits"], recorded_logits, strict=True)
    difference = max(_largest_difference(found, recorded) for found, recorded in pairs)
    yield Finding(
        f"logits of {len(recorded_logits)} sequences", f"within {LOGIT_TOLERANCE:g}", f"{difference:.1e} off",
        difference <= LOGIT_TOLERANCE,
    )  # fmt: skip
    for split in own:
        yield from _compare(split, record.evaluation[split], result["rows"][split], schema)


def _compare(split: str, recorded: Mapping[str, Any], found: dict[str, Any], schema: TaskSchema) -> Iterator[Finding]:
    """What was measured of one split, then and now."""
    share = found["right"] / found["counted"]
    agrees = found["counted"] == recorded.get("steps", recorded["examples"])
    agrees &= abs(share - recorded["accuracy"]) < 1e-9
    if not schema.tolerance:
        agrees &= found.get("confusion") == recorded.get("confusion")
        agrees &= abs(found["loss"] - recorded["loss"]) < 1e-4
    yield Finding(f"{split} accuracy", f"{recorded['accuracy']:.4f}", f"{share:.4f}", agrees)
    if schema.tolerance:
        # what answers that are off by so much can do to the mean of squared errors (Cauchy & Schwarz)
        most = ANSWER_TOLERANCE * (2 * math.sqrt(recorded["mse"]) + ANSWER_TOLERANCE)
        near = abs(found["loss"] - recorded["mse"]) <= most
        yield Finding(f"{split} mean squared error", f"{recorded['mse']:.7g}", f"{found['loss']:.7g}", near)


def _largest_difference(one: Any, other: Any) -> float:
    """Of any two logits of a sequence; infinite where they are not equally many."""
    a, b = np.array(one), np.array(other)
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")


def _verify_dataset(folder: Path) -> Iterator[Finding]:
    import datasets
    from datasets.exceptions import DatasetsError

    record = DatasetRecord.load(folder)
    with tempfile.TemporaryDirectory(prefix="seqhub-verify-") as scratch:
        for config, facts in record.configs.items():
            for name, recorded in facts["splits"].items():
                what = f"{config} {name}"
                split = Split(f"{record.task}/{config}", name, record.seed)
                try:
                    with quiet_datasets():
                        rows = datasets.load_dataset(str(folder.resolve()), config, split=name, cache_dir=scratch)
                    table = rows.with_format("arrow")[:]
                    found = digest(table)
                    wrong = _wrong_targets(split, table) if split.task.certain(split.config, name) else None
                except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, DatasetsError) as error:
                    yield Finding(what, "rows that load", _reason(error), False)
                    continue
                yield Finding(f"{what} rows", str(recorded["rows"]), str(len(rows)), len(rows) == recorded["rows"])
                yield Finding(f"{what} digest", recorded["digest"], found, found == recorded["digest"])
                drawn = digest(rows_table(split, 0, len(rows) if split.size is None else min(len(rows), split.size)))
                yield Finding(f"{what} drawn again", found, drawn, drawn == found)
                if wrong is not None:
                    yield Finding(f"{what} labels by the rule", "0 wrong", f"{wrong} wrong", wrong == 0)


def _wrong_targets(split: Split, rows: pa.Table) -> int:
    """How many rows have another target than the task's rule gives them; sequences that it cannot draw have none."""
    wrong = 0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows.slice(start, _ROWS_AT_ONCE)
        sequences = _sequences(part, split.schema)
        try:
            right = split.task.solve_batch(sequences, split.config)
        except InvalidInputError:
            right = [_solve(split, sequence) for sequence in sequences]
        pairs = zip(right, _targets(part, split.schema), strict=True)
        wrong += sum(not _same_target(one, other) for one, other in pairs)
    return wrong


def _solve(split: Split, sequence: Any) -> Any:
    try:
        return split.task.solve_batch([sequence], split.config)[0]
    except InvalidInputError:
        return NotImplemented  # equal to no target


def _sequences(rows: pa.Table, schema: TaskSchema) -> list[Any]:
    """Texts, or values (T, F)."""
    column = rows[schema.columns[0]]
    if schema.vocabulary is not None:
        texts: list[Any] = column.to_pylist()
        return texts
    lengths = pc.list_value_length(column).to_numpy()
    values = pc.list_flatten(pc.list_flatten(column)).to_numpy().reshape(int(lengths.sum()), -1)
    return np.split(values, np.cumsum(lengths)[:-1])


def _targets(rows: pa.Table, schema: TaskSchema) -> list[Any]:
    """As in `tasks.schema.Example`; a label that is no class is itself."""
    names = dict(enumerate(schema.labels))
    if schema.target == "class":
        return [names.get(label, label) for label in rows["label"].to_pylist()]
    if schema.target == "step_class":
        return [
            [None if label == NO_LABEL else names.get(label, label) for label in labels]
            for labels in rows["labels"].to_pylist()
        ]
    return rows["label"].to_pylist() if schema.target == "number" else [None] * len(rows)


def _same_target(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= _NUMBER_TOLERANCE
    return bool(one == other)


def _probe(record: RunRecord, folder: Path, schema: TaskSchema) -> tuple[dict[str, list[Any]], list[Any]]:
    """The sequences that the record has logits of, and these."""
    kind = "input_values" if schema.vocabulary is None else "texts"
    sequences, logits = record.probe.get(kind), record.probe.get("logits")
    if sequences and isinstance(sequences, list) and isinstance(logits, list) and len(sequences) == len(logits):
        lengths = [_steps(sequence, schema) for sequence in sequences]
        if all(_are_logits(row, steps, schema) for row, steps in zip(logits, lengths, strict=True)):
            return {kind: sequences}, logits
    raise CorruptFileError(f"{folder / RunRecord.FILE_NAME} has no sequences with their logits to compare the model by")


def _steps(sequence: Any, schema: TaskSchema) -> int:
    """How many steps a sequence of a record has; 0 where it is none of the task's."""
    if schema.vocabulary is not None:
        return len(schema.vocabulary.encode(str(sequence)))
    shape = _shape(sequence)
    return shape[0] if len(shape) == 2 and shape[1] == schema.num_features else 0


def _are_logits(row: Any, steps: int, schema: TaskSchema) -> bool:
    """Whether these can be what a model gave a sequence of so many steps."""
    shape, classes = _shape(row), len(schema.labels)
    if schema.target == "class":
        fits = shape == (classes,) or (classes == 2 and shape == (1,))  # a single logit is that of the second class
    elif schema.target == "number":
        fits = shape == (1,)
    elif schema.target == "inputs":
        fits = shape[:1] == (steps,) and math.prod(shape[1:]) == schema.num_features
    else:
        fits = shape == (steps, classes if schema.vocabulary is None or classes else 1 + len(schema.vocabulary))
    return steps > 0 and fits


def _shape(values: Any) -> tuple[int, ...]:
    """Of nested lists of finite numbers; (0,) where they are anything else."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return (0,)
    return array.shape if np.isfinite(array).all() else (0,)


def _require_rows(dataset: Path, record: RunRecord, splits: list[str]) -> None:
    """Raise unless a dataset folder has the rows that a model was measured on."""
    built = DatasetRecord.load(dataset)
    config = record.task.config_name
    if built.task != record.task.name or config not in built.configs:
        raise InvalidInputError(f"{dataset} holds {built.task} ({', '.join(built.configs)}), not {record.task}")
    for split in splits:
        facts, measured = built.configs[config]["splits"].get(split), record.evaluation[split]
        if facts is None or facts["digest"] != measured["digest"]:
            rows = f"the {measured['examples']:,} of seed {measured['seed']} that the model was measured on"
            raise InvalidInputError(f"{dataset} has other {split} rows than {rows}")


def _schema(schema: TaskSchema) -> pa.Schema:
    """Of the columns, with metadata that tell `datasets` the class names, as its own files have it."""
    from seqhub.data.builder import features_of  # not above: it imports `datasets`, which takes a second or two

    return features_of(schema).arrow_schema


def _measure_here(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["model"])
    load_model(folder)  # says more clearly what does not fit together
    try:
        with quiet_transformers(), quiet_datasets():
            return remote.measure(job)
    except Exception as error:  # as in a process of its own: whatever goes wrong is the folder's fault
        raise VerificationError(f"{folder} could not be loaded back: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of an error, or of the one that it came from, which is nearer to what happened."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _measure_isolated(job: dict[str, Any], scratch: Path, endpoint: str | None = None) -> dict[str, Any]:
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
