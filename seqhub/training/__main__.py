"""`accelerate launch -m seqhub.training qrsu/hard`, the same command as `seqhub train qrsu/hard`."""

import typer

from seqhub.console import run
from seqhub.training.command import train_command
from seqhub.training.launch import is_first_to_speak

if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(train_command)
    run(app, is_first_to_speak)
