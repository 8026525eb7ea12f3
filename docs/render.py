"""Rendering of generated parts of README.md and docs/, as in `make cards`."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from docs import fair_comparison, initialisation, model_types, own_files, readme
from docs import sequence_to_sequence as sequence_page
from docs import speed as speed_page
from seqhub.cli.errors import script
from seqhub.models.pretrained import list_pretrained, pretrained
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, list_tasks

ROOT = Path(__file__).parent.parent


def rendered() -> dict[str, str]:
    """Return the content of each page with rendered parts, by path from the root of the repository."""
    home = _fill(_fill(_page("README.md"), "results", readme.results()), "speed", readme.benchmarks())
    qrsu = _fill(_fill(_page("docs/tasks/qrsu.md"), "solved", qrsu_solved()), "seeds", qrsu_seeds())
    return {
        "README.md": _fill(home, "documentation", readme.documentation()),
        "docs/cli.md": command_line(),
        "docs/concepts.md": _fill(_page("docs/concepts.md"), "gradients", gradients()),
        "docs/fair_comparison.md": _fill(_page("docs/fair_comparison.md"), "comparison", fair_comparison.tables()),
        "docs/initialisation.md": _fill(_page("docs/initialisation.md"), "initialisations", initialisation.table()),
        "docs/model_types.md": _fill(_page("docs/model_types.md"), "types", model_types.table()),
        "docs/own_files.md": _fill(_page("docs/own_files.md"), "measured", own_files.tables()),
        "docs/performance.md": _fill(_page("docs/performance.md"), "measured", speed_page.tables()),
        "docs/tasks/README.md": _fill(_page("docs/tasks/README.md"), "released", released()),
        "docs/tasks/qrsu.md": qrsu,
        "docs/tasks/row_images.md": _fill(_page("docs/tasks/row_images.md"), "seeds", digit_seeds()),
        "docs/tasks/sequence_to_sequence.md": sequence_to_sequence(),
        "docs/tasks/square.md": _fill(_page("docs/tasks/square.md"), "seeds", square_seeds()),
    }


def qrsu_solved() -> str:
    """Return the table of the shipped recipes, from the solve benchmark and the released models."""
    measured = {row["case"].partition(" of ")[0]: row for row in _benchmark("solve")}
    lines = [
        "| config | steps | seeds solved | sequences to 99.9 %, median | range | by the 1997 criterion, median | "
        "in 1997 | released model, test |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in list_tasks():
        task = get_task(name)
        for config in task.configs:
            task_id = f"{name}/{config.name}"
            if f"{task_id}: median" not in measured:
                continue  # not run from many seeds
            each = measured[f"{task_id}: median"]["each"]
            solved = sorted(count for count in each if count is not None)
            by_rule = measured[f"{task_id}: median by st3"]["ours"]
            test = RunRecord.load(pretrained(f"{name}-{config.name}-lstm")).evaluation["test"]
            paper = task.paper_sequences.get(config.name)
            lines.append(
                f"| `{task_id}` | {config.length[0]} to {config.length[1]} | {len(solved)} of {len(each)} "
                f"| {median(solved):,.0f} | {solved[0]:,} to {solved[-1]:,} | {by_rule:,.0f} "
                f"| {f'{paper:,}' if paper else ''} | {test['accuracy']:.2%} of {test['examples']:,} |"
            )
    theirs = measured["qrsu/hard: solved"]["theirs"]
    their_seeds = len(measured["qrsu/hard: median"]["each_of_theirs"])
    lines += [
        "",
        f"An LSTM of width 8 with the shipped recipe, by `python -m benchmarks solve`. The recipe of the tutorial, "
        f"with the same loop, solves `qrsu/hard` with {theirs:.0f} of {their_seeds} seeds in 100,000 sequences.",
    ]
    return "\n".join(lines)


def released() -> str:
    """Return the table of released models on unseen rows, from their records."""
    lines = [
        "| config | model | weights | training sequences | test | of |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    folders = {RunRecord.load(pretrained(name)).task: pretrained(name) for name in list_pretrained()}
    refs = [TaskRef(name, config.name) for name in list_tasks() for config in get_task(name).configs]
    for ref in refs:
        if ref not in folders:
            continue
        record = RunRecord.load(folders[ref])
        lines.append(
            f"| `{ref}` | [`{record.model}`](../../{folders[ref].relative_to(ROOT)}/README.md) "
            f"| {record.num_parameters:,} | {record.sequences_seen:,} | {readme.test_result(record)} "
            f"| {record.evaluation['test']['examples']:,} |"
        )
    return "\n".join(lines)


def square_seeds() -> str:
    """Return the table of square's book recipe by seed, from the square benchmark."""
    rows = {row["case"]: row for row in _benchmark("square")}
    cells = [case.partition(":")[0] for case in rows if case.endswith(": all")]
    parts = (("counter-clockwise", "of 53"), ("clockwise", "of 75"), ("all", "of 128"))
    for cell in cells:
        for part, unit in parts:
            row = rows[f"{cell}: {part}"]
            if row["unit"] != unit or row["each"] != row["each_of_theirs"]:
                raise ValueError(f"square, {row['case']}: both sides should be the same, {unit}")
    seeds = range(1, 1 + len(rows[f"{cells[0]}: all"]["each"]))
    lines = [
        "| model | right | " + " | ".join(f"seed {seed}" for seed in seeds) + " | median |",
        "| --- | --- |" + " ---: |" * (len(seeds) + 1),
    ]
    for cell in cells:
        for part, unit in parts:
            row = rows[f"{cell}: {part}"]
            counts = " | ".join(f"{count:.0f}" for count in row["each"])
            lines.append(f"| `{cell}` | {part}, {unit} | {counts} | {row['ours']:g} |")
    least = rows[f"{cells[0]}: seed 21"]["ours"]
    as_good = sum(count >= least for count in rows[f"{cells[0]}: all"]["each"])
    lines += ["", f"Seed 21 has {least:.0f} of 128; {as_good} of these {len(seeds)} seeds reach that."]
    return "\n".join(lines)


