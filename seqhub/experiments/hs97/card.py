"""The tables of a paper beside what runs of this package came to, from the record of `seqhub paper`."""

from collections.abc import Mapping
from statistics import mean, median
from typing import Any

from seqhub.cards.rendering import fill
from seqhub.records import PaperRecord

_RULES = {
    "legal": "at every step of all train and test strings the legal symbols are the most active outputs",
    "streak": "{window:,} training sequences in a row are right within {tolerance:g}; the count ends before them",
    "st2": "of {window:,} fresh sequences {wrong} are wrong by {tolerance:g} or more{bound}",
    "st3": "of the last {window:,} training sequences {wrong} are wrong by {tolerance:g} or more{bound}",
}
_AT_CHECKS = ("legal", "st2")


def render(record: PaperRecord) -> str:
    """The page as Markdown, for a folder that holds its picture, hs97.png."""
    rows: list[dict[str, Any]] = [
        {"name": name, **facts, "rule": rule(facts["success"])} | {"of": _by_run(facts["results"])}
        for name, facts in record.rows.items()
    ]
    runs = [(row["name"], key, run) for row in rows for key, run in row["of"].items()]
    every = sorted(
        {
            run["training"]["evaluate_every"]
            for row in rows
            if row["success"]["rule"] in _AT_CHECKS
            for run in row["of"].values()
        }
    )
    return fill(
        "paper",
        rows=rows,
        theirs=[row for row in rows if any(key.startswith("lstm_hs97") for key in row["of"])],
        runs=runs,
        cells=cells,
        tests=wrong_range,
        settings=settings,
        every=" or ".join(f"{number:,}" for number in every) or "so many",
        machines=_machines(record),
    )


def cells(run: dict[str, Any] | None) -> str:
    """Solved, median with range, mean: three cells of a table."""
    if run is None:
        return "– | – | –"
    counts = run["counts"]
    found = f"{run['median']:,.0f} ({counts[0]:,}–{counts[-1]:,}) | {run['mean']:,.0f}" if counts else "– | –"
    return f"{run['solved']} of {run['total']} | {found}"


def wrong_range(run: dict[str, Any] | None) -> str:
    """Wrong test sequences of solved seeds, from the least to the most, and their mean."""
    if run is None or not run["wrong"]:
        return "–"
    low, high = run["wrong"][0], run["wrong"][-1]
    return f"{low}" if low == high else f"{low}–{high}, mean {mean(run['wrong']):.1f}"


def rule(stopping_rule: dict[str, Any]) -> str:
    """When a run is successful, in words.

    >>> rule({"rule": "st2", "window": 256, "wrong": 5, "tolerance": 0.2, "mean_error": 0.04})
    'of 256 fresh sequences at most 5 are wrong by 0.2 or more, and their mean error is below 0.04'
    """
    wrong = f"at most {stopping_rule['wrong']}" if stopping_rule["wrong"] else "none"
    verb = (
        _RULES[stopping_rule["rule"]]
        if stopping_rule["wrong"]
        else _RULES[stopping_rule["rule"]].replace("{wrong} are", "{wrong} is")
    )
    below = stopping_rule["mean_error"]
    bound = "" if below is None else f", and their mean error is below {below:g}"
    return verb.format(**stopping_rule | {"wrong": wrong, "bound": bound})


def settings(run: dict[str, Any]) -> str:
    """How a network was trained, and what its first weights were, in a line."""
    training, asked = run["training"], run["model_config"]
    method = f"{training['optimizer']} {training['learning_rate']:g}"
    if (training["beta1"], training["beta2"]) != (0.9, 0.999) and training["optimizer"].startswith("adam"):
        method += f", betas {training['beta1']:g} and {training['beta2']:g}"
    if training["schedule"] == "error":
        method += f", falling with the error (from {training['error_reference']:g}, to {training['error_floor']:g})"
    elif training["schedule"] != "constant":
        method += f", {training['schedule']}"
    more = {name: value for name, value in asked.items() if name not in ("hidden_size", "num_hidden_layers")}
    first = ", ".join(f"{name} {_plain(value)}" for name, value in more.items())
    return f"batches of {training['batch_size']}; {method}" + (f"; {first}" if first else "")


def _plain(value: Any) -> str:
    return (
        " ".join(map(_plain, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _by_run(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """`lstm`, `lstm strict`, `lstm_hs97`, `lstm_hs97_as_written` -> what its runs came to, in numbers."""
    return {
        model if stop == "paper" else f"{model} {stop}": {**run, **numbers(run)}
        for model, stops in results.items()
        for stop, run in stops.items()
    }


def numbers(run: Mapping[str, Any]) -> dict[str, Any]:
    """How many seeds were solved, in how many sequences, with how many wrong test sequences; of solved seeds only.

    >>> numbers({"sequences": [5, None, 2], "test_wrong": [0, 9, 1], "seconds": [1.0, 9.0, 2.0], "failed": {"3": "?"}})
    {'total': 4, 'solved': 2, 'counts': [2, 5], 'median': 3.5, 'mean': 3.5, 'wrong': [0, 1], 'time': 2.0}
    """
    counts = sorted(count for count in run["sequences"] if count is not None)
    wrong = [each for each, count in zip(run["test_wrong"], run["sequences"], strict=True) if count is not None]
    return {
        "total": len(run["sequences"]) + len(run["failed"]),
        "solved": len(counts),
        "counts": counts,
        "median": median(counts) if counts else None,
        "mean": mean(counts) if counts else None,
        "wrong": sorted(wrong),
        "time": median(run["seconds"]) if run["seconds"] else None,
    }


def _machines(record: PaperRecord) -> list[str]:
    """What the runs were made by and on, each once."""
    found = []
    for facts in record.rows.values():
        for stops in facts["results"].values():
            for run in stops.values():
                machine = run["environment"]
                versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("seqhub", "torch", "numpy"))
                at_a_time = f"{run['threads']} runs at a time"
                found.append(
                    f"`{run['command']}` on {machine['cores']} cores ({machine['platform']}), {at_a_time}; "
                    f"Python {machine['python']}, {versions}"
                )
    return list(dict.fromkeys(found))
