"""The `seqhub export` command."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seqhub.cli.options import AsJson, Quiet, TrustRemoteCode
from seqhub.cli.output import Form, grid, show


def export_command(
    run: Annotated[str, typer.Argument(help="Folder of a finished run, or repository on a Hub", show_default=False)],
    format: Annotated[
        Literal["onnx", "torch"], typer.Option(help="File format: onnx for onnxruntime, torch for torch.export.load")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(help="File to write", show_default="model.onnx or model.pt2 in the folder; NAME.onnx"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists")] = False,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of the Hub", show_default="HF_ENDPOINT, or the public Hub")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit", show_default="main")] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Export a model as one file.

    The file runs without seqhub and accepts any batch size, number of steps and padding. Its outputs are compared with
    those of the model.
    """
    from seqhub.deployment.export import export

    done = export(
        run,
        format,
        output,
        overwrite=overwrite,
        endpoint=endpoint,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    checked = f"{done.batches} padded batches, logits within {done.difference:.1e} of the model"
    rows = [
        ("inputs", ", ".join(done.inputs)),
        ("outputs", ", ".join(done.outputs)),
        ("bytes", f"{done.size:,}"),
        ("checked on", checked),
    ]
    show(
        Form.of(as_json, quiet),
        done._asdict() | {"path": str(done.path)},
        brief=str(done.path),
        table=lambda console: console.print(grid(("", ""), rows), done.path, sep="\n"),
    )
