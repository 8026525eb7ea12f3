"""Configs, splits and data files of a dataset repository, by the rules of the library `datasets`.

Source: `datasets.data_files` and `datasets.utils.metadata` of datasets 5. The card's `configs` come first; without
them, files are assigned to splits by their names or folders.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, Literal

from seqhub.server.viewer.errors import ViewerError

Format = Literal["parquet", "csv", "json"]

SUFFIXES: Final[Mapping[str, Format]] = {
    ".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json",
}  # fmt: skip
MAX_CONFIGS: Final = 1000
MAX_PATTERNS: Final = 1000  # in a card

_SEPARATORS = "-._ 0-9"
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_FOLDER_PATTERNS = ("**/{0}/**", "**/{0}[{1}]*/**", "**/*[{1}]{0}/**", "**/*[{1}]{0}[{1}]*/**")
_NAME_PATTERNS = ("**/{0}[{1}]*", "**/*[{1}]{0}[{1}]*")
_DIGITS = "[0-9]" * 5
_SHARDED = f"data/{{}}-{_DIGITS}-of-{_DIGITS}*.*"
_SHARD_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})[^/]*\.[^/]*")
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")
_IGNORED = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip",
            "dataset_dict.json"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Config of a dataset.

    Args:
        name: Name of the config.
        format: Format of its data files.
        splits: Name of a split -> paths of its files.
        separator: Separator of CSV columns; None to derive it from the file name.
        features: Features in the card, in the YAML form of `dataset_info`; [] if there are none.
    """

    name: str
    format: Format
    splits: dict[str, list[str]]
    separator: str | None
    features: list[Any]

    def to_json(self) -> str:
        """Return the config as JSON, for caches."""
        return json.dumps(asdict(self))


def format_of(path: str) -> Format | None:
    """Return the format of a data file by its name; None if it is not supported.

    >>> format_of("data/train.jsonl.gz"), format_of("a.txt")
    ('json', None)
    """
    name = path.lower().removesuffix(".gz")
    suffix = "." + name.rpartition(".")[2]
    found = SUFFIXES.get(suffix)
    return None if found == "parquet" and path.lower().endswith(".gz") else found


def discover(paths: Sequence[str], card: Mapping[str, Any]) -> list[Config]:
    """Return the configs of a repository.

    Args:
        paths: Paths of all files of a revision.
        card: Fields of the README.

    Raises:
        ViewerError: The card is not valid, or there are no data files in a supported format.
    """
    given = card.get("configs")
    if given:
        configs = [found for item in _config_items(given) if (found := _from_card(item, paths, card)) is not None]
    else:
        patterns = default_patterns(paths)
        found = _config("default", _resolve_all(patterns, paths), None, _features(card, "default"))
        configs = [] if found is None else [found]
    if not configs:
        formats = ", ".join(sorted(SUFFIXES))
        raise ViewerError(422, "EmptyDatasetError", f"The dataset has no data files of a supported format ({formats}).")
    return configs