def qrsu_seeds() -> str:
    """Return the table of qrsu's course recipe by seed, from the tutorial benchmark."""
    rows = {row["case"]: row for row in _benchmark("tutorial")}
    cells = [case.partition(":")[0] for case in rows if case.endswith(": at 100 %")]
    seeds = len(rows[f"{cells[0]}: after 100 epochs"]["each"])
    lines = [
        "| model | by | epochs | " + " | ".join(f"seed {seed}" for seed in range(1, seeds + 1)) + " |",
        "| --- | --- | ---: |" + " ---: |" * seeds,
    ]
    for cell in cells:
        for side, each in (("plain PyTorch", "each_of_theirs"), ("`seqhub train`", "each")):
            for epochs in (10, 100):
                values = " | ".join(f"{value:.1f} %" for value in rows[f"{cell}: after {epochs} epochs"][each])
                lines.append(f"| `{cell}` | {side} | {epochs} | {values} |")
    lines.append("")
    for cell in cells:
        solved, first = rows[f"{cell}: at 100 %"], rows[f"{cell}: first at 100 %"]
        lines.append(
            f"- `{cell}`: after 100 epochs, {solved['ours']:.0f} of {seeds} seeds have 100 % with seqhub and "
            f"{solved['theirs']:.0f} with the plain program. They first reach it after {_span(first['each'])} epochs "
            f"with seqhub and {_span(first['each_of_theirs'])} with the plain program."
        )
    return "\n".join(lines)


def sequence_to_sequence() -> str:
    """Return the page of the tasks with sequences as targets, with its tables."""
    numbers = json.loads(sequence_page.NUMBERS.read_text(encoding="utf-8"))
    page = _fill(_page("docs/tasks/sequence_to_sequence.md"), "seeds", sequence_page.result_table(numbers))
    page = _fill(page, "lengths", sequence_page.length_table(numbers))
    return _fill(page, "forcing", sequence_page.forcing_table(numbers))


def _span(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.0f} to {max(known):.0f}"


def gradients() -> str:
    """Return the table of gradients at several lags, from the numbers of the figure."""
    numbers = json.loads((ROOT / "docs" / "concepts.json").read_text(encoding="utf-8"))
    lags = (10, 50, 100)
    lines = [
        "| network | "
        + " | ".join(f"lag {lag}" for lag in lags)
        + f" | solved after {numbers['sequences']:,} sequences |",
        "| --- |" + " ---: |" * len(lags) + " ---: |",
    ]
    for network, found in numbers["networks"].items():
        left = " | ".join(f"{median(course[lag] for course in found['first']):.1e}" for lag in lags)
        solved = sum(accuracy > 0.99 for accuracy in found["accuracy"])
        lines.append(f"| `{network}` | {left} | {solved} of {len(numbers['seeds'])} seeds |")
    lines += ["", "With the initial weights, as medians over the seeds."]
    return "\n".join(lines)


def digit_seeds() -> str:
    """Return the table of test accuracies in percent by seed, from the row_images benchmark."""
    rows = {row["case"]: row for row in _benchmark("row_images")}
    lstm, plain = rows["lstm: all"], rows["rnn_tanh: all"]
    sides = {
        "`lstm`, shipped recipe": lstm["each"],
        "`rnn_tanh`, shipped recipe": plain["each"],
        "plain program, Adam at 0.01": plain["each_of_theirs"],
    }
    lines = [
        "| | " + " | ".join(f"seed {seed}" for seed in range(len(lstm["each"]))) + " | median |",
        "| --- |" + " ---: |" * (len(lstm["each"]) + 1),
    ]
    lines += [
        f"| {name} | " + " | ".join(f"{value:.1f}" for value in (*each, median(each))) + " |"
        for name, each in sides.items()
    ]
    return "\n".join(lines)


def command_line() -> str:
    """Return the command reference, from the help texts."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "cli.md"
        command = ["-m", "typer", "seqhub.cli", "utils", "docs", "--name", "seqhub", "--output", str(page)]
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return page.read_text(encoding="utf-8")


def write() -> None:
    """Write all rendered pages."""
    for name, text in rendered().items():
        (ROOT / name).write_text(text, encoding="utf-8")


def _benchmark(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = speed_page.measured(name)["rows"]
    return rows


def _page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _fill(text: str, section: str, content: str) -> str:
    """Replace the text between the two comments that name a section."""
    pattern = rf"(<!-- {section}:[^>]*-->\n).*?(<!-- /{section} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    script(write)
