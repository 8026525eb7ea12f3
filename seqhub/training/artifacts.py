"""What a finished run leaves in its folder: weights, config, code, tokenizer and record, all or nothing."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub._logging import quiet_transformers
from seqhub.data.arrow import rows_table
from seqhub.data.assignment import RULE
from seqhub.data.digest import digest
from seqhub.data.source import DataSource
from seqhub.data.tokenizers import tokenizer_of
from seqhub.errors import SaveError
from seqhub.evaluation.load import file_digest
from seqhub.evaluation.probe import probe_logits
from seqhub.io import sync_folder
from seqhub.records import RunRecord, command_line, environment
from seqhub.records.run import TrainingData
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.state import TrainerState

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build_record(
    config: TrainConfig,
    source: DataSource,
    model: "PreTrainedModel",
    end: TrainerState,
    criteria: dict[str, int | None],
    processes: int = 1,
    *,
    native: bool = False,
) -> RunRecord:
    """What a run has to say of itself, before anything of it is saved.

    Args:
        config: Its settings.
        source: Of its rows.
        model: What it trained.
        end: Where it ended.
        criteria: Each with the training sequences until it was met, None where it was not.
        processes: That took part.
        native: Whether it was a whole run in native calls, whose results differ from those of torch by rounding.
    """
    return RunRecord(
        task=config.task,
        model=config.model,
        model_config=_sizes(model) | config.model_settings(),
        num_parameters=sum(p.numel() for p in model.parameters()),
        seed=config.seed,
        training=config.as_json(),
        data=data_facts(config, source, end.sequences),
        sequences_seen=end.sequences,
        optimizer_steps=end.steps,
        processes=processes,
        criteria=criteria,
        timings={"train": round(end.seconds, 3), "of which checks": round(end.check_seconds, 3)},
        environment=environment() | {"device": model.device.type, "native": native},
        command=command_line(),
    )


def _sizes(model: "PreTrainedModel") -> dict[str, Any]:
    """Return width, depth and initialization of a model, which the record has also where they are defaults."""
    names = ("hidden_size", "num_hidden_layers", "initialization")
    return {name: getattr(model.config, name) for name in names if hasattr(model.config, name)}


def save_run(folder: Path, model: "PreTrainedModel", source: DataSource, record: RunRecord) -> None:
    """Write everything into a folder beside, move it in, and write the record last: it marks a finished run.

    Raises:
        SaveError: The disk is full or cannot be written; the folder has none of the files.
    """
    from safetensors import SafetensorError

    record.probe = probe_logits(model, source)
    try:
        beside = Path(tempfile.mkdtemp(dir=folder, prefix=".saving-"))
        try:
            with quiet_transformers():
                model.save_pretrained(beside)
            if source.schema.vocabulary is not None:
                tokenizer_of(source.schema.vocabulary).save_pretrained(beside)
            shutil.rmtree(beside / "__pycache__", ignore_errors=True)
            record.files = {path.name: file_digest(path) for path in sorted(beside.iterdir())}
            record.save(beside)
            for name in record.files:
                with (beside / name).open("rb+") as file:
                    os.fsync(file.fileno())
            for name in record.files:  # names take no room, so from here on all goes well
                (beside / name).replace(folder / name)
            sync_folder(folder)
            (beside / record.FILE_NAME).replace(folder / record.FILE_NAME)
            sync_folder(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        cause = error.__cause__ if isinstance(error, SaveError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else error
        raise SaveError(f"cannot write the model into {folder}: {reason}") from error
    (folder / checkpoints.FILE_NAME).unlink(missing_ok=True)


def data_facts(config: TrainConfig, source: DataSource, sequences: int) -> TrainingData:
    """Return what a record says of the training rows: those presented of a stream, all of a finite split."""
    task = config.task.definition
    if source.kind == "stream":
        split = source.split("train", config.seed)
        seed, rows, content = config.seed, sequences, digest(rows_table(split, 0, sequences))
    else:
        seed, rows, content = source.seed, len(source.training_rows), source.training_digest
    data: TrainingData = {
        "task_version": task.version,
        "source": source.name,
        "seed": seed,
        "rows": rows,
        "digest": content,
        "identity": source.identity,
    }
    if source.kind == "file":
        data["split_rule"] = RULE
    data["statistics"] = source.statistics
    return data
