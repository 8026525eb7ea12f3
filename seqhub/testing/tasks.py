"""Checks of a task: requirements of data, training, evaluation and cards."""

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, Split
from seqhub.testing.check import Check, require

_ROWS = 2048
_EXPECTED = 20  # occurrences of each class from which on all classes must occur
_SOLVED_ROWS = 200  # `solve` is slow
_PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def checks(task_id: str) -> list[Check]:
    """Return the checks of one config."""
    ref = TaskRef.parse(task_id)
    return [Check(task_id, name, partial(function, ref)) for name, function in CHECKS.items()]


def definition(ref: TaskRef) -> None:
    """Check names, version, texts, source and configs of the definition."""
    task = ref.definition
    require(
        re.fullmatch(r"[a-z][a-z0-9_]*", task.name), f"name={task.name!r}: must be lower-case letters, digits and _"
    )
    expected = Path(ref.name).stem
    require(task.name == expected, f"name={task.name!r}: must be {expected!r}, the name of its file or entry point")
    require(isinstance(task.version, int) and task.version >= 1, f"version={task.version!r}: must be an int from 1")
    require(task.title and task.description, "title and description must not be empty")
    names = [config.name for config in task.configs]
    require(names and len(set(names)) == len(names), f"configs {names}: must be one or more, with different names")
    for name in names:  # repository names contain it
        require(
            re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), f"config name {name!r}: lower-case letters, digits and -"
        )
    require(
        set(task.paper_wrong) <= set(task.paper_sequences) <= set(names),
        "paper_sequences and paper_wrong must name configs, the second only those of the first",
    )
    require(set(task.marked) <= set(task.symbols), "marked must be some of symbols")
    documentation = sys.modules[type(task).__module__].__doc__ or ""
    require("Source:" in documentation, "the docstring of the module must have a line 'Source: author (year), title'")
    require(
        task.source.startswith("@") and all(f"{field} " in task.source for field in ("author", "title", "year")),
        "source must be a BibTeX entry with author, title and year",
    )
    json.dumps(ref.config.parameters())  # keys and records contain them


def form(ref: TaskRef) -> None:
    """Check shapes, dtypes, lengths, padding and labels of generated batches."""
    for split in SPLITS:
        rows = Split(ref, split)
        _check_form(f"{ref} {split}", rows, _first(rows))


def _check_form(where: str, rows: Split, batch: Batch) -> None:
    schema, (shortest, longest) = rows.schema, rows.config.length
    count, steps = batch.inputs.shape[:2]
    expected = _ROWS if rows.size is None else min(_ROWS, rows.size)
    require(len(batch) == count == expected, f"{where}: {count} rows instead of {expected}")
    require(batch.lengths.dtype == np.int64, f"{where}: lengths of dtype {batch.lengths.dtype} instead of int64")
    least, most = int(batch.lengths.min()), int(batch.lengths.max())
    require(
        shortest <= least and most <= steps <= longest,
        f"{where}: lengths {least} to {most} in {steps} steps; the config has length=({shortest}, {longest})",
    )
    real = np.arange(steps) < batch.lengths[:, None]
    if schema.vocabulary is None:
        shape = (count, steps, schema.num_features)
        require(batch.inputs.dtype == np.float32, f"{where}: inputs of dtype {batch.inputs.dtype} instead of float32")
        require(batch.inputs.shape == shape, f"{where}: inputs of shape {batch.inputs.shape} instead of {shape}")
        require(np.isfinite(batch.inputs).all(), f"{where}: inputs must be finite")
        require(not batch.inputs[~real].any(), f"{where}: inputs must be 0 after the end of a sequence")
    else:
        dtype = np.uint8 if schema.vocabulary.bytewise else np.uint16
        require(
            batch.inputs.dtype == dtype, f"{where}: inputs of dtype {batch.inputs.dtype} instead of {dtype.__name__}"
        )
        require(((batch.inputs != 0) == real).all(), f"{where}: inputs must be 0 after the end of a sequence only")
    if schema.target == "sequence":
        _check_targets(where, batch, schema)
        return
    shape, dtype = {
        "class": ((count,), np.int64),
        "number": ((count,), np.float32),
        "step_class": ((count, steps), np.int64),
    }.get(schema.target, ((count, 0), batch.labels.dtype.type))
    found = f"{batch.labels.dtype} {batch.labels.shape}"
    require(
        batch.labels.shape == shape and batch.labels.dtype == dtype,
        f"{where}: labels {found} instead of {np.dtype(dtype)} {shape} for the target {schema.target}",
    )
    if schema.target == "step_class":
        require(
            (batch.labels[~real] == NO_LABEL).all(), f"{where}: labels after the end of a sequence must be {NO_LABEL}"
        )
    if schema.labels:
        seen = set(batch.labels[batch.labels != NO_LABEL].tolist())
        allowed = set(range(len(schema.labels)))
        require(seen <= allowed, f"{where}: labels {sorted(seen - allowed)}; classes are 0 to {len(allowed) - 1}")
        complete = seen == allowed or len(batch.labels[batch.labels != NO_LABEL]) < _EXPECTED * len(allowed)
        require(complete, f"{where}: classes {sorted(allowed - seen)} do not occur in {count:,} rows")
    if schema.target == "number":
        require(np.isfinite(batch.labels).all(), f"{where}: labels must be finite")


