"""Dataset folders: atomic writes, reproducible bytes, and reading with `datasets`."""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqhub.data.arrow import rows_table
from seqhub.data.builder import load_dataset
from seqhub.data.digest import digest
from seqhub.data.parquet import data_files, load_folder, write_folder
from seqhub.data.split_sizes import SIZES, published_sizes
from seqhub.errors import CorruptFileError, InvalidInputError, OutputExistsError, SaveError, UnknownNameError
from seqhub.records import DatasetRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import SPLITS, Split
from tests.helpers.task_cases import rows_for

SMALL = {"train_size": 1500, "validation_size": 100, "test_size": 30}
EASY = {"configs": ["easy"], **SMALL}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "qrsu"


@pytest.mark.fast_cases("qrsu", "row_images")
@pytest.mark.parametrize("task", list_tasks())
def test_every_config_is_written_and_described(task, folder):
    configs = [config.name for config in get_task(task).configs]
    fixed = any(Split(f"{task}/{config}").size is not None for config in configs)
    seed = 0 if fixed else 5
    sizes = {} if fixed else SMALL  # sizes may exceed the fixed rows of a config
    record = write_folder(task, folder, seed=seed, **sizes)
    assert record == DatasetRecord.load(folder)
    assert list(record.configs) == configs
    files = {f"{config}/{split}-00000-of-00001.parquet" for config in configs for split in SPLITS}
    assert set(contents(folder)) == files | {"dataset.json"}
    for config in configs:
        entry = record.configs[config]
        task_id = f"{task}/{config}"
        schema = Split(task_id).schema
        for split in SPLITS:
            size = sizes.get(f"{split}_size", published_sizes(task_id)[split])
            rows = Split(task_id, split, seed)
            table = rows_table(rows, 0, size)
            info, path = entry["splits"][split], folder / config / f"{split}-00000-of-00001.parquet"
            assert load_folder(folder, f"{task}/{config}", split).equals(table)
            batches = list(rows.batches(0, size))
            targets = [example.target for batch in batches for example in rows.examples(batch)]
            flat = targets if schema.target != "step_class" else [name for row in targets for name in row]
            labels = Counter(flat)
            numbers = np.array(targets if schema.target == "number" else [0.0], np.float32)
            assert info == {
                "rows": size,
                "digest": digest(table),
                "bytes": path.stat().st_size,
                "labels": {label: labels[label] for label in schema.labels},
                "mean_length": pytest.approx(sum(int(batch.lengths.sum()) for batch in batches) / size),
            } | (
                {"numbers": pytest.approx([numbers.min(), numbers.mean(), numbers.max()])}
                if schema.target == "number" else {}
            ) | (
                {"characters": sum(len(text.encode()) for text in table["text"].to_pylist())}
                if schema.vocabulary is not None and schema.vocabulary.separator else {}
            )  # fmt: skip
        shown = [Split(task_id, "train", seed)[i] for i in range(min(5, rows_for(task_id, "train", 5)))]
        assert len(entry["examples"]) == len(shown)
        if schema.vocabulary is not None and schema.target == "class":
            assert entry["examples"] == [list(row) for row in shown]


def test_overlap_counts_distinct_texts(folder):
    record = write_folder("qrsu", folder, configs=["easy", "hard"], **SMALL)
    assert record.configs["easy"]["overlap"] == {"train/validation": 0, "train/test": 0, "validation/test": 0}
    texts = {"a": ["x", "x", "y"], "b": ["x", "z", "x"], "c": ["y", "x"]}
    from seqhub.data.parquet import _distinct, _overlap

    shared = _overlap({name: _distinct(pa.chunked_array([column])) for name, column in texts.items()})
    assert shared == {"a/b": 1, "a/c": 2, "b/c": 1}


def test_datasets_reads_the_folder_with_the_rows_of_the_builder(folder, tmp_path):
    write_folder("qrsu", folder, configs=["hard", "easy"], **SMALL)
    lines = ["---", "configs:"]
    for config in ("hard", "easy"):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, pattern in data_files(config).items():
            lines += [f"  - split: {split}", f"    path: {pattern}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    for config in ("hard", "easy"):
        built = load_dataset("qrsu", config, cache_dir=str(tmp_path / "cache"), **SMALL)
        read = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path / "cache"))
        assert list(read) == list(built)
        for split in built:
            assert read[split].features == built[split].features
            assert digest(read[split]) == digest(built[split])
    assert datasets.get_dataset_config_names(str(folder)) == ["hard", "easy"]


