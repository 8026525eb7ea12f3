"""Numbers and figures of docs/tasks/sequence_to_sequence.md: `python -m docs.sequence_to_sequence`.

The runs are sweeps with the shipped recipe and seeds 0 to 4, one after another; a second call continues after the last
finished seed. The recipe was chosen on other seeds, from 100 on.
"""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import torch
import typer
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqhub.cli.errors import script
from seqhub.data.loader import loader_of
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.io import write_atomically
from seqhub.plots.style import BLUE, GREEN, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.records import RunRecord, SweepRecord, environment
from seqhub.sweeps.sweep import sweep
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import Split
from seqhub.training.configure import configure

HERE = Path(__file__).parent
NUMBERS = HERE / "sequence_to_sequence.json"
IMAGES = HERE / "images" / "sequence_to_sequence"
RUNS_FOLDER = Path("build/sequence_to_sequence")

SEEDS = range(5)
TEST_ROWS, OTHER_ROWS = 1_000, 500  # of the config of a run, and of each test distribution
LEAST_ROWS = 10  # of a length in the figure
ATTENTIONS = {"none": "gru_seq2seq", "additive": "gru_seq2seq_additive", "multiplicative": "gru_seq2seq_multiplicative"}
STYLES = {"none": "solid", "additive": "solid", "multiplicative": "dashed"}  # two of them are often equal
COLORS = {"none": VERMILION, "additive": BLUE, "multiplicative": GREEN}
TASKS = (
    "date_translation/years1000-2999",
    "number_words/to-words",
    "number_words/to-digits",
    "reverse_words/short",
    "digit_captions/single",
    "digit_captions/several",
)
COMPARED = ("reverse_words/short", "number_words/to-words")  # with all attentions
FORCED = "reverse_words/short"  # for the comparison of teacher forcing and scheduled sampling
FORCED_SEQUENCES = 20_000
FORCINGS: dict[str, dict[str, Any]] = {
    "teacher forcing": {},
    "scheduled sampling": {
        "teacher_forcing": "linear",
        "teacher_forcing_batches": FORCED_SEQUENCES // 32,
        "teacher_forcing_floor": 0.25,
    },
}


