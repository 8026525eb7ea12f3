"""Train one classifier on one task. Reads top to bottom; every number it uses is in `TrainConfig`."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from seqhub.data.collate import drawn_columns, tensors
from seqhub.data.describe import warn
from seqhub.data.source import DataSource
from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError, SaveError, SeqhubError
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.classification import reaches
from seqhub.metrics.per_example import example_metrics, right_share
from seqhub.models.predict import logistic_outputs
from seqhub.records import RunRecord
from seqhub.tasks.schema import TaskSchema
from seqhub.training import checkpoints
from seqhub.training.artifacts import build_record, save_run
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import ValidationRows, data_source, identified, length_of, training_rows
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import FILE_NAME as HISTORY
from seqhub.training.history import History
from seqhub.training.hooks import capture, leaves
from seqhub.training.launch import Launch, launch, require_supported_settings
from seqhub.training.loss_scale import loss_scale, placeholder
from seqhub.training.main_guard import require_main_guard
from seqhub.training.metric_buffer import MetricBuffer
from seqhub.training.model_setup import create_model
from seqhub.training.peers import failing_together
from seqhub.training.random_state import random_state, restore_random_state, seed_process
from seqhub.training.runtime import environment_variable, interruptions, own_accelerate_state, torch_threads
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.stopping import Criteria
from seqhub.training.tbptt import chunks

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_TRACKED = "seqhub"  # name of the project in trackers; TensorBoard makes a folder of it
_TRIED = 256  # sequences that a model is shown before a run leaves anything behind


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: everything is saved, and the message says how to go on."""


def train(
    config: TrainConfig, *, resume: bool = False, callback: Callable[[TrainerState], None] | None = None
) -> RunRecord | None:
    """Train, and leave weights, config, tokenizer, history and record in `config.output_dir`.

    Launched once, or once per process by `accelerate launch` or `torchrun`. The random state and thread count of
    the caller are given back as they were.

    Args:
        config: All settings.
        resume: Go on from the folder's checkpoint, bit by bit as if never stopped; starts afresh where there is none.
        callback: Called on the main process after every check.

    Returns:
        The record, on the main process; None on the others.

    Raises:
        OutputExistsError: The folder holds another run, or this one without `resume`, or another process writes it.
        InvalidConfigError: The checkpoint is of a run with other settings, training diverged, or the launcher asks for
            something that is not supported.
        CorruptFileError: The checkpoint is truncated.
        SaveError: The disk is full; the last good checkpoint, if there was one, is still whole.
        TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was written.
        PeerFailedError: Another process of the run has failed.
    """
    require_main_guard()
    with ExitStack() as stack:
        stack.enter_context(own_accelerate_state())
        stack.enter_context(torch_threads(config.threads))
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        accelerator = _accelerator(config, launch())
        config = replace(config, cpu=config.cpu or (accelerator.num_processes > 1 and accelerator.device.type == "cpu"))
        with failing_together(TrainingInterrupted):
            return _train(config, resume, callback, accelerator, stack)


