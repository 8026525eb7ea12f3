"""Records of a benchmark of models on tasks: `cell.json` of each cell, and `bench.json` with all of them."""

from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, get_args

from seqhub.errors import CorruptFileError
from seqhub.models.reports import Conformance
from seqhub.records.base import Record
from seqhub.records.environment import Environment
from seqhub.records.schema import mismatches
from seqhub.records.sweep import Spread

Status = Literal["finished", "diverged", "failed"]


class CellSettings(TypedDict):
    """Settings of a cell, see `experiments.bench.cell.Cell`."""

    stage: str
    task: str
    data: str
    model: str
    code: str | None
    params: int | None
    recipe: dict[str, Any]
    sized_model: str | None
    budget: int | None
    learning_rate: float | None
    seed: int | None
    rows: int | None
    distribution: str | None
    version: int


class ProbeResult(TypedDict):
    """Sizes and speed of a model on a task."""

    sized_model: str  # model id with the size that has the requested number of parameters
    parameters: int
    core_parameters: int  # without embedding and head
    state_floats: list[int] | None  # after 1 and 256 tokens; None if the model has no cache
    ms_per_token: float  # of training
    evaluate_ms_per_token: float
    native: bool
    conformance: NotRequired[Conformance | None]  # of a wrapped model


class Evaluation(TypedDict):
    """Metrics of a model on rows of one distribution."""

    accuracy: float
    chance: float
    score: float  # (accuracy - chance) / (1 - chance), at least 0
    loss: float | None  # None if it is not finite
    examples: int
    length: list[int]
    mean_length: float
    digest: str


class RunResult(Evaluation):
    """Result of a training run, and its metrics on validation rows (`tune`) or test rows (`seeds`)."""

    sequences: int  # presented
    tokens: int  # in these sequences, without padding
    solved_at: int | None  # tokens until the run was solved on validation rows
    native: bool


_RESULTS: dict[str, Any] = {"probe": ProbeResult, "tune": RunResult, "seeds": RunResult, "lengths": Evaluation}


@dataclass(kw_only=True)
class CellRecord(Record):
    """Result of one cell, in the folder that is named by the SHA-256 of its settings.

    Task and model are not looked up when a record is read, so that a record of others never runs code.
    """

    FILE_NAME = "cell.json"

    settings: CellSettings
    status: str  # one of `Status`
    reason: str = ""  # error message, unless finished
    result: dict[str, Any] = field(default_factory=dict)  # empty unless finished
    timings: dict[str, float] = field(default_factory=dict)  # seconds
    environment: Environment = field(default_factory=Environment)

    def __post_init__(self) -> None:
        stage, statuses = self.settings["stage"], get_args(Status)
        if stage not in _RESULTS or self.status not in statuses:
            raise CorruptFileError(
                f"cell of stage {stage!r} with status {self.status!r}: must be of {', '.join(_RESULTS)} with "
                f"{', '.join(statuses)}"
            )
        wrong = ", ".join(mismatches(self.result, _RESULTS[stage], "result")) if self.status == "finished" else ""
        if wrong:
            raise CorruptFileError(f"cell of stage {stage}: missing values or values of a wrong type: {wrong}")


class DistributionRow(TypedDict):
    """Results of all seeds of a row on one test distribution."""

    length: list[int]  # shortest and longest sequence
    mean_length: float
    chance: float
    seeds: int  # seeds with a result, including diverged ones, whose score is 0
    solved: int
    accuracy: Spread
    score: Spread  # (accuracy - chance) / (1 - chance), at least 0
    failed: dict[str, str]  # seed -> error message


class BenchRow(TypedDict):
    """One model of one size on one task."""

    task: str
    model: str
    params: int | None  # requested number of parameters
    budget: int  # training tokens
    exceptions: dict[str, Any]  # settings that differ from the common recipe
    sized_model: NotRequired[str]
    parameters: NotRequired[int]
    core_parameters: NotRequired[int]  # without embedding and head
    state_floats: NotRequired[list[int] | None]  # after 1 and 256 tokens; None if the model has no cache
    ms_per_token: NotRequired[float]
    learning_rate: NotRequired[float]  # chosen on validation rows of the tuning seeds
    seeds: list[int]  # seeds with a result
    tokens: NotRequired[Spread]  # training tokens until solved, of the seeds that were solved on validation rows
    failed: dict[str, str]  # seed, or "probe" or "tune", -> error message
    diverged: dict[str, str]  # seed -> message
    distributions: dict[str, DistributionRow]  # "test" has the lengths of training


@dataclass(kw_only=True)
class BenchRecord(Record):
    """All cells of a benchmark, and their medians by task, model, size and budget."""

    FILE_NAME = "bench.json"

    grid: dict[str, Any]  # of the last command; empty for the union of several benchmarks
    rows: list[BenchRow]
    cells: list[dict[str, Any]]  # contents of all `cell.json`
    timings: dict[str, float]
    environment: Environment
    command: str
