"""Run artifacts: weights, config, code, tokenizer and record of a finished run, saved together or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seqhub._logging import quiet_transformers
from seqhub.data.digest import digest_batches
from seqhub.data.source import DataSource, split_rule
from seqhub.data.tokenizers import save_tokenizer
from seqhub.errors import SaveError
from seqhub.evaluation.load import file_digest
from seqhub.evaluation.probe import probe_logits
from seqhub.io import sync_folder
from seqhub.models.reports import Conformance, Sizes
from seqhub.models.sizing import measure_sizes
from seqhub.native.model import NativeModel
from seqhub.records import RunRecord, command_line, environment
from seqhub.records.run import BaseModelRecord, TrainingData
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.state import TrainerState

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build_record(
    config: TrainConfig,
    source: DataSource,
    model: "PreTrainedModel | NativeModel",
    state: TrainerState,
    criteria: dict[str, int | None],
    tokens: int,
    processes: int = 1,
    *,
    conformance: Conformance | None = None,
    base_model: BaseModelRecord | None = None,
) -> RunRecord:
    """Return the record of a finished run, without probe and files, which `save_run` adds.

    Args:
        config: Settings of the run.
        source: Source of the rows.
        model: The trained model; a `NativeModel` for the native loop, whose results differ from torch by rounding.
        state: Trainer state at the end.
        criteria: Criterion -> training sequences until it was met, None if it was not.
        tokens: Number of steps of all presented sequences, without padding.
        processes: Number of processes.
        conformance: Results of the tests of a wrapped model.
        base_model: Model from which the run started.
    """
    data = describe_training_data(config, source, state.sequences) | {"tokens": tokens}
    if isinstance(model, NativeModel):
        num_parameters, device = model.num_parameters, "cpu"
        sizes = cast(Sizes, model.sizes()) if model.cells is None else measure_sizes(cast(Any, model.module))
    else:
        num_parameters, sizes = sum(p.numel() for p in model.parameters()), measure_sizes(model)
        device = model.device.type
    return RunRecord(
        task=config.task,
        model=config.model,
        model_config=_model_sizes(model) | config.model_settings(),
        num_parameters=num_parameters,
        seed=config.seed,
        training=config.as_json(),
        data=data,
        sequences_seen=state.sequences,
        optimizer_steps=state.steps,
        processes=processes,
        criteria=criteria,
        timings={
            "train": round(state.seconds, 3),
            "of which checks": round(state.check_seconds, 3),
            "per token": float(f"{(state.seconds - state.check_seconds) / max(1, tokens):.4g}"),
        },
        environment=environment() | {"device": device, "native": isinstance(model, NativeModel)},
        command=command_line(),
        model_id=config.model_id,
        sizes=sizes,
        conformance=conformance,
        best={"loss": state.best_loss, "sequences": state.best_sequences}
        if config.patience and state.best_loss is not None
        else None,
        base_model=base_model,
    )


def _model_sizes(model: "PreTrainedModel | NativeModel") -> dict[str, Any]:
    """Return width, depth and initialization of a model, which a record has even if they are defaults."""
    names = ("hidden_size", "num_hidden_layers", "initialization")
    return {name: getattr(model.config, name) for name in names if hasattr(model.config, name)}


def save_run(folder: Path, model: "PreTrainedModel", source: DataSource, record: RunRecord) -> None:
    """Save the files of a model of torch with its record, see `save_files`."""
    record.probe = probe_logits(model, source)

    def write(temporary: Path) -> None:
        with quiet_transformers():
            model.save_pretrained(temporary)
        shutil.rmtree(temporary / "__pycache__", ignore_errors=True)

    save_files(folder, write, source, record)


def save_files(folder: Path, write_model: Callable[[Path], None], source: DataSource, record: RunRecord) -> None:
    """Write all files into a temporary folder and move them; the record is last, because it marks a finished run.

    Args:
        folder: Folder of the run.
        write_model: Writes weights, config and code into a folder.
        source: Source of the rows, which determines the tokenizer or feature extractor.
        record: Record of the run, whose files are set.

    Raises:
        SaveError: The disk is full or cannot be written; none of the files is in the folder.
    """
    from safetensors import SafetensorError

    try:
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".saving-"))
        try:
            write_model(temporary)
            save_tokenizer(source, temporary)
            if source.file_rows is not None and "features" in source.file_rows.reading:
                from seqhub.models.feature_extraction_series import SeriesFeatureExtractor

                SeriesFeatureExtractor(**source.file_rows.reading["features"]).save_pretrained(temporary)
                shutil.rmtree(temporary / "__pycache__", ignore_errors=True)
            record.files = {path.name: file_digest(path) for path in sorted(temporary.iterdir())}
            record.save(temporary)
            for name in record.files:
                with (temporary / name).open("rb+") as file:
                    os.fsync(file.fileno())
            for name in record.files:  # renaming needs no disk space
                (temporary / name).replace(folder / name)
            sync_folder(folder)
            (temporary / record.FILE_NAME).replace(folder / record.FILE_NAME)
            sync_folder(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        cause = error.__cause__ if isinstance(error, SaveError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else error
        raise SaveError(f"cannot write the model into {folder}: {reason}") from error
    (folder / checkpoints.FILE_NAME).unlink(missing_ok=True)


def describe_training_data(config: TrainConfig, source: DataSource, sequences: int) -> TrainingData:
    """Return the description of the training rows for a record: the presented rows of a stream, or a whole split."""
    task = config.task.definition
    if source.kind == "stream":
        split = source.split("train", config.seed)
        seed, rows, content = config.seed, sequences, digest_batches(split.batches(0, sequences), split.schema)
    else:
        rows = source.sizes["train"] if source.kind == "file" else len(source.training_rows)
        seed, content = source.seed, source.training_digest
    data: TrainingData = {
        "task_version": task.version,
        "source": source.name,
        "seed": seed,
        "rows": rows,
        "digest": content,
        "identity": source.identity,
    }
    if source.kind == "file":
        data["split_rule"] = split_rule(config.task)
    data["statistics"] = source.statistics
    if source.file_rows is not None and source.file_rows.reading:
        data["reading"], data["found"] = dict(source.file_rows.reading), dict(source.file_rows.found)
        data["baselines"] = source.baselines
    return data
