"""The tutorials' own way of doing each job, and ours beside it, measured in one run.

    python -m benchmarks feed build     measures and prints; results go to benchmarks/results/NAME.json
    python -m benchmarks all

Each file here that is not listed in `MACHINERY` is a benchmark: it defines `run(rounds) -> list[Row]`, and the first
line of its docstring is its title. Nothing else is edited to add one.

The machines these run on are shared, so the ratio is the result: both sides are timed in turn (A B A B ...) and the
ratio is the median over the rounds of that round's ratio. Rates depend on the machine.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

MACHINERY = {"__init__", "__main__", "baselines", "course", "timing", "usual"}
RESULTS = Path(__file__).parent / "results"


def list_benchmarks() -> list[str]:
    """Names of all benchmarks, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in MACHINERY)


def get_benchmark(name: str) -> ModuleType:
    """The module of that name; it has `run`."""
    return import_module(f"{__name__}.{name}")
