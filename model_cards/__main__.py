"""Command line of a model release: `release` and `render`."""

import typer

from model_cards.release import release_command
from model_cards.render import render_command
from seqhub.cli.errors import run

app = typer.Typer(
    name="model_cards",
    help="Release models: train, evaluate and verify them, or render their cards.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("release")(release_command)
app.command("render")(render_command)

if __name__ == "__main__":
    run(app)
