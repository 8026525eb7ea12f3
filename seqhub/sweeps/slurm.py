"""The runs of a sweep as jobs of a cluster, through submitit: SLURM where there is one, else processes of this machine.

Every job makes its share of the seeds as `sweep.run_here` would, into the folder of the sweep, which all machines have
to share.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidConfigError
from seqhub.sweeps.sweep import FAILURE, Seeds, SweepInterrupted, finished_run, run_here
from seqhub.training.runtime import interruptions

if TYPE_CHECKING:
    import submitit

_SECONDS = 0.5  # from one look at the jobs to the next
_MOST_SECONDS = 30.0  # that cancelled jobs are waited for
_LINES = 20  # of what a dead job said last


@dataclass(frozen=True)
class Cluster:
    """Makes the runs of a sweep as jobs; `run` of `sweep.sweep`.

    Args:
        jobs: How many share the seeds; each has as many threads as the sweep.
        options: Of `submitit.AutoExecutor.update_parameters`, as `timeout_min` or `slurm_partition`.
        cluster: `slurm`, `local`, or None for what this machine has.
    """

    jobs: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    cluster: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= 10_000:
            raise InvalidConfigError(f"jobs {self.jobs}; need 1 to 10,000")

    def __call__(self, plan: Seeds, left: Sequence[int], ended: Callable[[int], None]) -> None:
        """Submit, and wait until all jobs have ended; a job that dies fails its seeds that were not finished.

        Raises:
            InvalidConfigError: submitit is not installed, or does not take an option.
            SweepInterrupted: Ctrl-C or SIGTERM; the jobs are cancelled.
        """
        executor = self._executor(plan)
        shares = [tuple(left[number :: self.jobs]) for number in range(min(self.jobs, len(left)))]
        with executor.batch():  # one array of jobs
            jobs = [executor.submit(run_share, plan, share) for share in shares]
        open_seeds = set(left)
        with interruptions() as interrupted:
            while not interrupted:
                over = [job.done() for job in jobs]
                for job, share, is_over in zip(jobs, shares, over, strict=True):
                    for seed in open_seeds & set(share):
                        failure = plan.folder(seed) / FAILURE
                        finished = finished_run(plan, seed) is not None
                        if is_over and not finished and not failure.exists():
                            plan.folder(seed).mkdir(exist_ok=True)
                            failure.write_text(_last_words(job), encoding="utf-8")
                        if finished or failure.exists():
                            open_seeds.discard(seed)
                            ended(seed)
                if all(over):
                    return
                time.sleep(_SECONDS)
            for job in jobs:
                job.cancel()
            until = time.monotonic() + _MOST_SECONDS
            while not all(job.done() for job in jobs) and time.monotonic() < until:
                time.sleep(_SECONDS)
        done = len(plan.seeds) - sum(finished_run(plan, seed) is None for seed in open_seeds)
        raise SweepInterrupted(
            f"stopped after {done:,} of {len(plan.seeds):,} seeds, and the jobs cancelled; the same command with "
            "--resume goes on from there"
        )

    def _executor(self, plan: Seeds) -> "submitit.AutoExecutor":
        try:
            import submitit
        except ImportError:
            raise InvalidConfigError("engine submitit is not installed; pip install 'seqhub[cluster]'") from None
        try:
            executor = submitit.AutoExecutor(plan.config.output_dir / "jobs", cluster=self.cluster)
            executor.update_parameters(name="seqhub", cpus_per_task=plan.threads, **self.options)
        except (TypeError, NameError, ValueError, RuntimeError) as error:
            raise InvalidConfigError(f"job options {self.options}: {' '.join(str(error).split())}") from None
        return executor


def run_share(plan: Seeds, share: Sequence[int]) -> None:
    """What a job does."""
    run_here(plan, [seed for seed in share if finished_run(plan, seed) is None], lambda seed: None)


def _last_words(job: Any) -> str:
    said = (job.stderr() or job.stdout() or "").strip().splitlines()[-_LINES:]
    return "\n".join([*said, f"job {job.job_id} ended in state {job.state} without this seed"]) + "\n"
