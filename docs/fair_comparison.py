"""Tables of `docs/fair_comparison.md`, from the record of the published comparison; rendered by `make cards`."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from seqhub.records import BenchRecord

FOLDER = Path(__file__).parent.parent / "model_cards" / "bench"
Cells = dict[tuple[str, str], list[dict[str, Any]]]  # by model and task


def tables() -> str:
    """Return both tables: what seeds and learning rates change."""
    cells = BenchRecord.load(FOLDER).cells
    return f"{_seeds(_by_pair(cells, 'seeds'))}\n\n{_learning_rates(_by_pair(cells, 'tune'))}"


def _by_pair(cells: list[dict[str, Any]], stage: str) -> Cells:
    found: Cells = defaultdict(list)
    for cell in cells:
        settings = cell["settings"]
        if settings["stage"] == stage and settings["distribution"] is None:
            found[settings["model"], settings["task"]].append(cell)
    return found


def _score(cell: dict[str, Any]) -> float:
    return float(cell["result"]["score"]) if cell["status"] == "finished" else 0.0  # a run that diverged


def _seeds(cells: Cells) -> str:
    """Return how scores differ between seeds, and which places the best seed would exchange."""
    scores = {key: [_score(cell) for cell in each] for key, each in cells.items()}
    spread = {key: max(each) - min(each) for key, each in scores.items()}
    above = sum(max(each) - median(each) > 0.1 for each in scores.values())
    rivals = [(a, b) for a, b in combinations(sorted(scores), 2) if a[1] == b[1]]
    exchanged = sum((max(scores[a]) - max(scores[b])) * (median(scores[a]) - median(scores[b])) < 0 for a, b in rivals)
    model, task = max(spread, key=lambda key: (spread[key], key))
    return "\n".join(
        [
            f"| of {len(scores)} pairs of a model and a task, {len(scores[model, task])} seeds each | pairs |",
            "| --- | ---: |",
            f"| the scores of the seeds differ by more than 0.1 | {sum(gap > 0.1 for gap in spread.values())} |",
            f"| ... by more than 0.5 | {sum(gap > 0.5 for gap in spread.values())} |",
            f"| the best seed is more than 0.1 above the median | {above} |",
            "",
            f"The widest range has `{model}` on `{task}`: {min(scores[model, task]):.2f} to "
            f"{max(scores[model, task]):.2f}. Of {len(rivals)} pairs of models on one task, {exchanged} would change "
            "places if the best seed counted instead of the median.",
        ]
    )


def _learning_rates(cells: Cells) -> str:
    """Return which learning rate was best how often, and what one rate for all would cost."""
    scores = {key: {cell["settings"]["learning_rate"]: _score(cell) for cell in each} for key, each in cells.items()}
    rates = sorted({rate for each in scores.values() for rate in each})
    learned = {key: each for key, each in scores.items() if max(each.values()) > 0.1}
    lines = ["| learning rate for all models | mean score | pairs with more than 0.1 lost |", "| --- | ---: | ---: |"]
    for rate in rates:
        each = [found[rate] for found in learned.values()]
        lost = sum(max(found.values()) - found[rate] > 0.1 for found in learned.values())
        lines.append(f"| {rate:g} | {sum(each) / len(each):.2f} | {lost} of {len(learned)} |")
    best = [max(found.values()) for found in learned.values()]
    lines.append(f"| the best for each model and task | {sum(best) / len(best):.2f} | 0 of {len(learned)} |")
    lines += ["", "One tuning seed each, for the pairs that have a score above 0.1 with one of the rates."]
    return "\n".join(lines)