def test_equal_arguments_give_equal_bytes(tmp_path):
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for folder, seed in ((one, 0), (two, 0), (other, 1)):
        write_folder("qrsu", folder, configs=["normal"], seed=seed, train_size=70_000, validation_size=9, test_size=9)
    first, second, third = map(contents, (one, two, other))
    del first["dataset.json"], second["dataset.json"]  # it has the duration
    assert first == second
    assert all(first[name] != third[name] for name in first)


def test_format_of_parquet_files(folder):
    write_folder("qrsu", folder, configs=["easy"], train_size=70_000)
    file = pq.ParquetFile(folder / "easy" / "train-00000-of-00001.parquet")
    assert file.metadata.num_rows == 70_000
    assert file.metadata.num_row_groups == 2
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.schema_arrow.names == ["text", "label"]
    assert file.schema_arrow.types == [pa.string(), pa.int64()]


def test_published_sizes_are_the_default(folder):
    record = write_folder("qrsu", folder, configs=["easy"])
    assert {split: info["rows"] for split, info in record.configs["easy"]["splits"].items()} == SIZES


def test_progress_counts_rows(folder):
    seen = []
    write_folder("qrsu", folder, configs=["easy", "normal"], progress=lambda *numbers: seen.append(numbers), **SMALL)
    assert seen == [(1500, 3260), (1600, 3260), (1630, 3260), (3130, 3260), (3230, 3260), (3260, 3260)]


def test_dataset_is_replaced_only_with_overwrite(folder):
    write_folder("qrsu", folder, configs=["easy", "normal"], **SMALL)
    (folder / "README.md").write_text("a card")
    before = contents(folder)
    with pytest.raises(OutputExistsError, match="has a dataset of qrsu; overwrite it, or choose another folder"):
        write_folder("qrsu", folder, **EASY)
    assert contents(folder) == before
    write_folder("qrsu", folder, overwrite=True, configs=["hard"], **SMALL)
    assert {name.partition("/")[0] for name in contents(folder)} == {"hard", "dataset.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["qrsu"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", ["notes.txt", "easy/train-00000-of-00001.parquet", ".git/config", "run.json"])