def _check_targets(where: str, batch: Batch, schema: TaskSchema) -> None:
    """Check the ids of targets that are sequences."""
    labels = batch.labels
    fits = labels.ndim == 2 and len(labels) == len(batch) and labels.shape[1] <= schema.max_target
    require(
        fits and labels.dtype == np.int64,
        f"{where}: labels {labels.dtype} {labels.shape} instead of int64 ({len(batch)}, up to {schema.max_target})",
    )
    real = labels != NO_LABEL
    ends = np.arange(labels.shape[1]) < real.sum(axis=1, keepdims=True)
    require(bool((real == ends).all()), f"{where}: labels must be {NO_LABEL} after the end of a target only")
    require(bool(real.any(axis=1).all()), f"{where}: a target is empty; need at least one symbol")
    seen = labels[real]
    require(
        bool((seen >= 1).all() and (seen < schema.end_id).all()),
        f"{where}: labels {seen.min()} to {seen.max()}; the ids of the vocabulary are 1 to {schema.end_id - 1}",
    )


def solution(ref: TaskRef) -> None:
    """Check that `generate` and `solve` agree."""
    for split in SPLITS:
        _check_solution(Split(ref, split))


def _check_solution(rows: Split) -> None:
    if not rows.task.has_exact_targets(rows.config, rows.name):
        return  # inputs or targets are noisy
    examples = rows.examples(_first(rows)[:_SOLVED_ROWS])
    solved = rows.task.solve_batch([example.inputs for example in examples], rows.config)
    for number, (example, answer) in enumerate(zip(examples, solved, strict=True)):
        agrees = abs(example.target - answer) <= 1e-6 if rows.schema.target == "number" else example.target == answer
        where = f"{rows.ref} {rows.name} row {number}"
        require(agrees, f"{where}: generate has target {example.target!r}, solve has {answer!r}")


def distributions(ref: TaskRef) -> None:
    """Check that test distributions have the schema of their config and rows of their own, which `solve` solves."""
    digests = {_digest(Split(ref, "test")): str(ref)}
    for each in ref.test_distributions.values():
        rows = Split(each, "test")
        require(each.schema == ref.schema, f"{each}: its schema differs from that of {ref}")
        _check_solution(rows)
        other = digests.setdefault(_digest(rows), str(each))
        require(other == str(each), f"{each} has the same rows as {other}")