def _accelerator(config: TrainConfig, started: Launch) -> Accelerator:
    """Return the Accelerator of a run, for all processes that its launcher started.

    Raises:
        InvalidConfigError: It would not follow the settings, or it would see fewer processes than were started.
    """
    require_supported_settings()
    cpu = config.cpu or (started.size > 1 and not torch.accelerator.is_available())
    try:
        with environment_variable("ACCELERATE_USE_CPU", str(cpu)):  # else it would go before the settings
            accelerator = Accelerator(
                cpu=cpu,
                mixed_precision=config.precision,
                log_with=list(config.trackers) or None,
                project_dir=config.output_dir,
            )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if "already been initialized" in reason:  # by the caller, or by the Trainer of transformers
            reason = f"this process already trains with other ones ({reason.partition('.')[0]})"
        raise InvalidConfigError(f"precision {config.precision}, cpu {config.cpu}: {reason}") from error
    if accelerator.num_processes != started.size:
        raise InvalidConfigError(
            f"{started.size} processes were started, and Accelerate sees {accelerator.num_processes}, so that each "
            "would train alone; add --cpu, or start one process"
        )
    if cpu and accelerator.device.type != "cpu":
        raise InvalidConfigError(f"cpu {cpu}, and this process already works on {accelerator.device}")
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

    # data: the same global batches for any number of processes, of which each takes its slice
    loader = training_rows(config, source, rank, world_size)
    validation = ValidationRows(config, source, rank, world_size)
    total, epoch = length_of(config, loader)

    # model: its vocabulary and labels are the task's
    model = bare_model = create_model(config, schema)
    model = accelerator.prepare(model)
    # Not prepared: what accelerate's wrapper adds serves fp16 and gradient accumulation, and takes 0.3 ms a step
    parameters = list(bare_model.parameters())
    optimizer = _optimizer(config, parameters, accelerator.device)

    _try(config, source, bare_model, accelerator.device)
    identities = gather_object([identified(source)])
    if len(set(identities)) > 1:
        raise InvalidConfigError(f"{source.name} has other rows for some processes than for others; start again")
    if accelerator.is_main_process:
        warn(source)

    # the folder, once nothing in the settings can be wrong any more; from here on a stop is a checkpoint
    prepare_folder(config.output_dir, resume, accelerator, stack)
    interrupted = stack.enter_context(interruptions())

    # criteria, and everything else that a checkpoint keeps
    criteria = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule)
    now = TrainerState()
    solved = False
    seed_process(config.seed, rank)
    if resume and (saved := checkpoints.load(config.output_dir)) is not None:
        tensors, facts = saved
        path = config.output_dir / checkpoints.FILE_NAME
        asked = config.as_json() | {"processes": world_size}
        checkpoints.require_same_data(path, facts.get("data", {}), source)
        checkpoints.require_same_run(path, facts["config"], asked, config.may_change)
        _restore(tensors, facts, bare_model, optimizer, rank, accelerator.device)
        loader.load_state_dict(facts["feed"])
        validation.load_state_dict(facts["fresh"])
        criteria.load_state_dict(facts["criteria"])
        now = TrainerState(**facts["progress"])
        solved = facts.get("ended", False) and criteria.met(config.stop_at)  # nothing but the artifacts is missing
    recorded = stack.enter_context(capture(leaves(bare_model), config.record))
    history = History(config.output_dir, now.sequences, accelerator.is_main_process)
    if config.trackers:
        accelerator.init_trackers(_TRACKED, config=_plain(config.as_json()))

    def keep(*, ended: bool = False) -> None:
        random_states = gather_object([random_state(accelerator.device)])
        try:
            if accelerator.is_main_process:
                tensors, groups = checkpoints.flatten_optimizer(optimizer)
                tensors |= {f"model.{name}": tensor for name, tensor in bare_model.state_dict().items()}
                for number, states in enumerate(random_states):
                    tensors |= {f"random.{number}{name}": torch.from_numpy(each) for name, each in states.items()}
                facts = {
                    "config": config.as_json() | {"processes": world_size},
                    "data": {"source": source.name, "identity": source.identity},
                    "groups": groups,
                    "feed": loader.state_dict(),
                    "fresh": validation.state_dict(),
                    "criteria": criteria.state_dict(),
                    "progress": vars(now),
                    "ended": ended,
                }
                checkpoints.save(config.output_dir, tensors, facts)
        finally:
            accelerator.wait_for_everyone()

    # train
    started = time.perf_counter() - now.seconds
    logistic = logistic_outputs(bare_model)
    window = MetricBuffer(schema, logistic)
    model.train()
    batches = iter(loader)
    while now.sequences < total and not solved:
        batch = next(batches, None)
        if batch is None:  # the end of an epoch
            batches = iter(loader)
            continue
        rows = loader.rows_seen - now.sequences  # of all processes
        mine = len(batch["labels"])  # none where the last batch of an epoch has fewer rows than processes
        if accelerator.device.type != "cpu":
            batch = {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}
        if config.schedule not in ("constant", "error") or config.warmup:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, now.sequences, total, epoch)

        logits: list[Tensor] = []
        state = None
        for part in chunks(batch if mine else placeholder(batch), config.chunk_steps):
            scale = loss_scale(accelerator, bare_model, schema, part, mine, rows)
            extra: dict[str, Any] = {"past_key_values": state, "use_cache": True} if config.chunk_steps else {}
            with torch.set_grad_enabled(scale.learns), _refusals(config):
                output = model(**part, **scale.arguments, **extra)
            outputs = output.logits.detach() if mine else output.logits.detach()[:0]
            logits.append(outputs)
            if config.chunk_steps and config.carry_state:
                state = output.past_key_values.detach()
            if not scale.learns:  # the state moves on, and nothing is learnt
                continue
            loss = output.loss if scale.factor == 1 else output.loss * scale.factor
            loss.backward()  # accelerate's own would only divide by one here, which takes a node of the graph
            if config.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            if config.schedule == "error":
                judged = example_metrics(
                    schema, outputs, part["labels"][:mine], part["attention_mask"][:mine], logistic
                )
                factor = now.error_factor(_largest(accelerator, judged[:, 0]), config)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, now.sequences, total, epoch) * factor
            optimizer.step()
            optimizer.zero_grad()
            now.steps += 1

        before, now.sequences = now.sequences, now.sequences + rows
        window.add(
            logits[0] if len(logits) == 1 else torch.cat(logits, dim=1), batch["labels"], batch["attention_mask"]
        )
        check_due = before // config.evaluate_every != now.sequences // config.evaluate_every
        stop_now = bool(interrupted) and world_size == 1  # alone, a process may stop anywhere; together, at a check
        if not (check_due or stop_now or now.sequences >= total):
            continue

        # take in what was presented since the last check, in the order of presentation
        errors = window.collect()
        criteria.update(errors[:, 0], errors[:, 1])
        recorded.add_to(now.recorded)
        now.add(errors)

        # validate
        if check_due or now.sequences >= total:
            began = time.perf_counter()
            correct, seen = validate(accelerator, bare_model, schema, validation, config)
            criteria.check(now.sequences, correct, seen, ModelScorer(bare_model, schema))
            recorded.clear()  # of what passed through the model in the check
            now.check_seconds += time.perf_counter() - began
            now.seconds = time.perf_counter() - started
            row = now.row(config, correct, seen, optimizer.param_groups[0]["lr"])
            history.append(row)
            if config.trackers:
                accelerator.log({k: v for k, v in row.items() if k != "sequences"}, step=now.sequences)
            if callback is not None and accelerator.is_main_process:
                callback(now)
            (solved,) = gather_object([criteria.met(config.stop_at)])[:1]  # each asks its model; the first one decides

        now.seconds = time.perf_counter() - started
        if not solved and any(gather_object([bool(interrupted)])):
            keep()
            accelerator.end_training()
            raise TrainingInterrupted(
                f"stopped after {now.sequences:,} sequences; the same command with --resume goes on from there"
            )
        if before // config.checkpoint_every != now.sequences // config.checkpoint_every and not solved:
            keep()

    # keep: weights, config, code and tokenizer for the Hub, and the record that cards are made from. A checkpoint goes
    # first, so that whatever stops them, the run goes on from its end; they take less room, and are tried without it
    record = None
    with suppress(SaveError):
        keep(ended=True)
    if accelerator.is_main_process:
        record = build_record(config, source, bare_model, now, criteria.met_at(), world_size)
        try:
            save_run(config.output_dir, bare_model, source, record)
        except SaveError as error:
            raise SaveError(f"{error}; {_what_is_kept(config.output_dir)}") from error
    accelerator.wait_for_everyone()
    if world_size > 1:
        accelerator.free_memory()  # ends the reducer of a distributed model before the processes part
    accelerator.end_training()
    return record


