"""The launcher of a run, read from the environment: how many processes it started, and with which settings.

Covers torchrun, `accelerate launch` and MPI, which Accelerate reads too, and `srun`, which it does not.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from seqhub.errors import InvalidConfigError

_TORCH_NUMBERS, _TORCH_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"), ("MASTER_ADDR",)
_MPI = (  # number of processes and rank, in the order in which Accelerate looks for them
    ("PMI_SIZE", "PMI_RANK"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
)
_PATIENCE = timedelta(seconds=5)  # with the store of torchrun
_PRECISION, _CPU = "ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU"
_UNSUPPORTED = {  # variable -> values that ask for nothing
    "ACCELERATE_USE_DEEPSPEED": ("", "false", "0", "no"),
    "ACCELERATE_USE_FSDP": ("", "false", "0", "no"),
    "ACCELERATE_USE_MEGATRON_LM": ("", "false", "0", "no"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("", "false", "0", "no"),
    "ACCELERATE_USE_SAGEMAKER": ("", "false", "0", "no"),
    "ACCELERATE_DYNAMO_BACKEND": ("", "no"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("", "1"),
    "ACCELERATE_GRADIENT_CLIPPING": ("",),
}
_CURES = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "; a larger --batch-size does the same",
    "ACCELERATE_GRADIENT_CLIPPING": "; --max-grad-norm does the same",
}


@dataclass(frozen=True)
class Launch:
    """The processes that a launcher started for one run.

    Args:
        size: Number of processes.
        rank: Number of this process, from 0.
    """

    size: int = 1
    rank: int = 0


def launch() -> Launch:
    """Read who else takes part in this run.

    Raises:
        InvalidConfigError: Several processes were asked for and Accelerate would not see it, so that each would train
            alone into one folder; or only some variables of a launcher are there, left over from another program.
    """
    given = {name: os.environ.get(name, "") for name in (*_TORCH_NUMBERS, *_TORCH_NAMES)}
    mpi = any(size_name in os.environ for size_name, _ in _MPI)
    if given["LOCAL_RANK"] not in ("", "-1") or (given["WORLD_SIZE"] not in ("", "1") and not mpi):
        wrong = [name for name in given if not given[name] or (name in _TORCH_NUMBERS and not given[name].isdecimal())]
        if wrong or int(given["RANK"]) >= int(given["WORLD_SIZE"]):
            values = ", ".join(f"{name}={value}" for name, value in given.items())
            raise InvalidConfigError(
                f"environment is no launcher's: {values}; unset them, or use accelerate launch or torchrun"
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
            f"on a machine, and in it torchrun --nproc_per_node {tasks} -m seqhub.training"
        )
    if _PRECISION in os.environ and given["MASTER_ADDR"] and given["MASTER_PORT"]:
        raise InvalidConfigError(
            "accelerate launch was asked for several processes and started one, as it does on a CPU (MASTER_ADDR="
            f"{given['MASTER_ADDR']}, and no WORLD_SIZE); use torchrun --standalone --nproc_per_node 2 -m "
            "seqhub.training ... --cpu, or --num_processes 1"
        )
    return Launch()


def require_one_process(what: str) -> None:
    """Raise InvalidConfigError where a launcher has started several processes of something that is one.

    Args:
        what: The name that the user knows it by.
    """
    if (size := launch().size) > 1:
        raise InvalidConfigError(f"{what} in {size} processes of a launcher; start it once, without one")


def is_first_to_speak() -> bool:
    """Return whether this process is the first one of its launcher that has an error to print; always without torchrun.

    torchrun, which `accelerate launch` uses too, has a store that its processes can reach before they have met.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or os.environ.get("WORLD_SIZE", "1") == "1":
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # a second or two, in a process that fails

    attempt = [os.environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=_PATIENCE, wait_for_workers=False)
        return bool(store.add("/".join(["seqhub", "spoken", *attempt]), 1) == 1)
    except (KeyError, ValueError, RuntimeError):
        return True


def launcher_precision() -> Literal["no", "bf16"]:
    """Mixed precision that `accelerate launch` was told, by its option or its config file; "no" without it.

    What else it may be told, "fp16" or "fp8", is returned as it is and refused by `TrainConfig`.
    """
    return cast(Literal["no", "bf16"], os.environ.get(_PRECISION, "").lower() or "no")


def launcher_cpu() -> bool:
    """Return whether `accelerate launch` was told to stay on the CPU."""
    return os.environ.get(_CPU, "").lower() in ("1", "true", "yes", "y", "on", "t")


def require_supported_settings() -> None:
    """Raise InvalidConfigError for a setting of the launcher that a run would not follow."""
    for name, nothing in _UNSUPPORTED.items():
        if (value := os.environ.get(name, "")).lower() not in nothing:
            cure = _CURES.get(name, "")
            raise InvalidConfigError(f"{name}={value} of the launcher; seqhub does not support it{cure}")


def notes_on_settings(precision: str, cpu: bool, threads: int) -> list[str]:
    """Say in a line each where a run does not follow its launcher.

    Args:
        precision: Of the run, and so are the others.
        cpu: Whether it stays on the CPU.
        threads: CPU threads of torch.
    """
    if _PRECISION not in os.environ:  # not started by `accelerate launch`
        return []
    notes = []
    if launcher_precision() not in ("no", precision):
        notes.append(f"precision {precision}, as given, and not {launcher_precision()} of the launcher")
    if launcher_cpu() and not cpu:
        notes.append("cpu False, as given, and not --cpu of the launcher")
    wanted = os.environ.get("OMP_NUM_THREADS", "1")
    if wanted.isdecimal() and int(wanted) > threads == 1:
        notes.append(f"one CPU thread, and not {wanted} of the launcher; --threads {wanted} takes as many")
    return notes
