"""`seqhub tasks`: what there is to learn."""

from typing import TYPE_CHECKING, Annotated

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.console import Form, grid, show

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="list the tasks, and show one of them.", no_args_is_help=True)


@app.command("ls")
def list_command(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List every task and its configs."""
    from seqhub.tasks.registry import get_task, list_tasks

    tasks = [get_task(name) for name in list_tasks()]
    result = [{"task": t.name, "title": t.title, "configs": [c.name for c in t.configs]} for t in tasks]
    show(
        Form.of(as_json, quiet),
        result,
        brief=[f"{t.name}/{c.name}" for t in tasks for c in t.configs],
        table=lambda console: console.print(
            grid(
                ("task", "configs", "what it is"),
                [(t.name, " ".join(c.name for c in t.configs), t.title) for t in tasks],
            )
        ),
    )


@app.command("show")
def show_command(
    address: Annotated[str, typer.Argument(help="task and config, as in qrsu/hard.", show_default=False)],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the facts of one config and five examples."""
    from seqhub.tasks.registry import resolve
    from seqhub.tasks.splits import Split

    task, config = resolve(address)
    split = Split(address, "train")
    examples = [split[i] for i in range(5)]
    facts = {
        "address": address,
        "title": task.title,
        "rule": task.rule,
        "symbols": task.symbols,
        "labels": list(task.labels),
        "chance": task.chance(config),
        "version": task.version,
        **config.parameters(),
        "paper_sequences": task.paper_sequences.get(config.name),
    }

    def table(console: "Console") -> None:
        console.print(grid(("fact", "value"), [(name, _plain(value)) for name, value in facts.items()]))
        console.print()
        console.print(grid(("label", "example"), [(example.target, example.inputs) for example in examples]))

    result = facts | {"examples": [list(example) for example in examples]}
    show(Form.of(as_json, quiet), result, brief=[f"{e.target}\t{e.inputs}" for e in examples], table=table)


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(str, value))
    if isinstance(value, list):
        return " ".join(map(str, value))
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
