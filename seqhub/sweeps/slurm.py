"""Runs of a sweep as jobs of a cluster, by submitit: on SLURM if available, otherwise as local processes.

Every job runs its share of the seeds like `sweep.run_locally`, in the folder of the sweep, which must be on a file
system that all machines share.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidConfigError
from seqhub.sweeps.sweep import FAILURE, SweepInterrupted, SweepPlan, finished_run, run_locally
from seqhub.training.runtime import interruptions

if TYPE_CHECKING:
    import submitit

_SECONDS = 0.5  # interval at which jobs are polled
_CANCEL_SECONDS = 30.0  # longest wait for cancelled jobs
_LINES = 20  # last lines of the output of a failed job


@dataclass(frozen=True)
class Cluster:
    """Runner of sweeps on a cluster; argument `run` of `sweep.sweep`.

    Args:
        jobs: Number of jobs that share the seeds; each has as many threads as the sweep.
        options: Arguments of `submitit.AutoExecutor.update_parameters`, such as `timeout_min` or `slurm_partition`.
        cluster: `slurm`, `local`, or None for SLURM if this machine has it.
    """

    jobs: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    cluster: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= 10_000:
            raise InvalidConfigError.of("jobs", self.jobs, "1 to 10,000")

    def __call__(self, plan: SweepPlan, seeds: Sequence[int], on_finish: Callable[[int], None]) -> None:
        """Submit the jobs, and wait until all have ended; unfinished seeds of a job that ended unexpectedly fail.

        Raises:
            InvalidConfigError: submitit is not installed, or rejects an option.
            SweepInterrupted: Ctrl-C or SIGTERM; the jobs are cancelled.
        """
        executor = open_executor(
            plan.config.output_dir / "jobs", threads=plan.threads, options=self.options, cluster=self.cluster
        )
        shares = [tuple(seeds[number :: self.jobs]) for number in range(min(self.jobs, len(seeds)))]
        with executor.batch():  # one job array
            jobs = [executor.submit(run_job, plan, share) for share in shares]
        open_seeds = set(seeds)
        with interruptions() as interrupted:
            while not interrupted:
                done = [job.done() for job in jobs]
                for job, share, is_done in zip(jobs, shares, done, strict=True):
                    for seed in open_seeds & set(share):
                        failure = plan.folder(seed) / FAILURE
                        finished = finished_run(plan, seed) is not None
                        if is_done and not finished and not failure.exists():
                            plan.folder(seed).mkdir(exist_ok=True)
                            failure.write_text(last_output(job, "seed"), encoding="utf-8")
                        if finished or failure.exists():
                            open_seeds.discard(seed)
                            on_finish(seed)
                if all(done):
                    return
                time.sleep(_SECONDS)
            cancel(jobs)
        finished_seeds = len(plan.seeds) - sum(finished_run(plan, seed) is None for seed in open_seeds)
        raise SweepInterrupted(
            f"stopped after {finished_seeds:,} of {len(plan.seeds):,} seeds, jobs cancelled; to continue, run the same "
            "command with --resume"
        )


def open_executor(
    folder: Path, *, threads: int, options: Mapping[str, Any], cluster: str | None
) -> "submitit.AutoExecutor":
    """Return an executor of submitit.

    Args:
        folder: Folder of the jobs.
        threads: Number of CPUs of each job.
        options: Arguments of `submitit.AutoExecutor.update_parameters`.
        cluster: `slurm`, `local`, or None for SLURM if this machine has it.

    Raises:
        InvalidConfigError: submitit is not installed, or rejects an option.
    """
    try:
        import submitit
    except ImportError:
        raise InvalidConfigError("engine submitit is not installed; pip install 'seqhub[cluster]'") from None
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster)
        executor.update_parameters(name="seqhub", cpus_per_task=threads, **options)
    except (TypeError, NameError, ValueError, RuntimeError) as error:
        raise InvalidConfigError(f"job options {dict(options)}: {' '.join(str(error).split())}") from None
    return executor


def cancel(jobs: Sequence[Any]) -> None:
    """Cancel jobs, and wait until they have ended."""
    for job in jobs:
        job.cancel()
    until = time.monotonic() + _CANCEL_SECONDS
    while not all(job.done() for job in jobs) and time.monotonic() < until:
        time.sleep(_SECONDS)


def run_job(plan: SweepPlan, seeds: Sequence[int]) -> None:
    """Run the unfinished seeds of one job."""
    run_locally(plan, [seed for seed in seeds if finished_run(plan, seed) is None], lambda seed: None)


def last_output(job: Any, what: str) -> str:
    """Return the last lines of the output of a job that ended without its seed or cell."""
    lines = (job.stderr() or job.stdout() or "").strip().splitlines()[-_LINES:]
    return "\n".join([*lines, f"job {job.job_id} ended in state {job.state} without this {what}"]) + "\n"
