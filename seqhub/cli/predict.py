"""The `seqhub predict` command."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seqhub.cli.options import AsJson, Quiet, TrustRemoteCode
from seqhub.cli.output import Form
from seqhub.errors import InvalidConfigError, OutputExistsError

if TYPE_CHECKING:
    from seqhub.evaluation.predict import Prediction

_SUFFIXES = {".csv": Form.TABLE, ".jsonl": Form.JSON}


def predict_command(
    model: Annotated[str, typer.Argument(help="Folder of a model, or repository on a Hub", show_default=False)],
    data: Annotated[Path, typer.Argument(help="File of rows, as for `seqhub train FILE`", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File to write, .csv or .jsonl", show_default="standard output, as CSV")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<str>", help="Column of texts or series; may be repeated", show_default="as in the training file"
        ),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Separator of the values in a line of a CSV file", show_default="comma or tab")
    ] = None,
    header: Annotated[
        Literal["first", "none"], typer.Option(help="Line of a CSV file with the names of the columns")
    ] = "first",
    batch_size: Annotated[int, typer.Option(help="Sequences in a batch")] = 256,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a repository", show_default="main")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out")] = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Predict labels or numbers for the rows of a file.

    Each row has its prediction and the probability of each class. With --json there is one object in each line.
    """
    form = Form.of(as_json, quiet)
    if batch_size < 1:
        raise InvalidConfigError(f"--batch-size {batch_size}: must be at least 1")
    if out is not None:
        if out.suffix not in _SUFFIXES:
            raise InvalidConfigError(f"--out {out}: must end with {' or '.join(_SUFFIXES)}")
        if out.exists() and not overwrite:
            raise OutputExistsError(f"{out} exists; overwrite it, or choose another file")
    from seqhub.evaluation.predict import predict

    found = predict(
        model, data, inputs=inputs, separator=separator, header=header, batch_size=batch_size, revision=revision,
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    if out is None:
        for line in _lines(found, form):
            sys.stdout.write(line)
        return
    from seqhub.io import open_atomically

    with open_atomically(out) as file:
        for line in _lines(found, _SUFFIXES[out.suffix]):
            file.write(line.encode())
    if form is not Form.QUIET:
        sys.stdout.write(f"{out}\n")


def _lines(found: "Iterable[Prediction]", form: Form) -> Iterator[str]:
    """Yield the lines of an output: CSV with a header, JSON lines, or only the predictions."""
    started = False
    for each in found:
        if form is Form.QUIET:
            yield f"{_cell(each.value)}\n"
        elif form is Form.JSON:
            result = _place(each) | {"prediction": each.value}
            yield json.dumps(result | ({"probabilities": each.probabilities} if each.probabilities else {})) + "\n"
        else:
            by_class = each.probabilities if isinstance(each.probabilities, dict) else {}
            if not started:
                yield _record([*_place(each), "prediction", *(f"probability of {name}" for name in by_class)])
            yield _record([*_place(each).values(), _cell(each.value), *(f"{value:.6g}" for value in by_class.values())])
        started = True


def _place(each: "Prediction") -> dict[str, Any]:
    """Return the number of a row, and the id of a series."""
    return {"row": each.row} | ({} if each.id is None else {"id": each.id})


def _record(values: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
