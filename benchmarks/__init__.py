"""Benchmarks of seqhub against baselines such as tutorials, measured in the same run.

    python -m benchmarks loader build   measures, prints and saves results to benchmarks/results/NAME.json
    python -m benchmarks all

Each file here that is not in `SHARED` is a benchmark: it defines `run(rounds) -> list[Row]`, and the first line of its
docstring is its title. To add a benchmark, add a file.

The machines are shared, so the ratio is the result: both sides are timed in turn (A B A B ...), and the ratio is the
median over the rounds of the ratio in each round. Rates depend on the machine.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

SHARED = {
    "__init__",
    "__main__",
    "baselines",
    "course",
    "jax_cells",
    "jax_seeds",
    "reference_generators",
    "sequence_generators",
    "timing",
}
RESULTS = Path(__file__).parent / "results"


def list_benchmarks() -> list[str]:
    """Return the names of all benchmarks, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)


def get_benchmark(name: str) -> ModuleType:
    """Return the module of a benchmark; it has `run`."""
    return import_module(f"{__name__}.{name}")
