"""Tables of README.md: ten results, eight benchmarks, and the map of the documentation."""

from typing import Any

from benchmarks.timing import number
from docs import site, speed
from seqhub.models.pretrained import list_pretrained, pretrained
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef

RESULTS = (  # of different kinds; docs/tasks/README.md has all
    "qrsu/hard",
    "temporal_order_3bit/hard",
    "adding/hs97-t100",
    "long_lag/2c-q100-p100",
    "echo/step10",
    "sentiment/long",
    "documents/width64",
    "row_images/digits28",
    "chirps/onset",
    "date_translation/years1000-2999",
)
SPEED = (  # benchmark, case; docs/performance.md has all
    ("generate", "hard"),
    ("build", "time"),
    ("loader", "batches of 32"),
    ("loop", "hard, lstm 4, native, against the course's loop"),
    ("sweep", "lstm 8: one thread"),
    ("eval", "lstm 4, native"),
    ("hub", "small.txt by resolve, against StaticFiles"),
)
SPARE = ("hub", "1,024 MiB by LFS down, against a plain copy")  # if no goal is missed
PARTS = {
    "Tutorials": site.TUTORIALS,
    "How-to guides": site.GUIDES,
    "Reference": site.REFERENCE,
    "Explanation": site.EXPLANATIONS,
}


def results() -> str:
    """Return the table of ten released models on unseen rows, from their records."""
    lines = [
        "| task | model | weights | training sequences | on unseen rows | in 1997 |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    folders = {RunRecord.load(pretrained(name)).task: pretrained(name) for name in list_pretrained()}
    for ref in map(TaskRef.parse, RESULTS):
        record, task = RunRecord.load(folders[ref]), ref.definition
        paper = task.paper_sequences.get(ref.config_name)
        lines.append(
            f"| `{ref}`: {task.title.partition(' (LSTM paper')[0]} | `{record.model}` | {record.num_parameters:,} "
            f"| {record.sequences_seen:,} | {test_result(record)} | {f'{paper:,}' if paper else ''} |"
        )
    return "\n".join(lines)


def test_result(record: RunRecord) -> str:
    """Return the result of a released model on its test rows, in the words of its kind of targets."""
    test = record.evaluation["test"]
    if "mse" in test:
        return f"MSE {test['mse']:.1e}, {test['accuracy']:.1%} within {test['tolerance']:.3g}"
    if "steps" in test:
        return f"{test['accuracy']:.2%} of steps right"
    if "token_accuracy" in test:
        return f"{test['accuracy']:.2%} exact match"
    return f"{test['accuracy']:.2%} right"


def benchmarks() -> str:
    """Return the table of eight benchmarks as last measured; the last is the one that is furthest from its goal."""
    lines = ["| benchmark | baseline | seqhub | unit | ratio | goal |", "| --- | ---: | ---: | --- | ---: | --- |"]
    for name, case in (*SPEED, furthest_from_goal() or SPARE):
        row = next(row for row in speed.measured(name)["rows"] if row["case"] == case)
        values = (
            number(row["theirs"]),
            number(row["ours"]),
            row["unit"],
            number(row["ratio"]),
            " ".join(speed.goal(row)),
        )
        lines.append(f"| {name}: {case} | {' | '.join(values)} |")
    machine = speed.measured(SPEED[0][0])["environment"]
    lines += [
        "",
        f"Medians; baseline and seqhub measured in the same run on {machine['cores']} cores with one thread (the Hub: "
        "all cores). The last row is the one that is furthest from its goal. `python -m benchmarks all` measures, and "
        "[Speed](docs/performance.md) has all rows.",
    ]
    return "\n".join(lines)


def furthest_from_goal() -> tuple[str, str] | None:
    """Return benchmark and case of the largest miss, as a factor, among all with a goal; None if there is none."""
    missed: list[tuple[float, str, str]] = []
    for name in speed.ORDER:
        for row in speed.measured(name)["rows"]:
            if row["met"] is False and row["ratio"] is not None:
                missed.append((_shortfall(row), name, row["case"]))
    return max(missed)[1:] if missed else None


def _shortfall(row: dict[str, Any]) -> float:
    """Return the factor by which a row misses its goal."""
    what, sign, goal = row["goal"]
    found = float(row[what])
    return float(goal / found if sign == ">=" else found / goal)


def documentation() -> str:
    """Return the map of the documentation: the pages of each part of the site."""
    lines = ["| part | pages |", "| --- | --- |"]
    for title, pages in PARTS.items():
        links = " · ".join(f"[{name}]({path})" for name, path in pages.items())
        lines.append(f"| {title} | {links} |")
    return "\n".join(lines)