def runs() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the name of each sweep, its task id, and the settings that differ from the recipe."""
    found = {f"{task} additive": (task, {"model": ATTENTIONS["additive"]}) for task in TASKS}
    for task in COMPARED:
        found |= {f"{task} {name}": (task, {"model": model}) for name, model in ATTENTIONS.items()}
    length = {"max_sequences": FORCED_SEQUENCES, "stop_at": "none", "model": ATTENTIONS["none"]}
    return found | {name: (FORCED, {**length, "model_options": options}) for name, options in FORCINGS.items()}


def measure_run(name: str) -> list[dict[str, Any]]:
    """Train and evaluate the seeds of a sweep that are missing, and return the numbers of each seed."""
    task, settings = runs()[name]
    config = configure(task, **settings, output_dir=RUNS_FOLDER / name.replace("/", "-").replace(" ", "-"))
    if not (config.output_dir / SweepRecord.FILE_NAME).exists():  # evaluated runs are not those of a sweep to resume
        sweep(config, SEEDS, threads=1, test_rows=0, keep_models=True, resume=True)
    return [measure_seed(config.output_dir / f"seed-{seed}", name in FORCINGS) for seed in SEEDS]


def measure_seed(folder: Path, forced: bool) -> dict[str, Any]:
    """Return the numbers of one run, after an evaluation if it has none."""
    record = RunRecord.load(folder)
    if not record.evaluation:
        record = evaluate(folder, num_examples=TEST_ROWS, sibling_examples=OTHER_ROWS)
    names = ("examples", "accuracy", "token_accuracy", "edit_distance", "length", "by_length")
    tested = {
        split: {name: metrics[name] for name in names}  # type: ignore[literal-required]
        for split, metrics in record.evaluation.items()
        if split == "test" or "@" in split
    }
    found = {
        "seed": record.seed,
        "parameters": record.num_parameters,
        "sequences": record.sequences_seen,
        "solved": any(met is not None for name, met in record.criteria.items() if name.startswith("accuracy")),
        "seconds": record.timings["train"],
        "tested": tested,
    }
    return found | ({"by_step": accuracy_by_step(folder)} if forced else {})


def accuracy_by_step(folder: Path) -> dict[str, list[list[int]]]:
    """Return right symbols and targets at each step, after the right symbols and after those that the model generated.

    Returns:
        `forced` and `generated`: for each step of the target, without its end, the number of right symbols and of
        targets with this step.
    """
    model = load_model(folder)
    split = Split(FORCED, "test")
    most = split.schema.max_target
    counts = {name: torch.zeros(most, 2, dtype=torch.int64) for name in ("forced", "generated")}
    with torch.inference_mode():
        for batch in islice(loader_of(split, 250), TEST_ROWS // 250):
            labels = batch.pop("labels")
            real = (labels != NO_LABEL) & (labels != split.schema.end_id)
            forced = model(**batch).logits.argmax(-1)
            inputs = {name: each for name, each in batch.items() if not name.startswith("decoder_")}
            ids = model.generate(**inputs, max_new_tokens=labels.size(1), do_sample=False)[:, 1:]  # type: ignore
            generated = torch.zeros_like(labels)
            generated[:, : ids.size(1)] = ids
            for name, found in (("forced", forced), ("generated", generated)):
                width = labels.size(1)
                counts[name][:width, 0] += ((found == labels) & real).sum(0)[:most]
                counts[name][:width, 1] += real.sum(0)[:most]
    steps = int((counts["forced"][:, 1] > 0).sum())
    return {name: each[:steps].tolist() for name, each in counts.items()}


def measure() -> dict[str, Any]:
    """Return the numbers of all sweeps, by name."""
    return {"seeds": list(SEEDS), "environment": environment(), "runs": {name: measure_run(name) for name in runs()}}


def result_table(numbers: Mapping[str, Any]) -> str:
    """Return the table of the recipe by task: solved seeds, sequences, seconds, and exact match on the test rows."""
    lines = [
        "| config | attention | parameters | sequences, median | seconds, largest | exact match of each seed | "
        "edit distance, mean | other rows: exact match (edit distance), means |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | --- |",
    ]
    for name, seeds in numbers["runs"].items():
        if name in FORCINGS:
            continue
        task, _, attention = name.partition(" ")
        exact = ", ".join(f"{100 * each['tested']['test']['accuracy']:.2f}" for each in seeds)
        edits = mean(each["tested"]["test"]["edit_distance"] for each in seeds)
        others = [split for split in seeds[0]["tested"] if split != "test"]
        shown = ", ".join(
            f"`{split.partition('@')[2].removesuffix('/test')}` "
            f"{mean(each['tested'][split]['accuracy'] for each in seeds):.1%} "
            f"({mean(each['tested'][split]['edit_distance'] for each in seeds):.2f})"
            for split in others
        )
        lines.append(
            f"| `{task}` | {attention} | {seeds[0]['parameters']:,} "
            f"| {median(each['sequences'] for each in seeds):,.0f} | {max(each['seconds'] for each in seeds):.0f} "
            f"| {exact} % | {edits:.4f} | {shown} |"
        )
    return "\n".join(lines)


def forcing_table(numbers: Mapping[str, Any]) -> str:
    """Return the table of teacher forcing and scheduled sampling, as means over the seeds."""
    lines = [
        "| training | right symbols after the right ones | after its own | difference | exact match | edit distance | "
        "seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in FORCINGS:
        seeds = numbers["runs"][name]
        forced, own = (mean(_share(each["by_step"][part]) for each in seeds) for part in ("forced", "generated"))
        exact, edits = (
            mean(each["tested"]["test"][metric] for each in seeds) for metric in ("accuracy", "edit_distance")
        )
        seconds = mean(each["seconds"] for each in seeds)
        lines.append(
            f"| {name} | {forced:.1%} | {own:.1%} | {forced - own:.1%} | {exact:.1%} | {edits:.3f} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def length_table(numbers: Mapping[str, Any]) -> str:
    """Return the table of exact match by the number of words of a sentence, as means over the seeds."""
    lengths = (2, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    lines = [
        "| attention | " + " | ".join(f"{length} words" for length in lengths) + " |",
        "| --- |" + " ---: |" * len(lengths),
    ]
    for attention in ATTENTIONS:
        found = [exact_by_length(each["tested"]) for each in numbers["runs"][f"{COMPARED[0]} {attention}"]]
        shares = (f"{mean(line[length] for line in found):.1%}" for length in lengths)
        lines.append(f"| {attention} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def _share(counts: list[list[int]]) -> float:
    return sum(right for right, _ in counts) / sum(total for _, total in counts)


def exact_by_length(tested: Mapping[str, Any]) -> dict[int, float]:
    """Return number of steps of the source -> exact match, over the test rows and test distributions of one run.

    Lengths with few rows are omitted.
    """
    counts: dict[int, list[int]] = {}
    for metrics in tested.values():
        for length, found in metrics["by_length"].items():
            before = counts.setdefault(int(length), [0, 0])
            counts[int(length)] = [before[0] + found["correct"], before[1] + found["total"]]
    return {length: right / total for length, (right, total) in sorted(counts.items()) if total >= LEAST_ROWS}


def draw_lengths(numbers: Mapping[str, Any], path: Path) -> None:
    """Draw exact match against the length of the source for each attention: a thin line for each seed, a thick mean."""
    figure = new_figure(3.6)
    figure.suptitle("Exact match by the length of the source, five seeds", fontsize=TITLE, x=0.01, ha="left")
    panels: list[Axes] = figure.subplots(1, len(COMPARED), sharey=True, width_ratios=(2, 1)).tolist()
    for axes, task, (unit, longest) in zip(panels, COMPARED, (("words", 10), ("digits", 5)), strict=True):
        for attention, color in COLORS.items():
            lines = [exact_by_length(each["tested"]) for each in numbers["runs"][f"{task} {attention}"]]
            lengths = [n for n in sorted(set.intersection(*map(set, lines))) if n <= 2 * longest]
            for line in lines:
                axes.plot(lengths, [line[n] for n in lengths], color=color, linewidth=0.5, alpha=0.4)
            middle = [mean(line[n] for line in lines) for n in lengths]
            axes.plot(lengths, middle, color=color, linewidth=2, marker="o", markersize=3, label=attention,
                      linestyle=STYLES[attention])  # fmt: skip
        axes.axvline(longest + 0.5, color=GREY, linewidth=1, linestyle="dashed")
        if task == COMPARED[0]:
            axes.annotate(
            "longer than in training", (longest + 0.5, 1.03), xytext=(4, 0), textcoords="offset points", color=GREY,
            fontsize=SMALL, va="bottom", annotation_clip=False,
            )  # fmt: skip
        axes.set_title(task, fontsize=LABEL, loc="left", pad=18)
        axes.set_xlabel(f"{unit} of the source", fontsize=LABEL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(-0.02, 1.04)
        tidy(axes)
    panels[0].set_ylabel("exact match", fontsize=LABEL)
    panels[0].legend(title="attention", fontsize=SMALL, title_fontsize=SMALL, frameon=False, loc="upper right")
    save(figure, path)


def draw_forcing(numbers: Mapping[str, Any], path: Path) -> None:
    """Draw the share of right symbols at each step, after the right symbols and after those of the model."""
    figure = new_figure(3.4)
    figure.suptitle("Right symbols at each step of the target, five seeds", fontsize=TITLE, x=0.01, ha="left")
    panels: list[Axes] = figure.subplots(1, len(FORCINGS), sharey=True).tolist()
    labels = {"forced": ("after the right symbols", BLUE), "generated": ("after its own symbols", VERMILION)}
    for axes, name in zip(panels, FORCINGS, strict=True):
        for part, (label, color) in labels.items():
            lines = [[right / total for right, total in each["by_step"][part]] for each in numbers["runs"][name]]
            steps = range(1, 1 + len(lines[0]))
            for line in lines:
                axes.plot(steps, line, color=color, linewidth=0.5, alpha=0.4)
            axes.plot(
                steps, [mean(values) for values in zip(*lines, strict=True)], color=color, linewidth=2, label=label
            )
        axes.set_title(name, fontsize=LABEL, loc="left")
        axes.set_xlabel("step of the target", fontsize=LABEL)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(0, 1.04)
        tidy(axes)
    panels[0].set_ylabel("right symbols", fontsize=LABEL)
    panels[1].legend(fontsize=SMALL, frameon=False, loc="upper right")
    save(figure, path)


def draw(numbers: Mapping[str, Any], folder: Path = IMAGES) -> None:
    """Draw the figures of the numbers; equal numbers give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_lengths(numbers, folder / "lengths.png")
    draw_forcing(numbers, folder / "exposure-bias.png")


def main(
    name: Annotated[str | None, typer.Argument(help="Name of one sweep, only to train and evaluate it")] = None,
) -> None:
    """Measure the numbers of the page and draw its figures."""
    torch.set_num_threads(1)
    if name is not None:
        measure_run(name)
        return
    write_atomically(NUMBERS, (json.dumps(measure()) + "\n").encode())
    draw(json.loads(NUMBERS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    script(main)
