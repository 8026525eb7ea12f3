"""Training loop: train one model on one task, with the settings of `TrainConfig`."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from seqhub.data.collate import collate_batch, to_tensors
from seqhub.data.describe import warn
from seqhub.data.source import DataSource
from seqhub.data.user_sources import as_file
from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError, SaveError, SeqhubError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.classification import reaches
from seqhub.metrics.per_example import example_accuracy, example_metrics
from seqhub.models.predict import logistic_outputs
from seqhub.native.transformers_kernels import use_native_scans
from seqhub.records import RunRecord
from seqhub.tasks.ref import FILE
from seqhub.tasks.schema import TaskSchema
from seqhub.training import checkpoints
from seqhub.training.artifacts import build_record, save_run
from seqhub.training.class_weights import class_weights
from seqhub.training.config import TrainConfig
from seqhub.training.configure import configure
from seqhub.training.dataloaders import ValidationRows, content_identity, data_source, length_of, training_loader
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import FILE_NAME as HISTORY
from seqhub.training.history import History
from seqhub.training.hooks import capture, leaves
from seqhub.training.launch import Launch, launch, require_supported_settings
from seqhub.training.loss_scale import loss_scale, placeholder
from seqhub.training.main_guard import require_main_guard
from seqhub.training.metric_buffer import MetricBuffer
from seqhub.training.model_setup import create_model, require_conformance
from seqhub.training.peers import failing_together
from seqhub.training.random_state import random_state, restore_random_state, seed_process
from seqhub.training.runtime import environment_variable, interruptions, own_accelerate_state, torch_threads
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.stopping import Criteria
from seqhub.training.tbptt import segments

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_TRACKED = "seqhub"  # name of the project in trackers; TensorBoard makes a folder of it
_TRIAL_ROWS = 256  # sequences of the test of the forward pass


class TrainingInterrupted(KeyboardInterrupt):
    """Run interrupted by Ctrl-C or SIGTERM; a checkpoint is saved, and the message says how to continue."""


def train(
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    callback: Callable[[TrainerState], None] | None = None,
    **settings: Any,
) -> RunRecord | None:
    """Train a model, and save weights, config, tokenizer, history and record into `config.output_dir`.

    A run on a file of rows is evaluated, too: `train(data="reviews.csv")`. Instead of a file, `data` may be the id of a
    dataset of a Hub, as in `me/reviews`, or anything that `data.user_sources.as_file` takes: a dataset, a data frame,
    or a dictionary of columns.

    The function is called once, or in each process of `accelerate launch` or `torchrun`. The random state and the
    number of threads of the caller are restored.

    Args:
        config: Settings of the run; None for those of the recipe of a task or file, and `settings`.
        resume: Continue from the checkpoint in the folder, with exactly the same results as an uninterrupted run; start
            a new run if there is no checkpoint.
        callback: Called in the main process after every validation.
        **settings: Without `config`: `task` or `data`, and other arguments of `configure.configure`.

    Returns:
        The record in the main process, None in the others.

    Raises:
        OutputExistsError: The folder contains another run, or this run without `resume`, or another process uses it.
        InvalidConfigError: The checkpoint belongs to a run with other settings, training diverged, or the launcher has
            settings that are not supported.
        CorruptFileError: The checkpoint is truncated.
        SaveError: The disk is full; the last complete checkpoint, if any, is unchanged.
        TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was saved.
        PeerFailedError: Another process of the run failed.
    """
    require_main_guard()
    if config is not None and settings:
        raise InvalidConfigError(f"{', '.join(settings)}: must be in the config, or omit the config")
    with ExitStack() as stack:
        if config is None:
            if not isinstance(settings.get("data"), (str, Path, NoneType)):
                settings["data"] = stack.enter_context(as_file(settings["data"]))
            config = configure(**settings)
        stack.enter_context(own_accelerate_state())
        stack.enter_context(torch_threads(config.threads))
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        accelerator = _accelerator(config, launch())
        config = replace(config, cpu=config.cpu or (accelerator.num_processes > 1 and accelerator.device.type == "cpu"))
        with failing_together(TrainingInterrupted):
            record = _train(config, resume, callback, accelerator, stack)
        if record is None or config.task.name != FILE:
            return record
        return evaluate(config.output_dir, data=config.file, trust_remote_code=config.trust_remote_code)


def _accelerator(config: TrainConfig, started: Launch) -> Accelerator:
    """Return the Accelerator of a run, for all processes that its launcher started.

    Raises:
        InvalidConfigError: The Accelerator would have other settings or fewer processes.
    """
    require_supported_settings()
    cpu = config.cpu or (started.size > 1 and not torch.accelerator.is_available())
    try:
        with environment_variable("ACCELERATE_USE_CPU", str(cpu)):  # otherwise it would override the settings
            accelerator = Accelerator(
                cpu=cpu,
                mixed_precision=config.precision,
                log_with=list(config.trackers) or None,
                project_dir=config.output_dir,
            )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if "already been initialized" in reason:  # by the caller, or by the Trainer of transformers
            reason = f"this process already trains with other settings ({reason.partition('.')[0]})"
        raise InvalidConfigError(f"precision={config.precision}, cpu={config.cpu}: {reason}") from error
    if accelerator.num_processes != started.size:
        raise InvalidConfigError(
            f"{started.size} processes were started, but Accelerate detects {accelerator.num_processes}, so each would "
            "train alone; add --cpu, or start one process"
        )
    if cpu and accelerator.device.type != "cpu":
        raise InvalidConfigError(f"cpu={cpu}: this process already uses {accelerator.device}")
    return accelerator


def _train(
    config: TrainConfig,
    resume: bool,
    callback: Callable[[TrainerState], None] | None,
    accelerator: Accelerator,
    stack: ExitStack,
) -> RunRecord | None:
    source = data_source(config)
    schema = source.schema
    rank, world_size = accelerator.process_index, accelerator.num_processes

    # data: the global batches are the same for any number of processes; each process gets its slice
    loader = training_loader(config, source, rank, world_size)
    validation = ValidationRows(config, source, rank, world_size)
    total, epoch = length_of(config, loader)

    # model, with the vocabulary and labels of the task
    model = bare_model = create_model(config, schema)
    conformance = require_conformance(config, bare_model, schema)
    use_native_scans(bare_model)  # a loop in torch operations would take longer than the rest of the step
    model = accelerator.prepare(model)
    # The optimizer is not wrapped by Accelerate: the wrapper is for fp16 and gradient accumulation, and takes 0.3 ms a
    # step
    parameters = list(bare_model.parameters())
    optimizer = _optimizer(config, parameters, accelerator.device)

    _check_forward_pass(config, source, bare_model, accelerator.device)
    identities = gather_object([content_identity(source)])
    if len(set(identities)) > 1:
        raise InvalidConfigError(f"{source.name}: the processes of the run read different rows; start the run again")
    if accelerator.is_main_process:
        warn(source)

    # the folder is created after all checks of the settings; from here on an interruption saves a checkpoint
    prepare_folder(config.output_dir, resume, accelerator, stack)
    interrupted = stack.enter_context(interruptions())

    # criteria and the other state of a checkpoint
    criteria = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule)
    state = TrainerState()
    best: dict[str, Tensor] = {}  # weights with the lowest validation loss, for patience
    solved = False
    seed_process(config.seed, rank)
    if resume and (saved := checkpoints.load(config.output_dir)) is not None:
        tensors, metadata = saved
        path = config.output_dir / checkpoints.FILE_NAME
        current = config.as_json() | {"processes": world_size}
        checkpoints.require_same_data(path, metadata.get("data", {}), source)
        checkpoints.require_same_run(path, metadata["config"], current, config.may_change)
        _restore(tensors, metadata, bare_model, optimizer, rank, accelerator.device)
        loader.load_state_dict(metadata["feed"])
        validation.load_state_dict(metadata["fresh"])
        criteria.load_state_dict(metadata["criteria"])
        state = TrainerState(**metadata["progress"])
        best = {name.removeprefix("best."): each for name, each in tensors.items() if name.startswith("best.")}
        out_of_patience = 0 < config.patience <= state.waited
        solved = metadata.get("ended", False) and (criteria.met(config.stop_at) or out_of_patience)  # only to be saved
    recorded = stack.enter_context(capture(leaves(bare_model), config.record))
    history = History(config.output_dir, state.sequences, accelerator.is_main_process)
    if config.trackers:
        accelerator.init_trackers(_TRACKED, config=_tracker_values(config.as_json()))

    def save_checkpoint(*, ended: bool = False) -> None:
        random_states = gather_object([random_state(accelerator.device)])
        try:
            if accelerator.is_main_process:
                tensors, groups = checkpoints.flatten_optimizer(optimizer)
                tensors |= {f"model.{name}": tensor for name, tensor in bare_model.state_dict().items()}
                tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
                for number, states in enumerate(random_states):
                    tensors |= {f"random.{number}{name}": torch.from_numpy(each) for name, each in states.items()}
                metadata = {
                    "config": config.as_json() | {"processes": world_size},
                    "data": {"source": source.name, "identity": source.identity},
                    "groups": groups,
                    "feed": loader.state_dict(),
                    "fresh": validation.state_dict(),
                    "criteria": criteria.state_dict(),
                    "progress": vars(state),
                    "ended": ended,
                }
                checkpoints.save(config.output_dir, tensors, metadata)
        finally:
            accelerator.wait_for_everyone()

    # train
    started = time.perf_counter() - state.seconds
    logistic = logistic_outputs(bare_model)
    weighted = class_weights(config, source, bare_model) if config.class_weights else None
    buffer = MetricBuffer(schema, logistic)
    model.train()
    batches = iter(loader)
    while state.sequences < total and not solved:
        batch = next(batches, None)
        if batch is None:  # end of an epoch
            batches = iter(loader)
            continue
        rows = loader.rows_seen - state.sequences  # of all processes
        local_rows = len(batch["labels"])  # 0 if the last batch of an epoch has fewer rows than processes
        if accelerator.device.type != "cpu":
            batch = {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}
        if config.schedule not in ("constant", "error") or config.warmup:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, state.sequences, total, epoch)

        logits: list[Tensor] = []
        carried = None
        for part in segments(batch if local_rows else placeholder(batch), config.chunk_steps):
            scale = loss_scale(accelerator, bare_model, schema, part, local_rows, rows)
            extra: dict[str, Any] = {"past_key_values": carried, "use_cache": True} if config.chunk_steps else {}
            with torch.set_grad_enabled(scale.learns), _model_errors(config):
                if weighted is None:
                    output = model(**part, **scale.arguments, **extra)
                else:
                    output = model(**{name: each for name, each in part.items() if name != "labels"}, **extra)
                    output.loss = weighted(output.logits, part["labels"], scale)
            outputs = output.logits.detach() if local_rows else output.logits.detach()[:0]
            logits.append(outputs)
            if config.chunk_steps and config.carry_state:
                carried = output.past_key_values.detach()
            if not scale.learns:  # only the state is carried on, without an optimizer step
                continue
            loss = output.loss if scale.factor == 1 else output.loss * scale.factor
            loss.backward()  # `accelerator.backward` would only add a division by one to the graph
            if config.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            if config.schedule == "error":
                metrics = example_metrics(
                    schema, outputs, part["labels"][:local_rows], part["attention_mask"][:local_rows], logistic
                )
                factor = state.error_factor(_largest_error(accelerator, metrics[:, 0]), config)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, state.sequences, total, epoch) * factor
            optimizer.step()
            optimizer.zero_grad()
            state.steps += 1

        before, state.sequences = state.sequences, state.sequences + rows
        buffer.add(
            logits[0] if len(logits) == 1 else torch.cat(logits, dim=1), batch["labels"], batch["attention_mask"]
        )
        validation_due = before // config.evaluate_every != state.sequences // config.evaluate_every
        stop_now = bool(interrupted) and world_size == 1  # several processes stop together, at a validation
        if not (validation_due or stop_now or state.sequences >= total):
            continue

        # process the sequences presented since the last validation, in the order of presentation
        errors = buffer.collect()
        criteria.update(errors[:, 0], errors[:, 1])
        recorded.add_to(state.recorded)
        state.add(errors)

        # validate
        if validation_due or state.sequences >= total:
            began = time.perf_counter()
            correct, seen, validation_loss = validate(accelerator, bare_model, schema, validation, config)
            criteria.check(state.sequences, correct, seen, ModelScorer(bare_model, schema))
            recorded.clear()  # values recorded during the validation
            state.check_seconds += time.perf_counter() - began
            state.seconds = time.perf_counter() - started
            if validation_loss is not None and state.is_best(validation_loss):
                best = {name: each.detach().cpu().clone() for name, each in bare_model.state_dict().items()}
            row = state.history_row(config, correct, seen, optimizer.param_groups[0]["lr"], validation_loss)
            history.append(row)
            if config.trackers:
                accelerator.log({k: v for k, v in row.items() if k != "sequences"}, step=state.sequences)
            if callback is not None and accelerator.is_main_process:
                callback(state)
            met = criteria.met(config.stop_at) or 0 < config.patience <= state.waited
            (solved,) = gather_object([met])[:1]  # the first process decides

        state.seconds = time.perf_counter() - started
        if not solved and any(gather_object([bool(interrupted)])):
            save_checkpoint()
            accelerator.end_training()
            raise TrainingInterrupted(
                f"stopped after {state.sequences:,} sequences; to continue, run the same command with --resume"
            )
        if before // config.checkpoint_every != state.sequences // config.checkpoint_every and not solved:
            save_checkpoint()

    # save weights, config, code and tokenizer for the Hub, and the record for cards. A checkpoint is saved first, so
    # that the run can be resumed at its end if saving fails. The artifacts are smaller, so they are saved even if the
    # checkpoint could not be
    record = None
    with suppress(SaveError):
        save_checkpoint(ended=True)
    if best:
        bare_model.load_state_dict(best)
    if accelerator.is_main_process:
        tokens = loader.count_tokens(state.sequences)
        record = build_record(
            config, source, bare_model, state, criteria.met_at(), tokens, world_size, conformance=conformance
        )
        try:
            save_run(config.output_dir, bare_model, source, record)
        except SaveError as error:
            raise SaveError(f"{error}; {_checkpoint_message(config.output_dir)}") from error
    accelerator.wait_for_everyone()
    if world_size > 1:
        accelerator.free_memory()  # ends the reducer of a distributed model before the processes end
    accelerator.end_training()
    return record


def validate(
    accelerator: Accelerator,
    model: torch.nn.Module,
    schema: TaskSchema,
    validation: ValidationRows,
    config: TrainConfig,
) -> tuple[float, int, float | None]:
    """Return the numbers of correct and of evaluated rows of one validation, and the mean loss for `config.patience`.

    It must be called by every process. A sequence with a class or symbol per step counts by its share of correct steps.
    Without patience, a validation ends early once it can no longer reach the threshold `config.accuracy`.
    """
    model.eval()
    correct, loss, seen = 0.0, 0.0, 0
    with torch.inference_mode(), accelerator.autocast(), _model_errors(config):
        for batch, rows in validation.batches():
            batch = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            labels = batch.pop("labels")
            local = torch.zeros(2, dtype=torch.float64)
            if len(labels):
                logits, logistic, mask = model(**batch).logits, logistic_outputs(model), batch["attention_mask"]
                if config.patience:
                    local = example_metrics(schema, logits, labels, mask, logistic)[:, [3, 2]].cpu().double().sum(dim=0)
                else:
                    local[0] = example_accuracy(schema, logits, labels, mask, logistic).cpu().double().sum()
            if accelerator.num_processes > 1:
                local = accelerator.reduce(local.to(accelerator.device))
            correct, loss = correct + float(local[0]), loss + float(local[1])
            seen += rows
            if not config.patience and not reaches(
                config.accuracy, validation.rows - (seen - correct), validation.rows
            ):
                break
    model.train()
    return correct, seen, loss / seen if config.patience else None


def _largest_error(accelerator: Accelerator, errors: Tensor) -> float:
    """Return the largest error of a step over all processes, also if some have no rows."""
    local = torch.cat([errors, errors.new_zeros(1)]).max()
    return float(accelerator.gather(local).max())


def _checkpoint_message(folder: Path) -> str:
    """Return the state of the checkpoint after the artifacts of a run could not be saved, for an error message."""
    try:
        saved = checkpoints.load(folder)
    except CorruptFileError:
        saved = None
    if saved is None:
        return "no checkpoint could be saved either, so the run is lost"
    sequences = saved[1]["progress"]["sequences"]
    return (
        f"the checkpoint after {sequences:,} sequences is kept; free disk space, and run the same command with --resume"
    )


def prepare_folder(folder: Path, resume: bool, accelerator: Accelerator, stack: ExitStack) -> None:
    """Create the folder of a run and lock it until the end of `stack`.

    Raises:
        OutputExistsError: The folder contains files that the run would overwrite, or another process uses it.
    """
    reason = ""
    if accelerator.is_main_process:
        if folder.is_dir():
            try:
                stack.enter_context(folder_lock(folder))
            except OutputExistsError as error:
                reason = str(error).removeprefix(f"{folder} ")
        if reason:
            pass
        elif folder.exists() and not folder.is_dir():
            reason = "is a file"
        elif (folder / RunRecord.FILE_NAME).exists():
            reason = "contains a finished run"
        elif not resume and folder.exists() and any(folder.iterdir()):
            started = (folder / checkpoints.FILE_NAME).exists()
            reason = "contains an interrupted run; --resume continues it" if started else "is not empty"
        elif resume and folder.exists() and not _is_resumable(folder):
            reason = "contains other files, but no run to resume"
        elif not folder.exists():
            folder.mkdir(parents=True)
            stack.enter_context(folder_lock(folder))
    (reason,) = gather_object([reason])[:1]  # all processes raise the error, or none
    if reason:
        advice = "" if reason.endswith("another output folder") else "; give another output folder"
        raise OutputExistsError(f"{folder} {reason}{advice}")


def _is_resumable(folder: Path) -> bool:
    """Return True if a folder has a checkpoint, or only files that a run writes before its first checkpoint."""
    names = {path.name for path in folder.iterdir()}
    early = {HISTORY, _TRACKED} | {name for name in names if name.startswith(f".{checkpoints.FILE_NAME}.")}
    return checkpoints.FILE_NAME in names or names <= early


def _check_forward_pass(config: TrainConfig, source: DataSource, model: torch.nn.Module, device: torch.device) -> None:
    """Evaluate the model on some rows, to detect errors before the folder is created."""
    rows = source.first_block[:_TRIAL_ROWS]
    batch = to_tensors(collate_batch(rows, source.schema), int(rows.lengths.max()))
    batch = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
    model.eval()
    with torch.no_grad(), _model_errors(config):
        model(**batch)


@contextmanager
def _model_errors(config: TrainConfig) -> Iterator[None]:
    """Re-raise a ValueError of the model as InvalidConfigError."""
    try:
        yield
    except SeqhubError:
        raise
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InvalidConfigError(f"model {config.model} for {config.task}: {reason}") from error


def _optimizer(config: TrainConfig, parameters: Sequence[Tensor], device: torch.device) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer in ("sgd", "rmsprop"):
        settings["momentum"] = config.momentum
    if config.optimizer in ("adam", "adamw"):
        settings["betas"] = (config.beta1, config.beta2)
    if config.optimizer == "rmsprop":
        settings["foreach"] = True  # one call per operation for all tensors
    else:
        settings["fused"] = device.type in ("cpu", "cuda")  # one call instead of a dozen per tensor
    return OPTIMIZERS[config.optimizer](parameters, **settings)


def _restore(
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int,
    device: torch.device,
) -> None:
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights)
    checkpoints.restore_optimizer(optimizer, tensors, metadata["groups"])
    restore_random_state(tensors, f"random.{rank}", device)


def _tracker_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return values of types that TensorBoard accepts as hyper-parameters."""
    return {name: value if isinstance(value, (int, float, str, bool)) else str(value) for name, value in values.items()}
