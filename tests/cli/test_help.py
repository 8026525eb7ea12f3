"""Help: every command, argument and option says what it is, and the reference in docs/ says the same."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from seqhub.cli import app
from tests.helpers.cli_calls import call, well

ROOT = Path(__file__).parent.parent.parent


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups included."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
GROUPS = [path for path, command in COMMANDS.items() if hasattr(command, "commands")]
NAMES = {path: " ".join(("seqhub", *path)) for path in COMMANDS}


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts) if name.startswith("-")}


def documented() -> dict[str, set[str]]:
    """Options by command, as docs/cli.md lists them."""
    sections = re.split(r"^#+ `(.*)`$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.compile(r"^\* `(-[^`<]*)", flags=re.MULTILINE)
    return {
        name: set(re.findall(r"-{1,2}[a-z][a-z0-9-]*", " ".join(lines.findall(text))))
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES.get)
def test_every_command_explains_itself_and_everything_it_takes(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    text = well(*path, "--help")
    assert command.help
    assert all(len(line) <= 80 for line in text.splitlines())
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{NAMES[path]}: {parameter.name} has no help"
    assert all(name in text for name in options(command))


def test_the_reference_has_every_command_and_option_and_no_other() -> None:
    assert documented() == {NAMES[path]: options(command) | {"--help"} for path, command in COMMANDS.items()}


@pytest.mark.parametrize("path", GROUPS, ids=NAMES.get)
def test_a_group_alone_shows_its_help(path: tuple[str, ...]) -> None:
    ended = call(*path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.rstrip() == well(*path, "--help").rstrip()


@pytest.mark.parametrize("path", GROUPS, ids=NAMES.get)
def test_a_command_that_is_none_lists_those_there_are(path: tuple[str, ...]) -> None:
    ended = call(*path, "nonsense")
    assert (ended.code, ended.out) == (2, "")
    known = ", ".join(COMMANDS[path].commands)
    assert ended.err == f"error: No such command 'nonsense'; known: {known} (see `{NAMES[path]} --help`)\n"


def test_version_is_that_of_the_package() -> None:
    import seqhub

    assert well("--version") == f"seqhub {seqhub.__version__}\n"