def default_patterns(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return the patterns of each split, by the names of files and folders; {} without any file.

    >>> sorted(default_patterns(["data/dev.csv", "data/train.csv"]))
    ['train', 'validation']
    """
    shards = resolve(_SHARDED.format("*"), paths)
    if shards:
        names = {found[1] for path in shards if (found := _SHARD_NAME.fullmatch(path.rpartition("/")[2]))}
        if all(_SPLIT_NAME.fullmatch(name) for name in names):
            ordered = [name for name in _KEYWORDS if name in names] + sorted(names - set(_KEYWORDS))
            return {name: [_SHARDED.format(name)] for name in ordered}
    for templates in (_FOLDER_PATTERNS, _NAME_PATTERNS):
        by_split = {
            split: [template.format(word, _SEPARATORS) for word in words for template in templates]
            for split, words in _KEYWORDS.items()
        }
        found_splits = {
            split: patterns
            for split, patterns in by_split.items()
            if any(_matches_any(path, patterns) for path in paths)
        }
        if found_splits:
            return found_splits
    return {"train": ["**"]} if any(_matches(path, "**") for path in paths) else {}


def resolve(pattern: str, paths: Iterable[str]) -> list[str]:
    """Return the sorted paths that match a glob pattern. `*` does not match a slash; `**` matches any folders.

    Hidden files, and folders that begin with two underscores, match only patterns that name them.

    >>> resolve("data/*.csv", ["data/b.csv", "data/a.csv", "data/x/c.csv", "data/.d.csv"])
    ['data/a.csv', 'data/b.csv']
    """
    return sorted(path for path in paths if _matches(path, pattern))


def _config_items(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or len(given) > MAX_CONFIGS:
        raise _invalid_card(f'"configs" must be a list of at most {MAX_CONFIGS} items')
    names = []
    for item in given:
        if not isinstance(item, dict) or not isinstance(item.get("config_name"), str):
            raise _invalid_card('each item of "configs" must have a "config_name"')
        names.append(item["config_name"])
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise _invalid_card(f'the config name {repeated[0]!r} occurs more than once in "configs"')
    return given


def _from_card(item: dict[str, Any], paths: Sequence[str], card: Mapping[str, Any]) -> Config | None:
    """Return a config of the card; None if it has no files of a supported format."""
    name = item["config_name"]
    folder = _folder(item.get("data_dir"), name)
    inside = [path[len(folder) :] for path in paths if path.startswith(folder)]
    patterns = default_patterns(inside) if item.get("data_files") is None else _patterns(item["data_files"], name)
    resolved = {split: [folder + path for path in files] for split, files in _resolve_all(patterns, inside).items()}
    separator = item.get("sep", item.get("delimiter"))
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise _invalid_card(f'"sep" of config {name!r} must be one character')
    return _config(name, resolved, separator, _features(card, name))


def _folder(data_dir: Any, name: str) -> str:
    if data_dir is None:
        return ""
    if not isinstance(data_dir, str):
        raise _invalid_card(f'"data_dir" of config {name!r} must be a path')
    folder = data_dir.removeprefix("./").strip("/")
    return f"{folder}/" if folder not in ("", ".") else ""


def _patterns(given: Any, name: str) -> dict[str, list[str]]:
    """Return the patterns of each split from the field "data_files"."""
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, list) or len(items) > MAX_PATTERNS:
        raise _invalid_card(f'"data_files" of config {name!r} must be a path or a list of at most {MAX_PATTERNS} items')
    if all(isinstance(item, str) for item in items):
        return {"train": items}
    found: dict[str, list[str]] = {}
    for item in items:
        split = item.get("split") if isinstance(item, dict) else None
        path = item.get("path") if isinstance(item, dict) else None
        listed = [path] if isinstance(path, str) else path
        is_valid = isinstance(listed, list) and all(isinstance(part, str) for part in listed)
        if not isinstance(split, str) or not _SPLIT_NAME.fullmatch(split) or not is_valid:
            raise _invalid_card(f'each item of "data_files" of config {name!r} must have a "split" and a "path"')
        if split in found:
            raise _invalid_card(f"the split {split!r} occurs more than once in config {name!r}")
        assert isinstance(listed, list)
        found[split] = listed
    return found


def _resolve_all(patterns: Mapping[str, Sequence[str]], paths: Sequence[str]) -> dict[str, list[str]]:
    """Return the data files of each split, in the order of the patterns, without repetitions."""
    return {
        split: list(
            dict.fromkeys(path for pattern in given for path in resolve(_normalised(pattern), paths) if format_of(path))
        )
        for split, given in patterns.items()
    }


def _config(name: str, resolved: dict[str, list[str]], separator: str | None, features: list[Any]) -> Config | None:
    """Return a config with the files of its most frequent format; None without files."""
    counts = Counter(found for files in resolved.values() for path in files if (found := format_of(path)))
    if not counts:
        return None
    chosen = counts.most_common(1)[0][0]
    splits = {
        split: kept
        for split, files in resolved.items()
        if (kept := [path for path in files if format_of(path) == chosen])
    }
    return Config(name, chosen, splits, separator, features)


def _features(card: Mapping[str, Any], name: str) -> list[Any]:
    """Return the features of a config in the field "dataset_info"."""
    given = card.get("dataset_info")
    infos = given if isinstance(given, list) else [given]
    for info in infos:
        if isinstance(info, dict) and info.get("config_name", "default" if len(infos) > 1 else name) == name:
            features = info.get("features")
            return features if isinstance(features, list) else []
    return []


def _normalised(pattern: str) -> str:
    return pattern.removeprefix("./").lstrip("/")


def _invalid_card(problem: str) -> ViewerError:
    return ViewerError(422, "InvalidCardError", f"The card of the dataset is not valid: {problem}.")


def _matches_any(path: str, patterns: Iterable[str]) -> bool:
    return any(_matches(path, pattern) for pattern in patterns)


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path matches, without the files and folders that `datasets` ignores."""
    *folders, name = path.split("/")
    *pattern_folders, pattern_name = _parts(pattern)
    if name in _IGNORED - {pattern_name}:
        return False
    if _count(folders, "__") != _count(pattern_folders, "__"):
        return False
    hidden = _count([*folders, name], "."), _count([*pattern_folders, pattern_name], ".")
    return hidden[0] == hidden[1] and _match_parts([*folders, name], [*pattern_folders, pattern_name])


def _count(parts: Iterable[str], prefix: str) -> int:
    return sum(part.startswith(prefix) for part in parts)


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[str, ...]:
    """Return the components of a pattern; `**.csv` is `**` and `*.csv`."""
    found: list[str] = []
    for part in pattern.split("/"):
        if "**" in part and part != "**":
            found += ["**", re.sub(r"\*\*+", "*", part)]
        elif part:
            found.append(part)
    return tuple(found) or ("",)


def _match_parts(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Match component by component in time proportional to the product of both lengths."""
    reached = {0}  # numbers of components of the pattern that match the components so far
    for number, part in enumerate(pattern):
        if part == "**":
            start = min(reached)
            is_last = number == len(pattern) - 1
            reached = (
                {len(parts)} if is_last and start < len(parts) else set() if is_last else set(range(start, len(parts)))
            )
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], part)}
        if not reached:
            return False
    return len(parts) in reached
