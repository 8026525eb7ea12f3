"""The commands of `seqhub hub`, which work on the folder of a Hub; the server may be running, except for `restore`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from seqhub.cli.hub_accounts import open_store, orgs, parse_duration, tokens, users
from seqhub.cli.hub_export import export_command
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show
from seqhub.cli.serve import Root
from seqhub.errors import VerificationError

app = typer.Typer(help="Manage the accounts and data of a Hub.", no_args_is_help=True)
app.add_typer(users, name="user")
app.add_typer(orgs, name="org")
app.add_typer(tokens, name="token")
app.command("export")(export_command)


@app.command("fsck")
def fsck_command(
    root: Root,
    repair: Annotated[bool, typer.Option("--repair", help="Repair counters and file permissions first")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check the consistency of a Hub.

    Every object, reference, blob and counter is checked. The exit code is 1 if there is a problem.
    """
    with open_store(root) as store:
        problems = store.maintenance.fsck(repair=repair)
    lines = problems or ["no problem found"]
    show(Form.of(as_json, quiet), problems, brief=problems, table=lambda console: console.print(*lines, sep="\n"))
    if problems:
        raise VerificationError(f"{root}: {len(problems)} problem(s), the first: {problems[0]}")


@app.command("gc")
def gc_command(
    root: Root,
    grace: Annotated[
        str, typer.Option(help="Minimum age of deleted files, as in 24h; newer ones may be part of a running upload")
    ] = "24h",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Delete unused files.

    These are large files that no repository uses, and incomplete uploads.
    """
    with open_store(root) as store:
        counts = store.maintenance.gc(round(parse_duration(grace).total_seconds()))
    _show_counts(_plain(counts), Form.of(as_json, quiet))


@app.command("backup")
def backup_command(
    target: Annotated[Path, typer.Argument(help="Folder to create", show_default=False)],
    root: Root,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Back up a Hub.

    The server may be running.
    """
    with open_store(root) as store:
        store.maintenance.backup(target)
    show(Form.of(as_json, quiet), {"backup": str(target)}, brief=str(target), table=lambda c: c.print(str(target)))


@app.command("restore")
def restore_command(
    backup: Annotated[Path, typer.Argument(help="Folder that `backup` created", show_default=False)],
    root: Root,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore a Hub from a backup.

    The folder of the Hub must be empty or absent, and the server must not be running.
    """
    from seqhub.server.store.maintenance import restore

    restore(backup, root)
    show(Form.of(as_json, quiet), {"root": str(root)}, brief=str(root), table=lambda c: c.print(str(root)))


def _show_counts(counts: dict[str, int], form: Form) -> None:
    rows = [(name.replace("_", " "), f"{value:,}") for name, value in counts.items()]
    show(
        form,
        counts,
        brief=[f"{name}\t{value}" for name, value in counts.items()],
        table=lambda console: console.print(grid(("item", "count"), rows, right=(1,))),
    )


def _plain(counts: Any) -> dict[str, int]:
    return counts if isinstance(counts, dict) else asdict(counts)
