"""Discovery of configs, splits and files, compared with `datasets` on the same folders."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from datasets.data_files import DataFilesDict, get_data_patterns, resolve_pattern, sanitize_patterns
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server.viewer.discovery import SUFFIXES, discover, resolve
from seqhub.server.viewer.errors import ViewerError

EXTENSIONS = [*SUFFIXES, *(f"{suffix}.gz" for suffix in SUFFIXES if suffix != ".parquet")]
FOLDERS = ["", "data", "train", "test", "easy", "easy/test", "my-dev", "val_1", ".hidden", "__cache__", "eval"]
STEMS = ["train", "test", "a", "train-00000-of-00001", "hard-00001-of-00002-x", "my_train-1", "validation", "devil",
         "dev.1", "README", "training set", "x-test.y", ".secret", "trainer", "eval"]  # fmt: skip
PATTERNS = ["**", "*", "*.csv", "data/*", "data/**", "**/train*", "easy/*.csv", "*/test[-._ 0-9]*", "**/*[-]1*",
            "train/**", ".hidden/*", "__cache__/*", "**/.secret.csv", "d?ta/*", "data/[!t]*",
            "**/test/**", "nothing/*", "easy/**/*.csv", "*/*"]  # fmt: skip

paths_of_folders = st.lists(
    st.builds(
        lambda folder, stem: f"{folder}/{stem}.csv".lstrip("/"), st.sampled_from(FOLDERS), st.sampled_from(STEMS)
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


def touch(root: str, paths: list[str]) -> None:
    for path in paths:
        file = Path(root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def relative(root: str, files: list[str]) -> list[str]:
    return [str(Path(file).relative_to(root)) for file in files]


@settings(max_examples=25, deadline=None)
@given(paths_of_folders)
def test_files_are_assigned_as_by_datasets(paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        touch(root, paths)
        try:
            found = DataFilesDict.from_patterns(get_data_patterns(root), allowed_extensions=EXTENSIONS, base_path=root)
            expected = {split: relative(root, files) for split, files in found.items() if files}
        except FileNotFoundError:
            expected = {}
    if not expected:
        with pytest.raises(ViewerError, match="no data files"):
            discover(paths, {})
        return
    (config,) = discover(paths, {})
    assert config.name == "default"
    assert {split: set(files) for split, files in config.splits.items()} == {s: set(f) for s, f in expected.items()}
    assert list(config.splits) == list(expected)


@settings(max_examples=25, deadline=None)
@given(paths_of_folders, st.sampled_from(PATTERNS))
def test_patterns_match_as_in_datasets(paths: list[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        touch(root, paths)
        try:
            expected = relative(root, resolve_pattern(pattern, root))
        except FileNotFoundError:
            expected = []
    assert resolve(pattern, paths) == sorted(expected)


@pytest.mark.parametrize(
    "data_files",
    ["a.csv", ["a.csv", "b.csv"], [{"split": "train", "path": "a.csv"}, {"split": "test", "path": ["b.csv", "c/*"]}]],
)
def test_configs_of_a_card(data_files: Any) -> None:
    paths = ["a.csv", "b.csv", "c/d.csv", "c/e.csv", "c/e.txt"]
    card = {"configs": [{"config_name": "one", "data_files": data_files, "sep": ";"}]}
    (config,) = discover(paths, card)
    expected = {
        split: [path for pattern in patterns for path in resolve(pattern, paths) if path.endswith(".csv")]
        for split, patterns in sanitize_patterns(data_files).items()
    }
    assert (config.name, config.splits, config.separator) == ("one", expected, ";")


def test_data_dir_and_the_most_frequent_format() -> None:
    paths = ["one/train.csv", "one/test.csv", "one/train.jsonl", "two/x.parquet", "train.csv"]
    card = {"configs": [{"config_name": "one", "data_dir": "one"}, {"config_name": "two", "data_dir": "./two/"}]}
    one, two = discover(paths, card)
    assert (one.format, one.splits) == ("csv", {"train": ["one/train.csv"], "test": ["one/test.csv"]})
    assert (two.format, two.splits) == ("parquet", {"train": ["two/x.parquet"]})


@pytest.mark.parametrize(
    ("configs", "text"),
    [
        ("one", "must be a list"),
        ([{"data_files": "a.csv"}], "config_name"),
        ([{"config_name": "a"}, {"config_name": "a"}], "'a' occurs more than once"),
        ([{"config_name": "a", "data_files": [{"split": "a-b", "path": "x"}]}], '"split" and a "path"'),
        ([{"config_name": "a", "data_files": [{"split": "a", "path": 1}]}], '"split" and a "path"'),
        ([{"config_name": "a", "data_files": [{"split": "a", "path": "x"}] * 2}], "'a' occurs more than once"),
        ([{"config_name": "a", "data_files": {"train": "x"}}], "a path or a list"),
        ([{"config_name": "a", "data_dir": 3}], "\"data_dir\" of config 'a'"),
        ([{"config_name": "a", "sep": "||"}], "one character"),
    ],
)
def test_cards_that_are_not_valid(configs: Any, text: str) -> None:
    with pytest.raises(ViewerError, match="The card of the dataset is not valid") as caught:
        discover(["a.csv"], {"configs": configs})
    assert text in caught.value.message
    assert caught.value.status == 422


@pytest.mark.timeout(10)
def test_patterns_with_exponential_backtracking() -> None:
    path = "/".join(["a" * 100] * 30) + "/b"
    for pattern in ("**/" * 200 + "c", "*a" * 50 + "c", "**/*a*a*a*a*a*a*a*a*c/**/x", "[[" * 50):
        assert resolve(pattern, [path]) == []
