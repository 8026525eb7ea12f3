"""Builder for `datasets`: rows, features, shards and cache entries."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from datasets import ClassLabel, DatasetDict, Features, IterableDataset, List, Value
from hypothesis import given
from hypothesis import strategies as st

from seqhub.data import fingerprint as fingerprints
from seqhub.data.arrow import rows_table, schema_of
from seqhub.data.builder import _shards, features_of, get_builder, load_dataset
from seqhub.data.digest import digest
from seqhub.data.fingerprint import fingerprint
from seqhub.data.split_sizes import SIZES
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import SPLITS, Split
from seqhub.tasks.vocabulary import Vocabulary
from tests.helpers.example_configs import OF_EACH_TASK
from tests.helpers.task_cases import rows_for, seed_for

CASES = [(name, config.name) for name in list_tasks() for config in get_task(name).configs]
SMALL = {"train_size": 3000, "validation_size": 1024, "test_size": 1}


def sizes_for(task_id: str) -> dict[str, int]:
    """Return small sizes, limited to the fixed rows of a config."""
    return {f"{split}_size": rows_for(task_id, split, SMALL[f"{split}_size"]) for split in SPLITS}


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


@pytest.mark.fast_cases(
    "qrsu-*", "adding-hs97-t100", "ramps-*", "chirps-onset", "documents-width64", "row_images-*", "embedded_reber-*"
)
@pytest.mark.parametrize(("task", "config"), CASES)
def test_rows_are_those_of_the_split(task, config, cache):
    task_id = f"{task}/{config}"
    seed, sizes = seed_for(task_id, 3), sizes_for(task_id)
    rows = load_dataset(task, config, seed=seed, cache_dir=cache, **sizes)
    assert isinstance(rows, DatasetDict)
    assert list(rows) == list(SPLITS)
    for split in SPLITS:
        assert tuple(rows[split].features) == Split(task_id).schema.columns
        assert digest(rows[split]) == digest(rows_table(Split(task_id, split, seed), 0, sizes[f"{split}_size"]))


def test_features_follow_the_schema():
    letters, labels = Vocabulary("ab"), ("no", "yes")
    text, names, step = Value("string"), ClassLabel(names=["no", "yes"]), List(Value("float32"), length=4)
    for schema, features in (
        (TaskSchema(vocabulary=letters, labels=labels), {"text": text, "label": names}),
        (TaskSchema(vocabulary=letters, labels=labels, target="step_class"), {"text": text, "labels": List(names)}),
        (TaskSchema(vocabulary=letters, target="next_symbol"), {"text": text}),
        (TaskSchema(vocabulary=letters, target="number", tolerance=1), {"text": text, "label": Value("float32")}),
        (TaskSchema(step_shape=(2, 2), labels=labels), {"input_values": List(step), "label": names}),
        (TaskSchema(step_shape=(4,), target="inputs", tolerance=1), {"input_values": List(step)}),
    ):
        assert features_of(schema) == Features(features)
        assert tuple(schema_of(schema).names) == schema.columns
        assert schema_of(schema).types == features_of(schema).arrow_schema.types


def test_published_sizes(cache):
    rows = load_dataset("qrsu", "easy", cache_dir=cache)
    assert {split: len(part) for split, part in rows.items()} == SIZES
    assert SIZES == {"train": 100_000, "validation": 10_000, "test": 10_000}


def test_record_batches_hold_8192_rows(cache):
    rows = load_dataset("qrsu", "easy", split="train", train_size=300_000, cache_dir=cache)
    lengths = [len(chunk) for chunk in rows.data.column("text").chunks]
    assert max(lengths) == 8192
    assert sum(lengths) / len(lengths) > 5000


@pytest.mark.parametrize("task_id", OF_EACH_TASK)
def test_a_stream_has_the_rows_of_the_table(task_id, cache):
    task, _, config = task_id.partition("/")
    sizes = sizes_for(task_id)
    table = load_dataset(task, config, split="train", cache_dir=cache, **sizes)
    stream = load_dataset(task, config, split="train", streaming=True, cache_dir=cache, **sizes)
    assert isinstance(stream, IterableDataset)
    assert stream.num_shards == len(_shards(sizes["train_size"]))
    assert next(stream.with_format("arrow").iter(len(table))) == table.with_format("arrow")[:]
    assert list(stream.take(5)) == table.select(range(min(5, len(table)))).to_list()
    assert not list(Path(cache).rglob("*.arrow.incomplete"))


@given(rows=st.integers(1, 5_000_000))
def test_shards_are_whole_blocks_and_cover_the_rows(rows):
    shards = _shards(rows)
    assert shards[0][0] == 0
    assert shards[-1][1] == rows
    assert all(one[1] == two[0] for one, two in pairwise(shards))
    assert all(start < stop and start % 1024 == 0 for start, stop in shards)
    assert len(shards) in (1, 2, 4, 8, 16)
    assert max(stop - start for start, stop in shards) <= 1024 + max(
        1024, 2 * min(stop - start for start, stop in shards[:-1] or shards)
    )


def test_each_choice_has_a_separate_cache_entry_and_defaults_share_one(cache):
    def folder(**arguments) -> str:
        return Path(get_builder("qrsu", "easy", cache_dir=cache, **arguments).cache_dir).parts[-3]

    assert folder() == folder(seed=0) == folder(train_size=SIZES["train"]) == "easy"
    assert folder(seed=7) == "easy-seed=7"
    assert folder(seed=7, test_size=5) == "easy-seed=7,test_size=5"
    assert len({folder(seed=seed, train_size=size) for seed in (0, 1, -1, 2**70) for size in (1, 10, 100)}) == 12


def test_cache_entry_depends_on_the_sources_of_the_rows(monkeypatch, cache):
    task = get_task("qrsu")
    before = fingerprint(task)
    parts = Path(get_builder("qrsu", "easy", cache_dir=cache).cache_dir).parts
    assert parts[-4:] == ("qrsu", "easy", f"{task.version}.0.0", before)
    seen = []
    source = fingerprints._source
    monkeypatch.setattr(fingerprints, "_source", lambda module: seen.append(module) or source(module))
    assert fingerprint.__wrapped__(task) == before
    assert {"seqhub.tasks.qrsu", "seqhub.tasks.rng", "seqhub.tasks.splits", "seqhub.data.builder"} < set(seen)
    for module in seen[:]:
        monkeypatch.setattr(fingerprints, "_source", lambda name, module=module: "" if name == module else source(name))
        assert fingerprint.__wrapped__(task) != before


def test_info_describes_the_task(cache):
    info = get_builder("qrsu", "hard", cache_dir=cache).info
    assert info.citation == get_task("qrsu").source
    assert get_task("qrsu").description in info.description
    assert json.dumps(str(info.version)) == '"1.0.0"'


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("qrs", "hard"), UnknownNameError, "no task 'qrs'; known: .*qrsu"),
        (
            ("qrsu", "tough"),
            UnknownNameError,
            "no config of qrsu 'tough'; known: easy, normal, moderate, hard, nightmare",
        ),
        (
            ("qrsu",),
            UnknownNameError,
            "no config given for qrsu; known: easy, normal, moderate, hard, nightmare, hs97",
        ),
    ],
)
def test_unknown_names_list_the_known_ones(arguments, error, message, cache):
    with pytest.raises(error, match=message):
        load_dataset(*arguments, cache_dir=cache)
    assert not Path(cache).exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"train_size": 0},
            InvalidInputError,
            r"train_size=0: must be an integer of at least 1 \((qrsu/)?easy\)",
        ),
        ({"test_size": -3}, InvalidInputError, "test_size=-3"),
        ({"validation_size": 2.5}, InvalidInputError, "validation_size=2.5"),
        ({"validation_size": "10"}, InvalidInputError, "validation_size='10'"),
        ({"train_size": True}, InvalidInputError, "train_size=True"),
        ({"seed": 1.0}, InvalidInputError, r"seed=1.0: must be an integer \(easy\)"),
        ({"seed": "7"}, InvalidInputError, "seed='7'"),
        ({"seed": True}, InvalidInputError, "seed=True"),
        ({"seed": None}, InvalidInputError, "seed=None"),
        ({"streaming": True, "num_proc": 2}, InvalidConfigError, "num_proc=2: must be None with streaming"),
    ],
)
def test_invalid_arguments_raise_one_line_errors(arguments, error, message, cache):
    with pytest.raises(error, match=message) as caught:
        load_dataset("qrsu", "easy", cache_dir=cache, **arguments)
    assert "\n" not in str(caught.value)
    assert not Path(cache).exists()


def test_task_id_has_task_and_config(cache):
    builder = get_builder("qrsu/hard", cache_dir=cache)
    assert builder.cache_dir == get_builder("qrsu", "hard", cache_dir=cache).cache_dir
    with pytest.raises(UnknownNameError, match="no config of qrsu 'tough'; known: easy"):
        get_builder("qrsu/tough", cache_dir=cache)
    with pytest.raises(UnknownNameError, match="no task 'qrsu/hard'"):
        get_builder("qrsu/hard", "hard", cache_dir=cache)


def test_an_unknown_split_lists_the_known_ones(cache):
    with pytest.raises(ValueError, match="train"):
        load_dataset("qrsu", "easy", split="dev", cache_dir=cache, **SMALL)
