"""The commands `seqhub push` and `seqhub verify`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from seqhub.cli.options import AsJson, Quiet, TrustRemoteCode
from seqhub.cli.output import Form, grid, show
from seqhub.errors import VerificationError


def push_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, a dataset or a benchmark", show_default=False)],
    repo: Annotated[str, typer.Option(help="Repository, as in me/qrsu-hard-lstm; created if it does not exist")],
    endpoint: Annotated[
        str | None, typer.Option(help="URL of the Hub", show_default="HF_ENDPOINT, or the public Hub")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch to commit to", show_default="main")] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private repository")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files without uploading them")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Upload a folder to a Hub in one commit.

    The cells of a benchmark are added to those in the repository.
    """
    if (folder / "bench.json").is_file():
        from seqhub.experiments.bench.publish import push_bench as push
    else:
        from seqhub.hub.push import push
    pushed = push(folder, repo, endpoint=endpoint, revision=revision, private=private, dry_run=dry_run)
    rows = [(file.name, f"{file.size:,}") for file in pushed.files]
    for note in pushed.notes:
        sys.stderr.write(f"warning: {note}\n")
    where = "nothing was uploaded" if dry_run else (pushed.commit_url or "nothing changed")
    show(
        Form.of(as_json, quiet),
        {"files": [{"name": file.name, "size": file.size} for file in pushed.files], "commit": pushed.commit_url},
        brief=[file.name for file in pushed.files] if dry_run else where,
        table=lambda console: console.print(grid(("file", "bytes"), rows, right=(1,)), where, sep="\n"),
    )


def verify_command(
    target: Annotated[str, typer.Argument(help="Folder, or repository on a Hub", show_default=False)],
    isolated: Annotated[
        bool,
        typer.Option("--isolated", help="Load the model in a process without seqhub, with the code in its folder"),
    ] = False,
    trust_remote_code: TrustRemoteCode = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="Built dataset folder, or file of the run, to read the rows from", show_default="generated again"
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of the Hub", show_default="HF_ENDPOINT, or the public Hub")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit", show_default="main")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare a folder with its record.

    The model or dataset is loaded from a folder or a Hub. The exit code is 1 if anything differs.
    """
    from seqhub.hub.fetch import fetch
    from seqhub.verification.verify import verify

    findings = verify(
        fetch(target, endpoint=endpoint, revision=revision),
        isolated=isolated,
        trust_remote_code=trust_remote_code,
        dataset=dataset,
    )
    show(
        Form.of(as_json, quiet),
        [finding._asdict() for finding in findings],
        brief=[f"{'ok' if finding.agrees else 'DIFFERENT'}\t{finding.what}" for finding in findings],
        table=lambda console: console.print(
            grid(
                ("", "check", "recorded", "found"),
                [("ok" if f.agrees else "DIFFERENT", f.what, _short(f.recorded), _short(f.found)) for f in findings],
            )
        ),
    )
    different = [finding.what for finding in findings if not finding.agrees]
    if different:
        raise VerificationError(f"{target} differs from its record in: {', '.join(different)}")


def _short(text: str) -> str:
    """Return the first 16 digits of a digest, any other text unchanged."""
    return text[:16] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
