"""The `seqhub` command, one module for each group.

A module is imported if its command is called; heavy imports are inside the command functions.
"""

import gc
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.cli.errors import run
from seqhub.training.launch import is_first_to_report

if TYPE_CHECKING:
    from typer import Typer

# name -> module and function, or group if it is a Typer
_COMMANDS = {
    "tasks": ("tasks", "app"),
    "models": ("models", "app"),
    "cell": ("cells", "app"),
    "data": ("data", "app"),
    "train": ("train", "train_command"),
    "sweep": ("sweep", "sweep_command"),
    "bench": ("bench", "bench_command"),
    "paper": ("paper", "paper_command"),
    "lr-range": ("lr_range", "lr_range_command"),
    "evaluate": ("results", "evaluate_command"),
    "predict": ("predict", "predict_command"),
    "card": ("results", "card_command"),
    "plot": ("results", "plot_command"),
    "push": ("publish", "push_command"),
    "verify": ("publish", "verify_command"),
    "check": ("check", "check_command"),
    "export": ("export", "export_command"),
    "demo": ("demo", "demo_command"),
    "serve": ("serve", "serve_command"),
    "env": ("env", "env_command"),
    "cache": ("cells", "cache_app"),
    "hub": ("hub", "app"),
}
_GC_THRESHOLD = 50_000  # new objects; imports create many that stay, and Python's 700 costs a seventh of a short run
_COMPLETION = "_SEQHUB_COMPLETE"  # set by the shell for completion, which needs all commands


def program(name: str | None = None) -> "Typer":
    """Return the command line.

    Args:
        name: The only command that is to be available; None for all.
    """
    made = _empty_program()
    for each in _COMMANDS if name is None else (name,):
        module, attribute = _COMMANDS[each]
        _add(made, each, getattr(import_module(f"seqhub.cli.{module}"), attribute))
    return made


def overview() -> "Typer":
    """Return the command line with the names and help texts of all commands, for `seqhub --help`.

    The help texts are read from the sources of the modules, because importing all of them takes longer.
    """
    made = _empty_program()
    sources: dict[str, str] = {}
    for name, (module, attribute) in _COMMANDS.items():
        if module not in sources:
            sources[module] = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
        if attribute.endswith("app"):
            text = re.search(rf'^{attribute} = typer\.Typer\(help="(.*?)"', sources[module], re.MULTILINE)
        else:
            text = re.search(rf'^def {attribute}\(.*?\n    """(.*?)"""', sources[module], re.MULTILINE | re.DOTALL)
        assert text is not None, f"{module}.{attribute} has no help"
        made.command(name, help=text[1])(_nothing)
    return made


def main() -> None:
    """Run one command; `seqhub.cli.errors` defines the exit codes."""
    gc.set_threshold(_GC_THRESHOLD)
    try:
        run(_called_program(), is_first_to_report)
    finally:
        gc.freeze()  # or Python would look for cycles among all objects when it exits, a fifth of a short run


def _called_program() -> "Typer":
    """Return the part of the command line that this process needs."""
    name = next((each for each in sys.argv[1:] if not each.startswith("-")), None)
    if _COMPLETION not in os.environ and name in _COMMANDS and sys.argv[1] == name:
        return program(name)
    return overview() if sys.argv[1:] in ([], ["--help"]) else program()


def _empty_program() -> "Typer":
    import typer

    def version(version: bool = typer.Option(False, "--version", help="Print the version and exit")) -> None:
        if version:
            import seqhub

            typer.echo(f"seqhub {seqhub.__version__}")
            raise typer.Exit

    made = typer.Typer(
        name="seqhub",
        help="Datasets, models and a Hub for sequence memory.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    made.callback(invoke_without_command=True)(version)
    return made


def _add(to: "Typer", name: str, command: "Typer | Callable[..., Any]") -> None:
    from typer import Typer

    if isinstance(command, Typer):
        to.add_typer(command, name=name)
    else:
        to.command(name)(command)


def _nothing() -> None:
    pass


def __getattr__(name: str) -> Any:
    if name == "app":  # the complete command line
        return program()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:  # read by `python -m typer`, which renders docs/cli.md
    return [*globals(), "app"]
