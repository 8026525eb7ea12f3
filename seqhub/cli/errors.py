"""One-line errors and exit codes of command lines."""

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
BROKEN_PIPE = 141  # exit code that a shell reports for a process ended by SIGPIPE


class Stopped(Exception):  # noqa: N818  not an error
    """Interruption by Ctrl-C with a message of its own; typer would discard that of a KeyboardInterrupt."""


def script(command: Callable[..., Any], may_print: Callable[[], bool] = lambda: True) -> None:
    """Run a function as a program: typed arguments, `--help`, and one line for every error.

    Args:
        command: The function, with the annotations of typer.
        may_print: See `run`.
    """
    import typer

    app = typer.Typer(add_completion=False)
    app.command()(command)
    run(app, may_print)


def run(app: "Typer", may_print: Callable[[], bool] = lambda: True) -> None:
    """Run a command line and exit; see `one_line_errors`.

    Args:
        app: The command line.
        may_print: Called before an error is printed; False if another process of the same program prints it.
    """
    with one_line_errors(may_print):
        _require_text(sys.argv[1:])
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer returns it for Ctrl-C and prints nothing
            raise KeyboardInterrupt
        sys.stdout.flush()  # report a full disk here, not while Python shuts down
        raise SystemExit(code)


@contextmanager
def one_line_errors(may_print: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Turn user errors into one line and an exit code; internal errors keep their traceback.

    An error is printed if `may_print` returns True, see `run`.

    The exit code is 2 for user errors, 1 if something that was loaded differs from its record, 130 after Ctrl-C.
    """
    import typer

    _open_streams()
    try:
        yield
    except VerificationError as error:
        _fail(str(error), DIFFERENT, may_print)
    except BrokenPipeError:  # the reader of the output closed it
        _fail("", BROKEN_PIPE)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich and typer turn it into 1, which means `DIFFERENT`
            _fail("", BROKEN_PIPE)
        raise
    except (SeqhubError, OSError) as error:
        _fail(_message(error), USER_MISTAKE, may_print)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        extra = extra_of(library)
        if extra is None:
            raise
        _fail(f"{library} is not installed: pip install 'seqhub[{extra}]'", USER_MISTAKE, may_print)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help has been printed
            raise SystemExit(0) from None
        _fail(_usage_message(error), USER_MISTAKE, may_print)
    except Stopped as stop:
        _fail(str(stop), INTERRUPTED, may_print)
    except KeyboardInterrupt:
        _fail("stopped", INTERRUPTED, may_print)


def _open_streams() -> None:
    """Replace closed streams by the null device, and let standard output encode any file name."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  open as long as the process runs
    if hasattr(sys.stdout, "reconfigure"):
        unicode = sys.stdout.encoding.lower().replace("-", "").startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "replace")


def _require_text(arguments: Iterable[str]) -> None:
    """Reject names that are not text: safetensors, tokenizers and YAML cannot store them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InvalidInputError(f"argument {argument!r} is not valid UTF-8") from None


def _message(error: Exception) -> str:
    """Return the message of an error: settings as options, and files without the number of a system error."""
    if isinstance(error, InvalidConfigError) and error.setting is not None:
        name, value, rule = error.setting
        where = f" ({error.where})" if error.where else ""
        option = "from" if name == "base_model" else name.replace("_", "-")
        given = value if isinstance(value, (list, tuple)) else [value]  # of a repeated option
        return f"{' '.join(f'--{option} {each}' for each in given)}: must be {rule}{where}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _usage_message(error: Any) -> str:
    """Return the message of a wrong command line: what was given, what is allowed, and where the help is."""
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    details = getattr(error.__cause__, "errors", None)  # of pydantic, with which typer parses values
    if details is not None:
        message += f", given {details()[0]['input']!r}"
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    commands = getattr(context.command, "commands", {})
    if message.startswith("No such command"):
        message += f"; known: {', '.join(commands)}"
    return f"{message} (see `{context.command_path} --help`)"


def _fail(message: str, code: int, may_print: Callable[[], bool] = lambda: True) -> None:
    if message and may_print():
        with suppress(OSError):
            sys.stderr.write(f"error: {' '.join(message.split())}\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # discard the rest, or Python would report the error again at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(code)
