"""The commands of `seqhub data`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, progress_bar, show

if TYPE_CHECKING:
    from seqhub.records import DatasetRecord

app = typer.Typer(help="Build datasets from tasks, images and texts.", no_args_is_help=True)


@app.command("build")
def build_command(
    task: Annotated[str, typer.Argument(help="Name of a task, as in qrsu", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Folder to write", show_default="TASK")] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="Config to build; may be repeated", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the rows; 0 for the published rows")] = 0,
    train_size: Annotated[int | None, typer.Option(help="Rows of the train split", show_default="as published")] = None,
    validation_size: Annotated[
        int | None, typer.Option(help="Rows of the validation split", show_default="as published")
    ] = None,
    test_size: Annotated[int | None, typer.Option(help="Rows of the test split", show_default="as published")] = None,
    repo: Annotated[str | None, typer.Option(help="Repository that the card names", show_default="the folder")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier build of the same task")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build a dataset folder.

    It has Parquet files, a record and a card. load_dataset("./qrsu", "hard") loads it.
    """
    form = Form.of(as_json, quiet)
    from seqhub.tasks.registry import get_task

    folder = out or Path(get_task(task).name)
    sizes = {"train_size": train_size, "validation_size": validation_size, "test_size": test_size}
    record = build_folder(
        task, folder, configs=config, seed=seed, repo=repo, overwrite=overwrite, visible=form is Form.TABLE, **sizes
    )
    rows = [
        (name, split, f"{built['rows']:,}", f"{built['bytes']:,}", built["digest"][:16])
        for name, config_record in record.configs.items()
        for split, built in config_record["splits"].items()
    ]
    show(
        form,
        record.as_json(),
        brief=str(folder),
        table=lambda console: console.print(
            grid(("config", "split", "rows", "bytes", "digest"), rows, right=(2, 3)), f"written to {folder}", sep="\n"
        ),
    )


def build_folder(
    task: str,
    folder: Path,
    *,
    configs: Sequence[str] | None = None,
    repo: str | None = None,
    visible: bool = False,
    **options: Any,
) -> "DatasetRecord":
    """Write a dataset folder and its card, with a progress bar if `visible`."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    from seqhub.cards.write import write_card
    from seqhub.data.parquet import write_folder
    from seqhub.hub.client import check_repo_id

    if repo is not None:  # before the rows are generated, so that no folder is left without a card
        check_repo_id(repo)
    text = TextColumn("{task.description}", markup=False)
    with progress_bar(text, BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), visible=visible) as bar:
        line = bar.add_task(f"building {task}", total=None)
        record = write_folder(
            task,
            folder,
            configs=configs,
            progress=lambda done, total: bar.update(line, completed=done, total=total),
            **options,
        )
    write_card(folder, repo)
    return record


@app.command("images")
def images_command(
    source: Annotated[str, typer.Argument(help="Dataset repository, as in ylecun/mnist, or folder")],
    out: Annotated[Path, typer.Option(help="Parquet file to write", show_default=False)],
    config: Annotated[str | None, typer.Option(help="Config of the dataset", show_default="the only one")] = None,
    image: Annotated[str | None, typer.Option(help="Column with the images", show_default="the only one")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the labels", show_default="the only one")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of the Hub", show_default="HF_ENDPOINT, or the public Hub")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into sequences of rows.

    Train on the file with `seqhub train row_images/custom --data FILE`.
    """
    from seqhub._logging import quiet_datasets
    from seqhub.data.images import Images
    from seqhub.data.vectors import write_vectors

    with quiet_datasets():
        images = Images(source, config, image, label, endpoint=endpoint)
    counts = write_vectors(out, images.rows(), overwrite=overwrite)
    _show_written(Form.of(as_json, quiet), out, counts, images.ignored_splits)


@app.command("embed")
def embed_command(
    file: Annotated[Path, typer.Argument(help="CSV file with texts and labels", show_default=False)],
    encoder: Annotated[
        str, typer.Option(help="Encoder of transformers, as a repository or folder", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write", show_default=False)],
    text: Annotated[str, typer.Option(help="Column with the texts")] = "text",
    label: Annotated[str, typer.Option(help="Column with the labels")] = "label",
    window: Annotated[int, typer.Option(help="Tokens of a chunk")] = 200,
    overlap: Annotated[int, typer.Option(help="Tokens that a chunk shares with the previous one")] = 50,
    cache: Annotated[Path | None, typer.Option(help="Folder that caches the vectors", show_default="OUT.cache")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Turn texts into chunk vectors.

    Train on the file with `seqhub train documents/custom --data FILE`.
    """
    from seqhub._logging import quiet_transformers
    from seqhub.data.embedding import Encoder, embedded_csv
    from seqhub.data.vectors import write_vectors

    cache = cache or out.with_name(f"{out.name}.cache")
    with quiet_transformers():
        model = Encoder(encoder, window=window, overlap=overlap, cache=cache)
        counts = write_vectors(out, embedded_csv(file, model, text, label), overwrite=overwrite)
    _show_written(Form.of(as_json, quiet), out, counts, [])


def _show_written(form: Form, out: Path, counts: dict[str, int], left_out: Sequence[str]) -> None:
    rows = [(name or "by content", f"{count:,}") for name, count in counts.items()]
    notes = [f"splits omitted: {', '.join(left_out)}"] if left_out else []
    show(
        form,
        {"file": str(out), "rows": {name or "by content": count for name, count in counts.items()},
         "left_out": list(left_out)},
        brief=str(out),
        table=lambda console: console.print(
            grid(("split", "rows"), rows, right=(1,)), *notes, f"written to {out}", sep="\n"
        ),
    )  # fmt: skip
