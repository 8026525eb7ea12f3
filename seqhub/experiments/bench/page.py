"""Page of a benchmark: README.md with tables of all rows, and figures, rendered from its record."""

from pathlib import Path
from typing import Any

from seqhub.cards.rendering import fill
from seqhub.experiments.bench.grid import RECIPE, SOLVED
from seqhub.experiments.bench.summary import TEST, Group, compared_distributions, groups
from seqhub.io import write_atomically
from seqhub.plots.bench import plot_bench_lengths, plot_heat_map
from seqhub.records import BenchRecord
from seqhub.records.bench import BenchRow, DistributionRow
from seqhub.records.sweep import Spread

_FIGURES = ("svg", "png")


def write_page(record: BenchRecord, folder: Path) -> None:
    """Write `bench.json`, `README.md` and the figures `bench` and `lengths`, both as SVG and as PNG.

    With several sizes or budgets there are figures for each of them, such as `bench-50000-1000000.svg`.

    Raises:
        SaveError: A file cannot be written.
    """
    record.save(folder)
    for name in ("bench", "lengths"):
        for form in _FIGURES:
            for path in folder.glob(f"{name}*.{form}"):  # of other sizes and budgets
                path.unlink()
    for group, rows in groups(record.rows).items():
        suffix = _suffix(record, group)
        for form in _FIGURES:
            plot_heat_map(rows, compared_distributions(rows), folder / f"bench{suffix}.{form}", title=str(group))
            if any(row["distributions"] for row in rows):
                plot_bench_lengths(rows, folder / f"lengths{suffix}.{form}", title=str(group))
    write_atomically(folder / "README.md", render(record))


def render(record: BenchRecord) -> str:
    """Return the page as Markdown, for a folder with the figures."""
    sections = [
        {
            "group": group,
            "suffix": _suffix(record, group),
            "compared": compared_distributions(rows),
            "tasks": {
                task: [row for row in rows if row["task"] == task] for task in dict.fromkeys(r["task"] for r in rows)
            },
            "with_lengths": any(row["distributions"] for row in rows),
        }
        for group, rows in groups(record.rows).items()
    ]
    return fill(
        "bench",
        record=record,
        sections=sections,
        names=_names,
        cell=_cell,
        problems=_problems,
        recipe=describe_recipe(),
        solved=f"{SOLVED:.0%}".replace("%", " %"),
        median=_median,
        number=_number,
        state=_state,
    )


def describe_recipe() -> str:
    """Return the common training settings in one line."""
    warmup = f"{RECIPE['warmup']:.0%}".replace("%", " %")
    return (
        f"{RECIPE['optimizer']} with weight decay {RECIPE['weight_decay']:g}, gradients clipped to norm "
        f"{RECIPE['max_grad_norm']:g}, batches of {RECIPE['batch_size']}, {RECIPE['schedule']} schedule over the "
        f"budget with {warmup} warm-up"
    )


def _suffix(record: BenchRecord, group: Group) -> str:
    return "" if len(groups(record.rows)) == 1 else f"-{group.slug}"


def _names(rows: list[BenchRow]) -> list[str]:
    """Return the distributions on which any row of a task was tested, by length."""
    found: dict[str, float] = {}
    for row in rows:
        found |= {name: each["mean_length"] for name, each in row["distributions"].items()}
    return sorted(found, key=lambda name: (name != TEST, found[name], name))


def _cell(result: DistributionRow | None) -> str:
    """Return median, range and solved seeds on one distribution."""
    if result is None or result["score"]["median"] is None:
        return "–"
    spread = result["score"]
    return (
        f"{spread['median']:.3f} ({spread['least']:.3f} to {spread['most']:.3f}), {result['solved']}/{result['seeds']}"
    )


def _median(spread: Spread | None) -> str:
    return "–" if spread is None or spread["median"] is None else f"{spread['median']:,.0f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _state(row: BenchRow) -> str:
    """Return the size of the state after 1 and 256 tokens, once if they are equal."""
    floats = row.get("state_floats")
    return "–" if floats is None else " → ".join(f"{each:,}" for each in dict.fromkeys(floats))


def _problems(row: BenchRow) -> list[tuple[str, str]]:
    """Return what failed, with the reasons."""
    found: dict[str, Any] = {
        (f"seed {name}" if name.isdecimal() else name): reason for name, reason in row["failed"].items()
    }
    found |= {f"seed {name}, diverged": reason for name, reason in row["diverged"].items()}
    for name, each in row["distributions"].items():
        if name != TEST:
            found |= {f"seed {seed} on {name}": reason for seed, reason in each["failed"].items()}
    return list(found.items())
