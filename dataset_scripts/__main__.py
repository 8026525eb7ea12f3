"""Command line of a dataset release: `build`, `publish` and `verify`, run in this order, and `render`."""

import typer

from dataset_scripts.build import build_command
from dataset_scripts.publish import publish_command
from dataset_scripts.render import render_command
from dataset_scripts.verify import verify_command
from seqhub.cli.errors import run

app = typer.Typer(
    name="dataset_scripts",
    help="Release datasets: build, publish and verify them, or render their cards.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("build")(build_command)
app.command("publish")(publish_command)
app.command("verify")(verify_command)
app.command("render")(render_command)

if __name__ == "__main__":
    run(app)