def determinism(ref: TaskRef) -> None:
    """Check that rows depend only on task, config, split and seed."""
    before = np.random.get_state()  # noqa: NPY002  the global state must not change
    rows = Split(ref)
    generated = rows.size is None
    seeds = (5, -6) if generated else (0,)
    seen: dict[str, tuple[str, int]] = {}
    for split in SPLITS:
        for seed in seeds:
            digest = _digest(Split(ref, split, seed))
            if seed == seeds[0]:
                require(
                    digest == _digest(Split(ref, split, seed)),
                    f"{ref} {split} seed {seed}: rows differ when generated twice",
                )
            other = seen.setdefault(digest, (split, seed))
            same = other == (split, seed) or (not generated and rows.task.splits_overlap(rows.config))
            require(same, f"{ref}: {split} seed {seed} has the same rows as {other[0]} seed {other[1]}")
    after = np.random.get_state()  # noqa: NPY002
    unchanged = all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
    require(unchanged, f"{ref}: generating rows changes NumPy's global random state")


def random_access(ref: TaskRef) -> None:
    """Check that blocks, ranges and single examples are parts of the same sequence."""
    for split in SPLITS:
        rows = Split(ref, split)
        end = 3 * BLOCK_SIZE if rows.size is None else rows.size
        whole = [row for batch in rows.batches(0, end) for row in _contents(batch)]
        start, stop = end // 3 + 1 if end > 3 else 0, end - end // 4
        part = [row for batch in rows.batches(start, stop) for row in _contents(batch)]
        require(part == whole[start:stop], f"{ref} {split}: examples {start} to {stop} differ from the whole split")
        for number in range(-(-end // BLOCK_SIZE)):
            block = _contents(rows.blocks(number, 1))
            expected = whole[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]
            require(block == expected, f"{ref} {split}: block {number} differs from the whole split")
        (batch,) = rows.batches(stop - 1, stop)
        example, again = rows[stop - 1], rows.examples(batch)[0]
        same = np.array_equal(np.asarray(example.inputs), np.asarray(again.inputs)) and example.target == again.target
        require(same, f"{ref} {split}: example {stop - 1} differs from the whole split")
    if Split(ref).size is None:
        far = Split(ref)[10**9]
        require(far.inputs is not None, f"{ref}: example {10**9:,} cannot be generated")


def chance_level(ref: TaskRef) -> None:
    """Check `chance` and `constant_baseline`, the metrics of constant predictions."""
    rows = Split(ref, "test")
    schema, chance = rows.schema, rows.task.chance(rows.config)
    require(
        (chance is None) == (not schema.labels), f"{ref}: chance={chance}: must be a number with classes, else None"
    )
    if chance is not None and rows.size is None:
        labels = _first(rows, 8 * BLOCK_SIZE).labels
        counts = np.bincount(labels[labels != NO_LABEL], minlength=len(schema.labels))
        share = counts.max() / counts.sum()
        bound = 6 * (chance * (1 - chance) / counts.sum() * len(schema.labels)) ** 0.5
        require(
            abs(share - chance) <= bound,
            f"{ref}: chance={chance:.4f}, but the most frequent class has a share of {share:.4f} of {counts.sum():,}",
        )
    constant = rows.task.constant_baseline(rows.config)
    require(
        (constant is not None) == (schema.target == "number"),
        f"{ref}: constant_baseline={constant}: must be given if and only if the target is number",
    )
    if constant is not None:
        targets = _first(rows, 8 * BLOCK_SIZE).labels.astype(np.float64)
        squared = np.square(targets - constant.value)
        bound = 6 / len(targets) ** 0.5
        require(
            abs(targets.mean() - constant.value) <= bound * targets.std()
            and abs(squared.mean() - constant.squared_error) <= bound * squared.std() + 1e-6,
            f"{ref}: constant_baseline has value {constant.value:.4g} and squared error {constant.squared_error:.4g}; "
            f"test rows have {targets.mean():.4g} and {squared.mean():.4g}",
        )


def disjoint_splits(ref: TaskRef) -> None:
    """Check that splits have no sequence in common unless `splits_overlap` is true."""
    seen = {split: {values for values, _ in _contents(_first(Split(ref, split)))} for split in SPLITS}
    shared = [f"{one} and {two}" for one, two in _PAIRS if seen[one] & seen[two]]
    overlap = ref.definition.splits_overlap(ref.config)
    require(not shared or overlap, f"{ref}: {', '.join(shared)} have sequences in common; list them in finite_domain")
    require(shared or not overlap, f"{ref}: splits_overlap is true, but splits have no sequence in common")


def vocabulary(ref: TaskRef) -> None:
    """Check that decoding inverts encoding."""
    rows = Split(ref)
    if rows.schema.vocabulary is None:
        return
    texts = [example.inputs for example in rows.examples(_first(rows)[:_SOLVED_ROWS])]
    ids = rows.schema.vocabulary.encode_batch(texts)
    require(
        rows.schema.vocabulary.decode_batch(ids) == texts,
        f"{ref}: decode_batch(encode_batch(texts)) differs from texts",
    )


def loading(ref: TaskRef) -> None:
    """Check that the builder of `datasets` and the loaders return the rows of the task."""
    from seqhub._logging import quiet_datasets
    from seqhub.data.arrow import rows_table
    from seqhub.data.builder import get_builder
    from seqhub.data.digest import digest
    from seqhub.data.loader import loader_of

    rows = Split(ref, "test")
    size = 64 if rows.size is None else rows.size
    expected = rows_table(rows, 0, size)
    with tempfile.TemporaryDirectory() as cache, quiet_datasets():
        sizes: dict[str, Any] = dict.fromkeys(("train_size", "validation_size", "test_size"), 64)
        builder = get_builder(ref, cache_dir=cache, **(sizes if rows.size is None else {}))
        builder.download_and_prepare()
        found = builder.as_dataset(split="test")
        require(digest(found) == digest(expected), f"{ref}: load_dataset returns different rows")
    batch = next(iter(loader_of(rows, min(32, size))))
    inputs = "input_values" if rows.schema.vocabulary is None else "input_ids"
    decoder = {"decoder_input_ids"} if rows.schema.target == "sequence" else set()
    expected_keys = {inputs, "attention_mask", "labels", *decoder}
    require(expected_keys == batch.keys(), f"{ref}: batches have the columns {sorted(batch)}")


def training(ref: TaskRef) -> None:
    """Check that a small model trains, is evaluated and verified, and gets a card."""
    from seqhub.cards.write import write_card
    from seqhub.evaluation.evaluate import evaluate
    from seqhub.training.config import TrainConfig
    from seqhub.training.recipes import recipe
    from seqhub.training.train import train
    from seqhub.verification.verify import verify

    settings = {"data": "stream"} if Split(ref).size is None else {"data": "splits"}
    small: dict[str, Any] = {"max_sequences": 32, "evaluate_every": 32, "evaluate_size": 32, "stop_at": "none"}
    small |= {"hidden_size": 4, "batch_size": 8, "model": recipe(ref)["model"], "cpu": True}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(TrainConfig(task=ref, output_dir=run, **(settings | small)))
        evaluate(run, num_examples=32, sibling_examples=0)
        verify(run)
        require(write_card(run)[0].is_file(), f"{ref}: no card")


def _first(rows: Split, count: int = _ROWS) -> Batch:
    return rows.blocks(0, -(-count // BLOCK_SIZE))[:count]


def _contents(batch: Batch) -> list[tuple[bytes, object]]:
    per_step = batch.labels.ndim == 2
    return [
        (_bytes(values[:length]), _trimmed(label) if per_step else label.item())
        for values, length, label in zip(batch.inputs, batch.lengths, batch.labels, strict=True)
    ]


def _trimmed(labels: NDArray[np.int64]) -> list[int]:
    """Return the labels of one row up to the last one that counts."""
    real = np.flatnonzero(labels != NO_LABEL)
    trimmed: list[int] = labels[: real[-1] + 1 if len(real) else 0].tolist()
    return trimmed


def _bytes(values: NDArray[Any]) -> bytes:
    return values.tobytes()


def _digest(rows: Split) -> str:
    return hashlib.sha256(repr(_contents(_first(rows, 64))).encode()).hexdigest()


CHECKS: dict[str, Callable[[TaskRef], None]] = {
    "definition": definition,
    "form": form,
    "solution": solution,
    "distributions": distributions,
    "determinism": determinism,
    "addressing": random_access,
    "chance": chance_level,
    "splits": disjoint_splits,
    "vocabulary": vocabulary,
    "loading": loading,
    "training": training,
}
