"""Help texts of every command, argument and option, and the reference in docs/."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from seqhub.cli import app
from tests.helpers.cli_calls import call, output_of

ROOT = Path(__file__).parent.parent.parent


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command, groups included, with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
GROUPS = [path for path, command in COMMANDS.items() if hasattr(command, "commands")]
NAMES_FIRST = {"lstm", "local", "hs97", "onnx"}  # lower-case names that begin a help text
OF_TYPER = {"install_completion", "show_completion"}  # options with help texts of typer
NAMES = {path: " ".join(("seqhub", *path)) for path in COMMANDS}


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts) if name.startswith("-")}


def documented() -> dict[str, set[str]]:
    """Return options by command, as docs/cli.md lists them."""
    sections = re.split(r"^#+ `(.*)`$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.compile(r"^\* `(-[^`<]*)", flags=re.MULTILINE)
    return {
        name: set(re.findall(r"-{1,2}[a-z][a-z0-9-]*", " ".join(lines.findall(text))))
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def faults_of(path: tuple[str, ...]) -> Iterator[str]:
    """Yield the faults of a command's help."""
    command, text = COMMANDS[path], output_of(*path, "--help")
    first = (command.help or "").strip().splitlines()
    if not first or not (first[0].endswith(".") and first[0][:1].isupper()):
        yield f"{NAMES[path]}: its help must be a sentence with a full stop"
    for parameter in command.params:
        words = getattr(parameter, "help", None) or ""
        capital = words[:1].isupper() or words.partition(" ")[0].strip(",") in NAMES_FIRST
        if not words or not (parameter.name in OF_TYPER or (capital and not words.endswith("."))):
            yield f"{NAMES[path]} {parameter.name}: its help must be a capitalised phrase without a full stop"
    yield from (f"{NAMES[path]}: {name} is not in its help" for name in options(command) if name not in text)
    yield from (f"{NAMES[path]}: wider than 80 columns: {line}" for line in text.splitlines() if len(line) > 80)


def test_every_command_argument_and_option_has_a_help_text() -> None:
    faults = [fault for path in COMMANDS for fault in faults_of(path)]
    assert not faults, "\n".join(faults)


def test_the_reference_lists_exactly_the_commands_and_options() -> None:
    assert documented() == {NAMES[path]: options(command) | {"--help"} for path, command in COMMANDS.items()}


def test_a_group_without_a_command_shows_its_help() -> None:
    for path in GROUPS:
        ended = call(*path)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.rstrip() == output_of(*path, "--help").rstrip()


def test_the_error_on_an_unknown_command_lists_the_known_ones() -> None:
    for path in GROUPS:
        ended = call(*path, "nonsense")
        assert (ended.code, ended.out) == (2, "")
        known = ", ".join(COMMANDS[path].commands)
        assert ended.err == f"error: No such command 'nonsense'; known: {known} (see `{NAMES[path]} --help`)\n"


def test_version_is_that_of_the_package() -> None:
    import seqhub

    assert output_of("--version") == f"seqhub {seqhub.__version__}\n"