def test_folder_with_other_content_does_not_change(content, overwrite, folder):
    (folder / content).parent.mkdir(parents=True, exist_ok=True)
    (folder / content).write_text("mine")
    with pytest.raises(OutputExistsError, match="has files that are not part of a dataset; choose another folder"):
        write_folder("qrsu", folder, overwrite=overwrite, **EASY)
    assert contents(folder) == {content: b"mine"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_dataset_with_additional_files_does_not_change(overwrite, folder):
    write_folder("qrsu", folder, **EASY)
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    with pytest.raises(OutputExistsError, match=r"has notes\.txt, which a build of qrsu does not replace"):
        write_folder("qrsu", folder, overwrite=overwrite, **EASY)
    assert contents(folder) == before


def test_dataset_of_another_task_does_not_change(folder):
    record = write_folder("qrsu", folder, **EASY)
    record.task = "other"
    record.save(folder)
    with pytest.raises(OutputExistsError, match="has the dataset other, which a build of qrsu does not replace"):
        write_folder("qrsu", folder, overwrite=True, **EASY)


def test_file_with_the_name_of_the_folder_does_not_change(folder):
    folder.parent.mkdir()
    folder.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_folder("qrsu", folder, overwrite=True, **EASY)
    assert folder.read_text() == "mine"


def test_an_empty_folder_is_filled_in_place(folder):
    folder.mkdir(parents=True)
    number = folder.stat().st_ino  # it may be a mount point, or the current directory of a process
    write_folder("qrsu", folder, **EASY)
    assert folder.stat().st_ino == number
    assert set(contents(folder)) == {f"easy/{split}-00000-of-00001.parquet" for split in SPLITS} | {"dataset.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["qrsu"]


@pytest.mark.parametrize("state", ["absent", "empty", "finished"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing(state, error, folder):
    if state == "empty":
        folder.mkdir(parents=True)
    if state == "finished":
        write_folder("qrsu", folder, **EASY)
    before = contents(folder)

    def stop(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        write_folder("qrsu", folder, overwrite=True, progress=stop, **EASY)
    assert contents(folder) == before
    assert list(folder.parent.iterdir()) == ([] if state == "absent" else [folder])


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("state", ["absent", "empty", "finished"])
def test_killed_build_leaves_no_dataset_and_the_next_one_deletes_its_files(state, folder):
    if state == "empty":
        folder.mkdir(parents=True)
    if state == "finished":
        write_folder("qrsu", folder, **EASY)
    code = """
    import os, signal, sys
    from pathlib import Path
    from seqhub.data.parquet import write_folder
    kill = lambda done, total: done > 3000 and os.kill(os.getpid(), signal.SIGKILL)
    write_folder("qrsu", Path(sys.argv[1]), configs=["easy", "normal"], train_size=2000, overwrite=True, progress=kill)
    """
    before = contents(folder) if state == "finished" else {}
    assert child(code, folder).returncode == -signal.SIGKILL
    assert (folder / "dataset.json").exists() == (state == "finished")
    assert {name: data for name, data in contents(folder).items() if ".part-" not in name} == before
    write_folder("qrsu", folder, overwrite=True, **EASY)
    assert list(folder.parent.iterdir()) == [folder]
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "easy"]


@pytest.mark.parametrize("state", ["absent", "finished"])
def test_full_disk_raises_a_one_line_error_and_changes_nothing(state, folder):
    if state == "finished":
        write_folder("qrsu", folder, **EASY)
    before = contents(folder)
    code = """
    import resource, sys
    from pathlib import Path
    from seqhub.data.parquet import write_folder
    from seqhub.errors import SaveError
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write_folder("qrsu", Path(sys.argv[1]), configs=["hard"], overwrite=True)
    except SaveError as error:
        print(error)
    """
    done = child(code, folder)
    assert done.stdout == f"cannot write {folder}: File too large\n", done.stderr
    assert contents(folder) == before
    assert list(folder.parent.iterdir()) == ([] if state == "absent" else [folder])


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_read_only_folder_raises_an_error(folder):
    folder.parent.mkdir()
    folder.parent.chmod(0o500)
    with pytest.raises(SaveError, match="Permission denied"):
        write_folder("qrsu", folder, **EASY)


def test_file_as_parent_folder_raises_an_error(folder):
    folder.parent.write_text("mine")
    with pytest.raises(SaveError, match=r"cannot write .*qrsu: ."):
        write_folder("qrsu", folder, **EASY)


def test_concurrent_builds_do_not_overwrite_each_other(folder):
    def another(done: int, total: int) -> None:
        if done == total:
            write_folder("qrsu", folder, configs=["normal"], **SMALL)

    with pytest.raises(OutputExistsError, match="has a dataset of qrsu"):
        write_folder("qrsu", folder, progress=another, **EASY)
    assert list(DatasetRecord.load(folder).configs) == ["normal"]
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"configs": ["tough"]}, UnknownNameError, "no config of qrsu 'tough'; known: easy"),
        ({"configs": []}, InvalidInputError, "configs none of qrsu: must be one or more"),
        (
            {"configs": ["easy", "easy"]},
            InvalidInputError,
            "configs easy, easy of qrsu: must be one or more, without duplicates",
        ),
        ({"train_size": 0}, InvalidInputError, "train_size=0: must be .*qrsu"),
        ({"test_size": 1.5}, InvalidInputError, "test_size=1.5: must be .*qrsu"),
        ({"seed": "x"}, InvalidInputError, "seed='x'"),
    ],
)
def test_invalid_arguments_are_errors_before_a_folder_is_created(arguments, error, message, folder):
    with pytest.raises(error, match=message):
        write_folder("qrsu", folder, **(SMALL | arguments))
    assert not folder.parent.exists()


def test_an_unknown_task_lists_the_known_ones(folder):
    with pytest.raises(UnknownNameError, match=r"no task 'qrs'; known: .*qrsu"):
        write_folder("qrs", folder)


def test_reading_a_folder_back(folder):
    with pytest.raises(FileNotFoundError, match=r"no dataset\.json"):
        load_folder(folder, "qrsu/easy", "train")
    write_folder("qrsu", folder, **EASY)
    with pytest.raises(UnknownNameError, match="'hard'; known: easy"):
        load_folder(folder, "qrsu/hard", "train")
    with pytest.raises(UnknownNameError, match="'dev'; known: train, validation, test"):
        load_folder(folder, "qrsu/easy", "dev")
    with pytest.raises(InvalidInputError, match="has the dataset qrsu, not adding"):
        load_folder(folder, "adding/easy", "train")


def test_damaged_files_are_errors(folder):
    write_folder("qrsu", folder, **EASY)
    train, test = (folder / "easy" / f"{split}-00000-of-00001.parquet" for split in ("train", "test"))
    whole = train.read_bytes()
    train.write_bytes(test.read_bytes())
    with pytest.raises(CorruptFileError, match=r"has other rows than dataset\.json"):
        load_folder(folder, "qrsu/easy", "train")
    for damaged in (whole[: len(whole) // 2], b"", whole[:200] + bytes(100) + whole[300:]):
        train.write_bytes(damaged)
        with pytest.raises(CorruptFileError) as caught:
            load_folder(folder, "qrsu/easy", "train")
        assert "\n" not in str(caught.value)
    train.unlink()
    with pytest.raises(CorruptFileError, match="cannot be read"):
        load_folder(folder, "qrsu/easy", "train")
