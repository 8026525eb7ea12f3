"""The `seqhub` command, one module for each group; heavy imports are inside the command functions."""

import typer

from seqhub.cli import cells, models, tasks
from seqhub.cli.bench import bench_command
from seqhub.cli.check import check_command
from seqhub.cli.data import app as data_app
from seqhub.cli.demo import demo_command
from seqhub.cli.env import env_command
from seqhub.cli.errors import run
from seqhub.cli.export import export_command
from seqhub.cli.hub import app as hub_app
from seqhub.cli.lr_range import lr_range_command
from seqhub.cli.paper import paper_command
from seqhub.cli.predict import predict_command
from seqhub.cli.publish import push_command, verify_command
from seqhub.cli.results import card_command, evaluate_command, plot_command
from seqhub.cli.serve import serve_command
from seqhub.cli.sweep import sweep_command
from seqhub.cli.train import train_command
from seqhub.training.launch import is_first_to_report

app = typer.Typer(
    name="seqhub",
    help="Datasets, models and a Hub for sequence memory.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit")) -> None:
    if version:
        import seqhub

        typer.echo(f"seqhub {seqhub.__version__}")
        raise typer.Exit


app.add_typer(tasks.app, name="tasks")
app.add_typer(models.app, name="models")
app.add_typer(cells.app, name="cell")
app.add_typer(data_app, name="data")
app.command("train")(train_command)
app.command("sweep")(sweep_command)
app.command("bench")(bench_command)
app.command("paper")(paper_command)
app.command("lr-range")(lr_range_command)
app.command("evaluate")(evaluate_command)
app.command("predict")(predict_command)
app.command("card")(card_command)
app.command("plot")(plot_command)
app.command("push")(push_command)
app.command("verify")(verify_command)
app.command("check")(check_command)
app.command("export")(export_command)
app.command("demo")(demo_command)
app.command("serve")(serve_command)
app.command("env")(env_command)
app.add_typer(cells.cache_app, name="cache")
app.add_typer(hub_app, name="hub")


def main() -> None:
    """Run one command; `seqhub.cli.errors` defines the exit codes."""
    run(app, is_first_to_report)
