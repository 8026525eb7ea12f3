"""`seqhub demo`: the whole journey of one model, on this machine, with proof at the end."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqhub.console import grid, stderr, stdout
from seqhub.errors import OutputExistsError, VerificationError

if TYPE_CHECKING:
    from seqhub.evaluation.verify import Finding
    from seqhub.records import RunRecord

ADDRESS, MODEL = "qrsu/hard", "lstm"

_MARK = ".seqhub-demo"  # stands in folders that a demo may replace


def demo_command(
    folder: Annotated[Path, typer.Argument(help="where everything goes; a demo's folder is replaced.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Build qrsu/hard, solve it with an LSTM, measure, draw, document, load it back without seqhub and prove it."""
    from seqhub.cards.folder import write_card
    from seqhub.cli.data import build_folder
    from seqhub.cli.results import draw

    task_name = ADDRESS.partition("/")[0]
    dataset, model = folder / task_name, folder / f"{ADDRESS.replace('/', '-')}-{MODEL}"
    seconds: dict[str, float] = {}
    _clear(folder)
    with _step("build", f"building {ADDRESS}: 120,000 sequences", seconds):
        build_folder(task_name, dataset, configs=[ADDRESS.partition("/")[2]])
    with _timed("train", seconds):
        from seqhub.training.command import run
        from seqhub.training.config import TrainConfig
        from seqhub.training.recipes import recipe

        config = TrainConfig(
            address=ADDRESS, model=MODEL, output_dir=model, data=str(dataset), stop_at="both", **recipe(ADDRESS, MODEL)
        )
        run(config, resume=False, visible=True)
    with _step("evaluate", "measuring on unseen splits and on every level", seconds):
        from seqhub.evaluation.evaluate import evaluate

        record = evaluate(model)
    with _step("document", "drawing figures and writing the model card", seconds):
        draw(model)
        write_card(model)
    with _step("load back", "loading it all back in a process that has no seqhub", seconds):
        from seqhub.evaluation.verify import verify

        findings = verify(model, alone=True, dataset=dataset)
    _summary(folder, dataset, model, record, findings, seconds)
    different = [finding.what for finding in findings if not finding.agrees]
    if different:
        raise VerificationError(f"{model} differs from its record in: {', '.join(different)}")


def _clear(folder: Path) -> None:
    """Make the folder, or empty the one that an earlier demo made."""
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).exists()):
            raise OutputExistsError(f"{folder} holds something that no demo made; give another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


@contextmanager
def _step(name: str, text: str, seconds: dict[str, float]) -> Iterator[None]:
    """Show a spinner while a step lasts, and one line when it is done."""
    console = stderr()
    with _timed(name, seconds), console.status(text):
        yield
    console.print(f"  [green]done[/] {text} [dim]({seconds[name]:.1f} s)[/]")


def _summary(
    folder: Path,
    dataset: Path,
    model: Path,
    record: "RunRecord",
    findings: "list[Finding]",
    seconds: dict[str, float],
) -> None:
    from seqhub.tasks.registry import resolve

    task, config = resolve(record.address)
    test = record.evaluation["test"]
    low, high = test["interval"]
    by_accuracy, by_rule = record.criteria.values()
    logits = next(finding.found for finding in findings if finding.what.startswith("logits"))
    agreed = f"{sum(finding.agrees for finding in findings)} of {len(findings)} checks agree"
    console = stdout()
    console.print()
    console.print(f"[bold]{record.address}: {'solved' if by_accuracy else 'not solved'}[/]")
    console.print(
        grid(
            ("", ""),
            [
                ("accuracy", f"{test['accuracy']:.2%} of {test['examples']:,} unseen sequences "
                 f"(95 % interval {low:.2%} to {high:.2%}; chance {task.chance:.0%})"),
                ("sequences to 99.9 %", _sequences(by_accuracy)),
                ("by the paper's rule", f"{_sequences(by_rule)}; Hochreiter & Schmidhuber (1997): "
                 f"{task.paper_sequences[config.name]:,}, where {task.paper_setting}"),
                ("model", f"{record.num_parameters:,} parameters, batches of {record.training['batch_size']}, "
                 f"{record.training['optimizer']}, {record.training['initialization']} initialisation"),
                ("loaded back", f"without seqhub: {agreed}, logits {logits}"),
                ("time", ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items())),
            ],
        )
    )  # fmt: skip
    console.print("\n[bold]files[/]")
    console.print(
        grid(
            ("", ""),
            [
                (str(dataset), f'the data, as load_dataset("{dataset}", "{config.name}")'),
                (str(model), "weights, tokenizer, code, record; README.md is its card, figures/ its pictures"),
            ],
        )
    )
    console.print("\n[bold]next[/]")
    console.print(
        grid(
            ("", ""),
            [
                (f"seqhub tasks show {task.name}/nightmare", "sequences of up to 500 steps"),
                (f"seqhub train {task.name}/nightmare", "solve them too"),
                (f"seqhub push {model} --repo ME/{record.name} --dry-run", "what would go to a Hub"),
            ],
        )
    )


def _sequences(count: int | None) -> str:
    return f"{count:,} training sequences" if count else "not met"
