"""The `seqhub demo` command."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqhub.cli.errors import Stopped
from seqhub.cli.output import grid, stderr, stdout
from seqhub.errors import HubError, OutputExistsError, VerificationError

if TYPE_CHECKING:
    from rich.console import Console

    from seqhub.records import RunRecord
    from seqhub.verification.verify import Finding

TASK_ID, MODEL = "qrsu/hard", "lstm"

_MARK = ".seqhub-demo"  # file that marks folders that a demo may replace


def demo_command(
    folder: Annotated[Path, typer.Argument(help="Folder to write; an earlier demo in it is replaced")] = Path(
        "runs/demo"
    ),
) -> None:
    """Run the whole pipeline on qrsu/hard.

    Build the dataset, train an LSTM on it, evaluate it, plot it, write its card, push it to a local Hub and verify it.
    """
    from seqhub.cards.write import write_card
    from seqhub.cli.data import build_folder
    from seqhub.cli.results import draw

    task_name, _, level = TASK_ID.partition("/")
    dataset, model = folder / task_name, folder / f"{TASK_ID.replace('/', '-')}-{MODEL}"
    hub = folder / "hub"
    seconds: dict[str, float] = {}
    _clear(folder, dataset, model, hub)
    with _step("build", f"building {TASK_ID}: 120,000 sequences", seconds):
        build_folder(task_name, dataset, configs=[level])
    with _timed("train", seconds):
        from seqhub.cli.train import run
        from seqhub.training.config import TrainConfig
        from seqhub.training.recipes import recipe

        config = TrainConfig(
            task=TASK_ID, model=MODEL, output_dir=model, data=str(dataset), stop_at="both", **recipe(TASK_ID, MODEL)
        )
        try:
            run(config, resume=False, visible=True)
        except Stopped:  # its message is how to resume the run, but a demo cannot be resumed
            raise Stopped(f"stopped; the next demo in {folder} starts again") from None
    with _step("evaluate", "evaluating on unseen splits and on every level", seconds):
        from seqhub.evaluation.evaluate import evaluate

        record = evaluate(model)
    with _step("document", "plotting figures and writing the model card", seconds):
        draw(model)
        write_card(model)
    findings = _publish_and_verify(hub, dataset, model, record.name, seconds)
    _summary(dataset, model, hub, record, findings, seconds)
    different = [finding.what for finding in findings if not finding.agrees]
    if different:
        raise VerificationError(f"{model} differs from its record in: {', '.join(different)}")


def _publish_and_verify(
    root: Path, dataset: Path, model: Path, name: str, seconds: dict[str, float]
) -> "list[Finding]":
    """Start a Hub, push both folders in a process of its own, and load them from the Hub without seqhub."""
    from seqhub.server.serve import DEFAULT_USER, running
    from seqhub.verification.verify import Published, verify

    with running(root) as hub, tempfile.TemporaryDirectory(prefix="seqhub-demo-") as home:
        published = Published(hub.url, f"{DEFAULT_USER}/{name}", f"{DEFAULT_USER}/{dataset.name}")
        # HF_ENDPOINT and HF_HUB_OFFLINE are read at import, so the client needs a new process
        client = os.environ | hub.environment(Path(home))
        program = [sys.executable, "-c", "from seqhub.cli import main; main()", "push", "--quiet"]
        with _step("push", f"pushing both to a Hub on this machine, {hub.url}", seconds):
            for folder, repo in ((dataset, published.dataset), (model, published.model)):
                command = [*program, str(folder), "--repo", repo]
                done = subprocess.run(command, env=client, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise HubError((done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: "))
        with _step("verify", "loading both from it in a process without seqhub", seconds):
            return verify(model, published=published)


def _clear(folder: Path, *parts: Path) -> None:
    """Make the folder, or remove the files of an earlier demo, and no others."""
    if folder.is_dir():
        own = {_MARK, *(part.name for part in parts)}
        names = sorted(path.name for path in folder.iterdir())
        foreign = [
            name for name in names if name not in own and not name.startswith(tuple(f".{part.name}." for part in parts))
        ]
        if foreign or (names and _MARK not in names):
            raise OutputExistsError(
                f"{folder} has {(foreign or names)[0]}, which is not from a demo; give another folder or move it"
            )
    elif folder.exists():
        raise OutputExistsError(f"{folder} is a file; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()
    for old in parts:
        if old.exists():
            shutil.rmtree(old)


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


@contextmanager
def _step(name: str, text: str, seconds: dict[str, float]) -> Iterator[None]:
    """Show a spinner while a step lasts, and one line when it is done."""
    from rich.text import Text

    console = stderr()
    with _timed(name, seconds), console.status(text):
        yield
    console.print(Text.assemble("  ", ("done", "green"), f" {text} ", (f"({seconds[name]:.1f} s)", "dim")))


def _summary(
    dataset: Path, model: Path, hub: Path, record: "RunRecord", findings: "list[Finding]", seconds: dict[str, float]
) -> None:
    from seqhub.server.settings import Settings

    task, config = record.task.definition, record.task.config
    test = record.evaluation["test"]
    low, high = test["interval"]
    by_accuracy, by_rule, *_ = record.criteria.values()
    logits = next((finding.found for finding in findings if finding.what.startswith("logits")), "not compared")
    console = stdout()
    console.print()
    console.print(f"{record.task} is {'solved' if by_accuracy else 'not solved'}", style="bold")
    console.print(
        grid(
            ("", ""),
            [
                ("accuracy", f"{test['accuracy']:.2%} of {test['examples']:,} unseen sequences; chance is "
                 f"{task.chance(config):.0%}\n95% interval {low:.2%} to {high:.2%}"),
                ("training", f"99.9% right {_after(by_accuracy)}\n"
                 f"criterion of Hochreiter & Schmidhuber (1997) met {_after(by_rule)}"),
                ("the paper", f"{task.paper_sequences[config.name]:,} sequences to the same criterion, but with other "
                 f"settings: in the paper, {task.paper_setting}; here, {record.num_parameters:,} parameters in batches "
                 f"of {record.training['batch_size']} by {record.training['optimizer']}, after "
                 f"{record.training['initialization']} initialisation"),
                ("verified", "pushed to a Hub, loaded without seqhub: "
                 f"{sum(finding.agrees for finding in findings)} of {len(findings)} checks agree; logits {logits}"),
                ("time", f"{sum(seconds.values()):.1f} s ("
                 + ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items()) + ")"),
            ],
        )
    )  # fmt: skip
    _list(console, "files", {
        f"{dataset}": "Parquet, record and card of the data",
        f"{model}": "weights, tokenizer, code and record; README.md is the card, figures/ has the figures",
        f"{hub}": "folder of the Hub with both",
    })  # fmt: skip
    console.print("\nfrom Python, with or without seqhub", style="bold")
    for line in loading_lines(dataset, model, config.name):
        console.print(f"  {line}")
    _list(console, "next", {
        f"seqhub tasks show {task.name}/nightmare": "the hardest level: up to 500 steps",
        f"seqhub train {task.name}/nightmare": "train on it",
    })  # fmt: skip
    defaults = Settings()
    serve = shlex.join(["seqhub", "serve", "--root", str(hub)])
    _list(console, f"in a browser, at http://{defaults.host}:{defaults.port}", {
        serve: "start this Hub again, also for any Hugging Face client on this machine",
        f"{serve} --examples": "the same, with all released datasets and models (about 30 s of processor time)",
    })  # fmt: skip


def loading_lines(dataset: Path, model: Path, config: str) -> list[str]:
    """Return lines of Python that load the results of a demo."""
    return [
        "from datasets import load_dataset",
        f'rows = load_dataset({json.dumps(str(dataset))}, "{config}", split="test")',
        "from transformers import pipeline",
        f'classify = pipeline("text-classification", model={json.dumps(str(model))}, trust_remote_code=True)',
        'classify(rows[0]["text"])',
    ]


def _list(console: "Console", title: str, lines: dict[str, str]) -> None:
    """Print lines to copy, not wrapped, each with an explanation below."""
    console.print(f"\n{title}", style="bold")
    for line, meaning in lines.items():
        console.print(f"  {line}")
        console.print(f"      {meaning}", style="dim")


def _after(count: int | None) -> str:
    return f"after {count:,} sequences" if count else "never"
