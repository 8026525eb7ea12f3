"""The commands of `seqhub tasks`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show

if TYPE_CHECKING:
    from rich.console import Console

_TARGETS = {
    "class": "a class",
    "number": "a number",
    "multi_label": "any number of labels",
    "numbers": "several numbers",
    "step_class": "a class at each step",
    "next_symbol": "the next symbol at each step",
    "sequence": "another sequence of symbols",
    "inputs": "the sequence itself",
}

_CUSTOM_DATA = {  # files that the config `custom` takes, by `Task.custom_format`
    "": "",
    "lines": "text file",
    "csv": "table of texts and labels",
    "vectors": "table of vectors",
}

_SHORT = {"": "-", "lines": "text", "csv": "table", "vectors": "vectors"}  # in a column of 80

_MOST_NAMED = 40  # symbols or labels; of more, the first and the last ones are shown

app = typer.Typer(help="List and show tasks.", no_args_is_help=True)


@app.command("ls")
def list_command(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List every task and its configs."""
    from seqhub.tasks.registry import get_task, list_tasks

    tasks = [get_task(name) for name in list_tasks()]
    result = [
        {
            "task": t.name,
            "title": t.title,
            "configs": [c.name for c in t.configs],
            "custom_data": _CUSTOM_DATA[t.custom_format] or None,
        }
        for t in tasks
    ]
    show(
        Form.of(as_json, quiet),
        result,
        brief=[f"{t.name}/{c.name}" for t in tasks for c in t.configs],
        table=lambda console: console.print(
            grid(
                ("task", "configs", "custom", "title"),
                [(t.name, " ".join(c.name for c in t.configs), _SHORT[t.custom_format], t.title) for t in tasks],
            )
        ),
    )


@app.command("show")
def show_command(
    task: Annotated[str, typer.Argument(help="Task id, as in qrsu/hard", show_default=False)],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the properties of one config and five examples."""
    from seqhub.tasks.ref import TaskRef
    from seqhub.tasks.splits import Split, format_value

    ref = TaskRef.parse(task)
    definition, config = ref.definition, ref.config
    split = Split(ref, "train")
    schema = split.schema
    examples = [split[i] for i in range(5 if split.size is None else min(5, split.size))]
    properties = {
        "task": str(ref),
        "title": definition.title,
        "description": definition.description,
        "symbols": definition.symbols if schema.vocabulary is None else schema.vocabulary.symbols,
        "values": schema.num_features or None,
        "target": _TARGETS[schema.target],
        "labels": list(schema.labels),
        "tolerance": schema.tolerance or None,
        "chance": definition.chance(config),
        "version": definition.version,
        **config.parameters(),
        "paper_sequences": definition.paper_sequences.get(config.name),
    }

    def table(console: "Console") -> None:
        console.print(grid(("property", "value"), [(name, _plain(value)) for name, value in properties.items()]))
        console.print()
        console.print(grid(("target", "example"), lines))

    lines = [(format_value(example.target), format_value(example.inputs)) for example in examples]
    result = properties | {"examples": [[_json(inputs), target] for inputs, target in examples]}
    show(Form.of(as_json, quiet), result, brief=["\t".join(line) for line in lines], table=table)


def _json(inputs: Any) -> Any:
    """Return a text unchanged, or real values as nested lists."""
    return inputs if isinstance(inputs, str) else inputs.tolist()


def _plain(value: object) -> str:
    if isinstance(value, (tuple, list)) and len(value) > _MOST_NAMED:
        first, last = value[: _MOST_NAMED // 2], value[-_MOST_NAMED // 4 :]
        return f"{' '.join(map(str, first))} … {' '.join(map(str, last))} ({len(value):,} in all)"
    if isinstance(value, tuple):
        return (" to " if len(value) == 2 else " ").join(map(str, value)) or "-"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
