"""Turn exceptions into one line and an exit code."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.cli.extras import extra_of
from seqhub.errors import InvalidConfigError, InvalidInputError, SeqhubError, VerificationError

if TYPE_CHECKING:
    from typer import Typer


USER_MISTAKE, DIFFERENT, INTERRUPTED = 2, 1, 130  # exit codes
NOBODY_READS = 141  # as a shell reports a process that was ended by SIGPIPE


class Stopped(Exception):  # noqa: N818  no error of anybody
    """Ctrl-C, where there is more to say than that; typer would swallow a KeyboardInterrupt and its message."""


def script(command: Callable[..., Any], may_speak: Callable[[], bool] = lambda: True) -> None:
    """Run a function as the command line of a program: typed arguments, `--help`, and one line for every mistake.

    Args:
        command: The function; its annotations say what typer needs to know.
        may_speak: See `run`.
    """
    import typer

    app = typer.Typer(add_completion=False)
    app.command()(command)
    run(app, may_speak)


def run(app: "Typer", may_speak: Callable[[], bool] = lambda: True) -> None:
    """Run a command line to its exit code: see `one_line_errors`.

    Args:
        app: The command line.
        may_speak: Asked before an error is printed; False where another process of the same program has printed it.
    """
    with one_line_errors(may_speak):
        _require_text(sys.argv[1:])
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer's answer to Ctrl-C, without a word
            raise KeyboardInterrupt
        sys.stdout.flush()  # a full disk is to be noticed here, and not while Python shuts down
        raise SystemExit(code)


@contextmanager
def one_line_errors(may_speak: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Turn mistakes of a user into one line and an exit code; faults of this package keep their traceback.

    An error is printed where `may_speak` says so, see `run`.

    Exits with 2 for mistakes, 1 where something loaded back differs from its record, 130 after Ctrl-C.
    """
    import typer

    _open_streams()
    try:
        yield
    except VerificationError as error:
        _fail(str(error), DIFFERENT, may_speak)
    except BrokenPipeError:  # whoever read the output has had enough of it
        _fail("", NOBODY_READS)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich and typer make a 1 of it, which is `DIFFERENT`
            _fail("", NOBODY_READS)
        raise
    except (SeqhubError, OSError) as error:
        _fail(_message(error), USER_MISTAKE, may_speak)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        extra = extra_of(library)
        if extra is None:
            raise
        _fail(f"{library} is not installed: pip install 'seqhub[{extra}]'", USER_MISTAKE, may_speak)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help has been printed
            raise SystemExit(0) from None
        _fail(_wording(error), USER_MISTAKE, may_speak)
    except Stopped as stop:
        _fail(str(stop), INTERRUPTED, may_speak)
    except KeyboardInterrupt:
        _fail("stopped", INTERRUPTED, may_speak)


def _open_streams() -> None:
    """Give closed streams somewhere to write to, and let standard output take the name of any file."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  as long as the process
    if hasattr(sys.stdout, "reconfigure"):
        unicode = sys.stdout.encoding.lower().replace("-", "").startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "replace")


def _require_text(arguments: Iterable[str]) -> None:
    """Refuse names that are no text: safetensors, tokenizers and YAML could not hold them, some after hours."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InvalidInputError(f"argument {argument!r} is not UTF-8; give a name that is") from None


def _message(error: Exception) -> str:
    """Return the message of an error: settings as options, and files without the number of a system error."""
    if isinstance(error, InvalidConfigError) and error.setting is not None:
        name, value, rule = error.setting
        where = f" ({error.where})" if error.where else ""
        return f"--{name.replace('_', '-')} {value}: must be {rule}{where}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _wording(error: Any) -> str:
    """The message of a wrong command line: what was given, what is allowed, and the command whose help tells more."""
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    details = getattr(error.__cause__, "errors", None)  # of pydantic, by which typer reads values
    if details is not None:
        message += f", given {details()[0]['input']!r}"
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    commands = getattr(context.command, "commands", {})
    if message.startswith("No such command"):
        message += f"; known: {', '.join(commands)}"
    return f"{message} (see `{context.command_path} --help`)"


def _fail(message: str, code: int, may_speak: Callable[[], bool] = lambda: True) -> None:
    if message and may_speak():
        with suppress(OSError):
            sys.stderr.write(f"error: {' '.join(message.split())}\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # what is left goes nowhere, or Python would complain about it once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(code)
