"""Initialisations of an LSTM on longer and longer sequences, for `docs/initialisation.md`.

`python -m docs.initialisation` trains ten seeds of each on four levels of qrsu and saves how many are solved;
`make cards` renders the table.
"""

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from seqhub.cli.errors import script
from seqhub.io import write_atomically
from seqhub.sweeps.sweep import sweep
from seqhub.tasks.ref import TaskRef
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe

NUMBERS = Path(__file__).with_suffix(".json")
LEVELS = ("easy", "normal", "moderate", "hard")
SEEDS = range(10)
SEQUENCES = 20_000  # at most, for each seed
CRITERION = "accuracy>=0.999"


def schemes(longest: int) -> dict[str, dict[str, Any]]:
    """Return the settings of each initialisation for sequences of at most `longest` steps."""
    return {
        "`default`": {"initialization": "default"},
        "`forget_bias` 1": {"initialization": "forget_bias", "forget_bias": 1.0},
        "`forget_bias` 4": {"initialization": "forget_bias", "forget_bias": 4.0},
        "`chrono`": {"initialization": "chrono", "chrono_max_steps": longest},
    }


def measure() -> None:
    """Train all seeds, and save the number of training sequences to the criterion of each; null if it was not met."""
    found: dict[str, dict[str, list[int | None]]] = {}
    for level in LEVELS:
        ref = TaskRef("qrsu", level)
        longest = ref.config.length[1]
        settings = {
            key: value for key, value in recipe(ref).items() if key not in ("initialization", "chrono_max_steps")
        }
        for name, options in schemes(longest).items():
            with tempfile.TemporaryDirectory() as folder:
                config = TrainConfig(
                    task=ref, output_dir=Path(folder) / "sweep", max_sequences=SEQUENCES, **settings | options
                )
                runs = sweep(config, SEEDS).runs
            counts = [run["criteria"][CRITERION] for run in runs]
            found.setdefault(level, {})[name] = counts
    write_atomically(NUMBERS, json.dumps({"sequences": SEQUENCES, "levels": found}, indent=1) + "\n")


def table() -> str:
    """Return the table of the solved seeds and their median number of training sequences."""
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    names = list(schemes(1))
    lines = [f"| level | steps | {' | '.join(names)} |", "| --- | ---: |" + " ---: |" * len(names)]
    for level, found in numbers["levels"].items():
        low, high = TaskRef("qrsu", level).config.length
        cells = []
        for name in names:
            solved = [count for count in found[name] if count is not None]
            after = f", {median(solved):,.0f}" if solved else ""
            cells.append(f"{len(solved)} of {len(found[name])}{after}")
        lines.append(f"| `qrsu/{level}` | {low} to {high} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Seeds with 99.9 % accuracy within {numbers['sequences']:,} sequences, and the median of their numbers.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    script(measure)