def validate(
    accelerator: Accelerator,
    model: torch.nn.Module,
    schema: TaskSchema,
    validation: ValidationRows,
    config: TrainConfig,
) -> tuple[float, int]:
    """Return the right answers of one validation and the rows it looked at; all processes have to call it.

    Of a sequence with a class or symbol per step, the share of right steps counts. A validation ends early once so many
    answers are wrong that it cannot reach the threshold any more; it then counts as one that does not reach it.
    """
    model.eval()
    correct, seen = 0.0, 0
    with torch.inference_mode(), accelerator.autocast(), _refusals(config):
        for batch, rows in validation.batches():
            batch = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            labels = batch.pop("labels")
            right = torch.zeros((), dtype=torch.float64)
            if len(labels):
                logits, logistic = model(**batch).logits, logistic_outputs(model)
                right = right_share(schema, logits, labels, batch["attention_mask"], logistic).cpu().double().sum()
            if accelerator.num_processes > 1:
                right = accelerator.reduce(right.to(accelerator.device))
            correct += float(right)
            seen += rows
            if not reaches(config.accuracy, validation.rows - (seen - correct), validation.rows):
                break
    model.train()
    return correct, seen


def _largest(accelerator: Accelerator, errors: Tensor) -> float:
    """Of one step, over all processes, of which some may have no rows."""
    mine = torch.cat([errors, errors.new_zeros(1)]).max()
    return float(accelerator.gather(mine).max())


