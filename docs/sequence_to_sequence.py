"""Numbers and figures of docs/tasks/sequence_to_sequence.md: `python -m docs.sequence_to_sequence`.

The runs are sweeps with the shipped recipe and seeds 0 to 4, one after another; a second call continues after the last
finished seed. The recipe was chosen on other seeds, from 100 on.
"""

from itertools import islice
from pathlib import Path
from typing import Any

import torch

from seqhub.data.loader import loader_of
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.plots.style import BLUE, GREEN, VERMILION
from seqhub.records import RunRecord, environment
from seqhub.sweeps.sweep import sweep
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import Split
from seqhub.training.configure import configure

HERE = Path(__file__).parent
NUMBERS = HERE / "sequence_to_sequence.json"
IMAGES = HERE / "images" / "sequence_to_sequence"
RUNS_FOLDER = Path("build/sequence_to_sequence")

SEEDS = range(5)
TEST_ROWS, OTHER_ROWS = 2_000, 1_000  # of the config of a run, and of each test distribution
ATTENTIONS = {"none": "gru_seq2seq", "additive": "gru_seq2seq_additive", "multiplicative": "gru_seq2seq_multiplicative"}
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


def measure(only: str | None = None) -> dict[str, Any]:
    """Return the numbers of all sweeps, by name."""
    torch.set_num_threads(1)
    found = {name: measure_run(name) for name in runs() if only in (None, name)}
    return {"seeds": list(SEEDS), "environment": environment(), "runs": found}


if __name__ == "__main__":
    import sys

    measure(sys.argv[1])
