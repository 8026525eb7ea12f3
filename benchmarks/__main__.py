"""The command `python -m benchmarks NAME ...`."""

import argparse
import json
import os
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks import RESULTS, get_benchmark, list_benchmarks
from benchmarks.timing import Row, number, processor
from seqhub.records import environment


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the baseline and seqhub, print the results and save them."
    )
    parser.add_argument("names", nargs="+", choices=[*list_benchmarks(), "all"], metavar="NAME",
                        help=f"Benchmarks: {', '.join(list_benchmarks())} or all")  # fmt: skip
    parser.add_argument(
        "--rounds", type=int, default=5, help="Number of times that both sides are measured in turn (default 5)"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: must be at least 1")
    for name in list_benchmarks() if "all" in arguments.names else dict.fromkeys(arguments.names):
        benchmark = get_benchmark(name)
        title = (benchmark.__doc__ or name).partition("\n")[0]
        load = round(os.getloadavg()[0], 1)  # processes that wanted to run in the minute before
        rows = benchmark.run(arguments.rounds)
        Console().print(table(title, rows))
        save(name, title, arguments.rounds, rows, load)


def table(title: str, rows: list[Row]) -> Table:
    machine = environment()
    caption = f"{processor()}, {machine['cores']} cores, {machine['platform']}, Python {machine['python']}"
    grid = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for heading in ("case", "baseline", "seqhub", "unit", "ratio", "goal", ""):
        grid.add_column(heading, justify="right" if heading in ("baseline", "seqhub", "ratio") else "left")
    for row in rows:
        goal = f"{row.goal[0]} {row.goal[1]} {number(row.goal[2])}" if row.goal else ""
        verdict = {True: "met", False: "[bold]missed[/bold]", None: ""}[row.met]
        grid.add_row(row.case, number(row.theirs), number(row.ours), row.unit, number(row.ratio), goal, verdict)
    return grid


def save(name: str, title: str, rounds: int, rows: list[Row], load: float) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "title": title,
        "rounds": rounds,
        "environment": {**environment(), "processor": processor(), "load": load},
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