def _what_is_kept(folder: Path) -> str:
    """Say what a run that ended and could not be saved has left."""
    try:
        saved = checkpoints.load(folder)
    except CorruptFileError:
        saved = None
    if saved is None:
        return "no checkpoint of it could be written either, so the run is lost"
    at = saved[1]["progress"]["sequences"]
    return f"its checkpoint is still there, of {at:,} sequences; with room, the same command with --resume ends the run"


def prepare_folder(folder: Path, resume: bool, accelerator: Accelerator, stack: ExitStack) -> None:
    """Make the folder and lock it until the end of `stack`, unless it holds something that a run would overwrite."""
    taken = ""
    if accelerator.is_main_process:
        if folder.is_dir():
            try:
                stack.enter_context(folder_lock(folder))
            except OutputExistsError as error:
                taken = str(error).removeprefix(f"{folder} ")
        if taken:
            pass
        elif folder.exists() and not folder.is_dir():
            taken = "is a file"
        elif (folder / RunRecord.FILE_NAME).exists():
            taken = "holds a finished run"
        elif not resume and folder.exists() and any(folder.iterdir()):
            started = (folder / checkpoints.FILE_NAME).exists()
            taken = "holds a run that was stopped; --resume goes on with it" if started else "is not empty"
        elif resume and folder.exists() and not _holds_own(folder):
            taken = "holds no run to go on with, but something else"
        elif not folder.exists():
            folder.mkdir(parents=True)
            stack.enter_context(folder_lock(folder))
    (taken,) = gather_object([taken])[:1]  # every process gives up, or none
    if taken:
        rest = "" if taken.endswith("another output folder") else "; give another output folder"
        raise OutputExistsError(f"{folder} {taken}{rest}")


def _holds_own(folder: Path) -> bool:
    """Whether a folder has a checkpoint, or nothing but what a run leaves before its first one."""
    names = {path.name for path in folder.iterdir()}
    early = {HISTORY, _TRACKED} | {name for name in names if name.startswith(f".{checkpoints.FILE_NAME}.")}
    return checkpoints.FILE_NAME in names or names <= early


def _try(config: TrainConfig, source: DataSource, model: torch.nn.Module, device: torch.device) -> None:
    """Show the model some rows before anything is made."""
    rows = source.first_block[:_TRIED]
    batch = tensors(drawn_columns(rows, source.schema), int(rows.lengths.max()))
    batch = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
    model.eval()
    with torch.no_grad(), _refusals(config):
        model(**batch)


@contextmanager
def _refusals(config: TrainConfig) -> Iterator[None]:
    """Rows that the model refuses are a setting that does not fit them."""
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
        settings["foreach"] = True  # one call for all tensors, of each of its few operations
    else:
        settings["fused"] = device.type in ("cpu", "cuda")  # one call instead of a dozen a tensor
    return OPTIMIZERS[config.optimizer](parameters, **settings)


def _restore(
    tensors: dict[str, Tensor],
    facts: dict[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int,
    device: torch.device,
) -> None:
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights)
    checkpoints.restore_optimizer(optimizer, tensors, facts["groups"])
    restore_random_state(tensors, f"random.{rank}", device)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values that TensorBoard takes as hyper-parameters."""
    return {name: value if isinstance(value, (int, float, str, bool)) else str(value) for name, value in values.items()}
