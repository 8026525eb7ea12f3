"""The commands of `seqhub cell` and `seqhub cache`."""

import sys
from typing import Annotated

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, show

app = typer.Typer(help="Show what is generated for recurrent cells.", no_args_is_help=True)
cache_app = typer.Typer(help="Manage the cache of compiled cells.", no_args_is_help=True)


@app.command("show")
def show_command(
    model: Annotated[
        str, typer.Argument(help="Model id, as in my_cell.py:MyCell or torchrecurrent:MGU", show_default=False)
    ],
) -> None:
    """Print the C++ source that is generated for a cell."""
    from seqhub.cells.show import generated_source

    sys.stdout.write(generated_source(model))


@cache_app.command("clear")
def clear_command(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Remove all compiled cells.

    The cache is the folder `seqhub` in the user's cache folder, or the one in the environment variable SEQHUB_CACHE.
    """
    from seqhub.cells.build import cache_folder, clear_cache

    count, size = clear_cache()
    result = {"folder": str(cache_folder()), "removed": count, "bytes": size}
    show(
        Form.of(as_json, quiet),
        result,
        brief=str(count),
        table=lambda console: console.print(f"removed {count} compiled cells, {size:,} bytes, from {cache_folder()}"),
    )
