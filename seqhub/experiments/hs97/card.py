"""Page with the results of a paper and of seqhub, rendered from the record of `seqhub paper`."""

from collections.abc import Mapping
from statistics import mean, median
from typing import Any

from seqhub.records import PaperRecord

_RULES = {
    "legal": "at every step of all train and test strings the legal symbols are the most active outputs",
    "streak": "{window:,} training sequences in a row are right within {tolerance:g}; the count ends before them",
    "st2": "of {window:,} newly generated sequences {wrong} are wrong by {tolerance:g} or more{bound}",
    "st3": "of the last {window:,} training sequences {wrong} are wrong by {tolerance:g} or more{bound}",
}
_VALIDATION_RULES = ("legal", "st2")  # rules that are checked at validations


def render(record: PaperRecord) -> str:
    """Return the page as Markdown, for a folder with the figure hs97.png."""
    rows: list[dict[str, Any]] = [
        {"name": name, **row, "rule": describe_rule(row["success"])} | {"of": _runs_by_name(row["results"])}
        for name, row in record.rows.items()
    ]
    runs = [(row["name"], key, run) for row in rows for key, run in row["of"].items()]
    intervals = sorted(
        {
            run["training"]["evaluate_every"]
            for row in rows
            if row["success"]["rule"] in _VALIDATION_RULES
            for run in row["of"].values()
        }
    )
    from seqhub.cards.rendering import fill  # imported here because `seqhub paper` needs only the functions below

    return fill(
        "paper",
        rows=rows,
        theirs=[row for row in rows if any(key.startswith("lstm_hs97") for key in row["of"])],
        runs=runs,
        cells=cells,
        tests=wrong_range,
        settings=describe_settings,
        every=" or ".join(f"{number:,}" for number in intervals) or "N",
        machines=_environments(record),
    )


def cells(run: dict[str, Any] | None) -> str:
    """Return three cells of a table: solved seeds, median with range, and mean."""
    if run is None:
        return "– | – | –"
    counts = run["counts"]
    found = f"{run['median']:,.0f} ({counts[0]:,}–{counts[-1]:,}) | {run['mean']:,.0f}" if counts else "– | –"
    return f"{run['solved']} of {run['total']} | {found}"


def wrong_range(run: dict[str, Any] | None) -> str:
    """Return the range and mean of the numbers of wrong test sequences over the solved seeds."""
    if run is None or not run["wrong"]:
        return "–"
    low, high = run["wrong"][0], run["wrong"][-1]
    return f"{low}" if low == high else f"{low}–{high}, mean {mean(run['wrong']):.1f}"


def describe_rule(stopping_rule: dict[str, Any]) -> str:
    """Return a stopping rule in words.

    >>> describe_rule({"rule": "st2", "window": 256, "wrong": 5, "tolerance": 0.2, "mean_error": 0.04})
    'of 256 newly generated sequences at most 5 are wrong by 0.2 or more, and their mean error is below 0.04'
    """
    wrong = f"at most {stopping_rule['wrong']}" if stopping_rule["wrong"] else "none"
    template = (
        _RULES[stopping_rule["rule"]]
        if stopping_rule["wrong"]
        else _RULES[stopping_rule["rule"]].replace("{wrong} are", "{wrong} is")
    )
    below = stopping_rule["mean_error"]
    bound = "" if below is None else f", and their mean error is below {below:g}"
    return template.format(**stopping_rule | {"wrong": wrong, "bound": bound})


def describe_settings(run: dict[str, Any]) -> str:
    """Return the training settings and the model config of a run in one line."""
    training, model_config = run["training"], run["model_config"]
    method = f"{training['optimizer']} {training['learning_rate']:g}"
    if (training["beta1"], training["beta2"]) != (0.9, 0.999) and training["optimizer"].startswith("adam"):
        method += f", betas {training['beta1']:g} and {training['beta2']:g}"
    if training["schedule"] == "error":
        method += f", falling with the error (from {training['error_reference']:g}, to {training['error_floor']:g})"
    elif training["schedule"] != "constant":
        method += f", {training['schedule']}"
    options = {name: value for name, value in model_config.items() if name not in ("hidden_size", "num_hidden_layers")}
    model = ", ".join(f"{name} {_plain(value)}" for name, value in options.items())
    return f"batches of {training['batch_size']}; {method}" + (f"; {model}" if model else "")


def _plain(value: Any) -> str:
    return (
        " ".join(map(_plain, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _runs_by_name(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return runs with their statistics, by `lstm`, `lstm strict`, `lstm_hs97` and `lstm_hs97_as_written`."""
    return {
        model if stop == "paper" else f"{model} {stop}": {**run, **summarize(run)}
        for model, stops in results.items()
        for stop, run in stops.items()
    }


def summarize(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return statistics over the seeds of a run; `counts`, `median`, `mean` and `wrong` are of the solved ones.

    `counts` are the training sequences to the stopping criterion, `wrong` the wrong test sequences.

    >>> summarize({"sequences": [5, None, 2], "test_wrong": [0, 9, 1], "seconds": [1.0, 9.0, 2.0], "failed": {"3": ""}})
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


def _environments(record: PaperRecord) -> list[str]:
    """Return the commands and environments of the runs, without duplicates."""
    found = []
    for row in record.rows.values():
        for stops in row["results"].values():
            for run in stops.values():
                environment = run["environment"]
                versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("seqhub", "torch", "numpy"))
                at_a_time = f"{run['threads']} runs at a time"
                found.append(
                    f"`{run['command']}` on {environment['cores']} cores ({environment['platform']}), {at_a_time}; "
                    f"Python {environment['python']}, {versions}"
                )
    return list(dict.fromkeys(found))
