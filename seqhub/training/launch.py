"""Launcher of a run, read from the environment: number of processes and settings.

Supported are torchrun, `accelerate launch` and MPI, which Accelerate supports too. `srun`, which Accelerate does not
support, is detected.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from seqhub.errors import InvalidConfigError, SeqhubError

_TORCH_NUMBERS, _TORCH_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"), ("MASTER_ADDR",)
_MPI = (  # number of processes and rank, in the order in which Accelerate looks for them
    ("PMI_SIZE", "PMI_RANK"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
)
_STORE_TIMEOUT = timedelta(seconds=5)  # for the store of torchrun
_PRECISION, _CPU = "ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU"
_UNSUPPORTED = {  # variable -> values that leave the feature disabled
    "ACCELERATE_USE_DEEPSPEED": ("", "false", "0", "no"),
    "ACCELERATE_USE_FSDP": ("", "false", "0", "no"),
    "ACCELERATE_USE_MEGATRON_LM": ("", "false", "0", "no"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("", "false", "0", "no"),
    "ACCELERATE_USE_SAGEMAKER": ("", "false", "0", "no"),
    "ACCELERATE_DYNAMO_BACKEND": ("", "no"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("", "1"),
    "ACCELERATE_GRADIENT_CLIPPING": ("",),
}
_ALTERNATIVES = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "; use --accumulation-steps instead",
    "ACCELERATE_GRADIENT_CLIPPING": "; use --max-grad-norm instead",
}


class PeerFailedError(SeqhubError):
    """Failure of another process of the run; without a message if that process reports the error."""


@dataclass(frozen=True)
class Launch:
    """Processes that a launcher started for a run.

    Args:
        size: Number of processes.
        rank: Number of this process, from 0.
    """

    size: int = 1
    rank: int = 0


def launch() -> Launch:
    """Return the number of processes of this run and the rank of this one.

    Raises:
        InvalidConfigError: Several processes were requested but Accelerate would not detect them, so that each would
            train alone into the same folder; or some variables of a launcher are missing.
    """
    given = {name: os.environ.get(name, "") for name in (*_TORCH_NUMBERS, *_TORCH_NAMES)}
    mpi = any(size_name in os.environ for size_name, _ in _MPI)
    if given["LOCAL_RANK"] not in ("", "-1") or (given["WORLD_SIZE"] not in ("", "1") and not mpi):
        invalid = [
            name for name in given if not given[name] or (name in _TORCH_NUMBERS and not given[name].isdecimal())
        ]
        if invalid or int(given["RANK"]) >= int(given["WORLD_SIZE"]):
            values = ", ".join(f"{name}={value}" for name, value in given.items())
            raise InvalidConfigError(
                f"invalid variables of a launcher in the environment: {values}; unset them, or use accelerate "
                "launch or torchrun"
            )
        return Launch(int(given["WORLD_SIZE"]), int(given["RANK"]))
    for size_name, rank_name in _MPI:
        size, rank = os.environ.get(size_name, ""), os.environ.get(rank_name, "0")
        if size.isdecimal() and rank.isdecimal() and int(size) > 1:
            return Launch(int(size), int(rank))
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks.isdecimal() and int(tasks) > 1:
        raise InvalidConfigError(
            f"SLURM_STEP_NUM_TASKS={tasks}: srun started {tasks} processes, and each would train alone; start one task "
            f"for each machine, and in it torchrun --nproc_per_node {tasks} -m seqhub.training"
        )
    if _PRECISION in os.environ and given["MASTER_ADDR"] and given["MASTER_PORT"]:
        raise InvalidConfigError(
            "accelerate launch started one process instead of several, as it does on a CPU (MASTER_ADDR="
            f"{given['MASTER_ADDR']}, without WORLD_SIZE); use torchrun --standalone --nproc_per_node 2 -m "
            "seqhub.training ... --cpu, or --num_processes 1"
        )
    return Launch()


def require_one_process(what: str) -> None:
    """Raise InvalidConfigError if a launcher started several processes for a program that needs one.

    Args:
        what: Name of the program for the message, such as "a sweep".
    """
    if (size := launch().size) > 1:
        raise InvalidConfigError(f"{what} in {size} processes: must be one process; start it without a launcher")


def is_first_to_report() -> bool:
    """Return True in the first of the processes of torchrun that reports an error; always True without torchrun.

    torchrun, which `accelerate launch` uses too, has a store that its processes can use before they are connected.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or os.environ.get("WORLD_SIZE", "1") == "1":
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # slow, so imported only after an error

    attempt = [os.environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=_STORE_TIMEOUT, wait_for_workers=False)
        return bool(store.add("/".join(["seqhub", "spoken", *attempt]), 1) == 1)
    except (KeyError, ValueError, RuntimeError):
        return True


def launcher_precision() -> Literal["no", "bf16"]:
    """Return the mixed precision of `accelerate launch`, from its option or its config file; "no" without it.

    The other values, "fp16" and "fp8", are returned too, and `TrainConfig` raises an error for them.
    """
    return cast(Literal["no", "bf16"], os.environ.get(_PRECISION, "").lower() or "no")


def launcher_cpu() -> bool:
    """Return True if `accelerate launch` has the option --cpu or the same setting in its config file."""
    return os.environ.get(_CPU, "").lower() in ("1", "true", "yes", "y", "on", "t")


def require_supported_settings() -> None:
    """Raise InvalidConfigError for a setting of the launcher that seqhub does not support."""
    for name, disabled in _UNSUPPORTED.items():
        if (value := os.environ.get(name, "")).lower() not in disabled:
            alternative = _ALTERNATIVES.get(name, "")
            raise InvalidConfigError(f"{name}={value} of the launcher: not supported by seqhub{alternative}")


def notes_on_settings(precision: str, cpu: bool, threads: int) -> list[str]:
    """Return a message for each setting of the launcher that a setting of the run overrides.

    Args:
        precision: Precision of the run.
        cpu: True if the run is restricted to the CPU.
        threads: Number of CPU threads of torch.
    """
    if _PRECISION not in os.environ:  # not started by `accelerate launch`
        return []
    notes = []
    if launcher_precision() not in ("no", precision):
        notes.append(f"precision {precision} overrides {launcher_precision()} of the launcher")
    if launcher_cpu() and not cpu:
        notes.append("cpu False overrides --cpu of the launcher")
    launcher_threads = os.environ.get("OMP_NUM_THREADS", "1")
    if launcher_threads.isdecimal() and int(launcher_threads) > threads == 1:
        notes.append(
            f"threads 1 overrides {launcher_threads} of the launcher; use them by --threads {launcher_threads}"
        )
    return notes
