"""The commands of `seqhub models`."""

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show

if TYPE_CHECKING:
    from rich.console import Console

_INPUTS = {"input_ids": "symbols", "input_values": "real values"}
_HEADS = {
    "base": "no head",
    "sequence": "a label or number per sequence",
    "token": "a label per step",
    "causal": "the next symbol",
    "seq2seq": "another sequence of symbols",
}

app = typer.Typer(help="List and show models.", no_args_is_help=True)


@app.command("ls")
def list_command(
    released: Annotated[
        bool, typer.Option("--released", help="List the released models instead, which seqhub.pretrained(NAME) finds")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the presets of every model family, and the model types that `transformers:TYPE` takes.

    Other models have ids such as hub:OWNER/NAME, file.py:Class and package.module:Class.
    """
    from seqhub.models.registry import list_families, list_plugins, list_presets
    from seqhub.models.transformers_types import TYPES

    form = Form.of(as_json, quiet)
    if released:
        _list_released(form)
        return
    if form is Form.QUIET:  # faster, since torch is not imported
        types = (f"transformers:{name}" for name in TYPES)
        show(form, None, brief=[*list_presets(), *list_plugins(), *types], table=lambda _: None)
        return
    presets = [_properties(preset) for family in list_families() for preset in list_presets(family=family)]
    others = [_summary(name) | {"kind": "plug-in", "description": place} for name, place in list_plugins().items()]
    others += [
        _summary(f"transformers:{name}") | {"kind": each.kind, "description": each.description}
        for name, each in TYPES.items()
    ]
    rows = [
        (
            each["model"],
            each["family"],
            " ".join(name.removeprefix("input_") for name in each["inputs"]),
            " ".join(head for head in each["heads"] if head != "base") or "-",  # every family has the base model
            f"{each['parameters']:,}",
        )
        for each in presets
    ]
    columns = ("model", "family", "inputs", "heads", "parameters")
    tables = (
        grid(columns, rows, right=(4,), unbroken=(0, 1)),
        grid(
            ("model", "kind", "description"),
            [(each["model"], each["kind"], each["description"]) for each in others],
            unbroken=(0, 1),
        ),
    )
    show(form, [*presets, *others], brief=(), table=lambda console: console.print(*tables, sep="\n"))


@app.command("show")
def show_command(
    model: Annotated[str, typer.Argument(help="Model id, as in lstm or transformers:mamba", show_default=False)],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show a model and the fields of its config, or the arguments of its class.

    `seqhub train` sets these fields with --model-option.
    """
    from seqhub.models.describe import describe_fields

    properties, fields = _properties(model), describe_fields(model)
    result = properties | {
        "fields": [
            {
                "name": each.name,
                "type": each.type,
                "default": each.default,
                "allowed": list(each.allowed) or None,
                "doc": each.doc,
            }
            for each in fields
        ]
    }

    def table(console: "Console") -> None:
        shown = properties | {
            "inputs": " or ".join(_INPUTS[each] for each in properties["inputs"]),
            "heads": "; ".join(f"{each}: {_HEADS[each]}" for each in properties["heads"]),
            "classes": " ".join(properties["classes"]),
            "parameters": f"{properties['parameters']:,} at defaults",
        }
        console.print(grid(("property", "value"), list(shown.items())))
        for each in fields:
            values = " | ".join(map(repr, each.allowed)) or each.type
            if not each.doc:
                console.print(f"{each.name} = {each.default!r}")
                continue
            console.print(f"\n{each.name}: {values} = {each.default!r}")
            console.print(textwrap.fill(each.doc, console.width, initial_indent="    ", subsequent_indent="    "))

    show(Form.of(as_json, quiet), result, brief=[f"{each.name}\t{each.default}" for each in fields], table=table)


def _list_released(form: Form) -> None:
    from seqhub.models.pretrained import list_pretrained, pretrained
    from seqhub.records import RunRecord

    if form is Form.QUIET:
        show(form, None, brief=list_pretrained(), table=lambda _: None)
        return
    models: list[dict[str, Any]] = []
    for name in list_pretrained():
        record = RunRecord.load(pretrained(name))
        properties = {"name": name, "task": str(record.task), "model": record.model}
        accuracy = record.evaluation["test"]["accuracy"]
        models.append(
            properties | {"parameters": record.num_parameters, "accuracy": accuracy, "folder": str(pretrained(name))}
        )
    rows = [(each["name"], each["task"], f"{each['parameters']:,}", f"{each['accuracy']:.4f}") for each in models]
    columns = ("name", "task", "parameters", "accuracy")
    show(
        form,
        models,
        brief=(),
        table=lambda console: console.print(grid(columns, rows, right=(2, 3), unbroken=(0, 2, 3))),
    )


def _summary(model: str) -> dict[str, Any]:
    """Return the properties of a model that are known without building it, which takes seconds for all types."""
    from seqhub.models import registry

    family = registry.family_of(model)
    return {
        "model": model,
        "family": family,
        "inputs": list(registry.list_inputs(family)),
        "heads": list(registry.list_heads(family)),
    }


def _properties(preset: str) -> dict[str, Any]:
    from seqhub.models import registry
    from seqhub.models.describe import count_parameters

    summary = _summary(preset)
    classes = registry.model_classes().items()
    return summary | {
        "model_type": registry.build_config(preset).model_type,
        "classes": [name for name, package in classes if package.endswith(f".{summary['family']}")],
        "parameters": count_parameters(preset),
    }
