"""Pushing a folder to a repository, in one commit."""

import glob
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from seqhub.errors import HubError, InvalidInputError
from seqhub.hub.client import PATIENCE, RepoType, check_repo_id, connect, hub_errors
from seqhub.hub.naming import renamed
from seqhub.pickles import contains_pickle, has_pickle_suffix

_MARKS: dict[RepoType, tuple[str, ...]] = {"model": ("run.json", "config.json"), "dataset": ("dataset.json",)}
_RECORDS: dict[RepoType, str] = {"model": "run.json", "dataset": "dataset.json"}
_CARD = "README.md"
_PUBLISHED = re.compile(r"""(?:["']|^- )(seqhub/[\w.-]+)""", flags=re.MULTILINE)  # in early cards
_SHOWN = (".eval_results", ".gitattributes")  # hidden files that belong to a repository
_LEFT_OUT = re.compile(r"checkpoint.*\.safetensors|__pycache__|.*\.pyc")


class PushedFile(NamedTuple):
    """One file of a push."""

    name: str  # path within the repository
    size: int  # bytes


class Pushed(NamedTuple):
    """Result of a push or of a dry run."""

    repo_id: str
    kind: RepoType
    files: tuple[PushedFile, ...]  # those of the folder that belong to the repository, changed or not
    commit_url: str | None  # None if nothing changed, and for a dry run
    commit_oid: str | None  # likewise
    notes: tuple[str, ...] = ()  # notes on the card, one line each


def push(
    folder: Path | str,
    repo_id: str,
    *,
    endpoint: str | None = None,
    token: str | bool | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Pushed:
    """Upload a model or dataset folder in one commit; create the repository if it does not exist.

    The card in the repository names the repository; the card in the folder is not changed. Checkpoints, caches and
    hidden files are not uploaded, except `.eval_results/` and `.gitattributes`. In a dataset repository, Parquet files
    that the folder no longer has are deleted, since they would be loaded with the others.

    Args:
        folder: Folder with run.json or config.json (a model), or dataset.json (a dataset).
        repo_id: `namespace/name`.
        endpoint: Address of the Hub; None for HF_ENDPOINT or the public Hub.
        token: Access token; None for HF_TOKEN or the saved login.
        private: Create a private repository; an existing public one is an error.
        revision: Branch to commit to; created from the main branch if it does not exist.
        message: First line of the commit message.
        dry_run: List the files without contacting a Hub.
        progress: Called with a line before each stage.

    Raises:
        InvalidInputError: `repo_id` is not the name of a repository, or the folder is neither a model nor a dataset or
            contains pickles.
        HubError: The Hub does not answer or refuses. The folder is unchanged; the message has the command to retry.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    kind = kind_of(folder)
    paths = _files(folder)
    pickles = [path for path in paths if has_pickle_suffix(path.name) or contains_pickle(path)]
    if pickles:
        wrong = ", ".join(path.relative_to(folder).as_posix() for path in pickles)
        raise InvalidInputError(
            f"{folder} contains pickles, which run code when they are loaded: {wrong}; save them as safetensors"
        )
    card, notes = _card(folder, kind, repo_id)
    sizes = {} if card is None else {_CARD: len(card.encode())}
    names = [path.relative_to(folder).as_posix() for path in paths]
    files = tuple(
        PushedFile(name, sizes.get(name, path.stat().st_size)) for name, path in zip(names, paths, strict=True)
    )
    if dry_run:
        return Pushed(repo_id, kind, files, None, None, notes)

    api = connect(endpoint, token)
    later = _command(folder, repo_id, endpoint, revision, private)
    report = progress or (lambda line: None)
    with (
        hub_errors(api, f"push to {repo_id}", f"{folder} is unchanged; to retry: {later}"),
        _with_card(folder, names, card) as prepared,
    ):
        report(f"looking up {repo_id} at {api.endpoint}")
        before = _prepare(api, repo_id, kind, private, revision)
        report(f"uploading {len(files)} files, {sum(file.size for file in files):,} bytes")
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type=kind,
            folder_path=prepared,
            revision=revision,
            commit_message=message or f"Push {kind} {folder.resolve().name} with seqhub",
            allow_patterns=[glob.escape(file.name) for file in files],
            delete_patterns="*.parquet" if kind == "dataset" else None,
        )
    changed = commit.oid != before
    return Pushed(repo_id, kind, files, commit.commit_url if changed else None, commit.oid if changed else None, notes)


def _card(folder: Path, kind: RepoType, repo_id: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the card as the repository gets it, None if it is unchanged; and notes on it."""
    try:
        card = (folder / _CARD).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None, (f"{folder} has no {_CARD}, so {repo_id} has no card; write one with `seqhub card {folder}`",)
    except UnicodeDecodeError:
        return None, (f"{folder / _CARD} is not UTF-8, so it may name another source than {repo_id}",)
    changed = renamed(card, kind, repo_id)
    others = sorted(set(_PUBLISHED.findall(changed)) - {repo_id})
    notes = (
        (
            f"{folder / _CARD} was written by an earlier seqhub and names {', '.join(others)}, which may belong to "
            f"others; rewrite it with `seqhub card {folder}`",
        )
        if others and (folder / _RECORDS[kind]).is_file()
        else ()
    )
    return (None if changed == card else changed), notes


@contextmanager
def _with_card(folder: Path, names: Sequence[str], card: str | None) -> Iterator[Path]:
    """Yield the folder itself, or one with links to its files and another card."""
    if card is None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="seqhub-push-") as scratch:
        for name in names:
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == _CARD:
                path.write_bytes(card.encode())
            else:
                path.symlink_to((folder / name).resolve())
        yield Path(scratch)


def kind_of(folder: Path) -> RepoType:
    """Return the type of a folder, model or dataset, from the files in it.

    Raises:
        InvalidInputError: The folder does not exist, is neither or both, or has an unfinished run.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"no folder {folder}")
    if (folder / "checkpoint.safetensors").is_file() and not (folder / "run.json").is_file():
        raise InvalidInputError(f"{folder} has an unfinished run; continue it with `seqhub train` and --resume")
    kinds = [kind for kind, names in _MARKS.items() if any((folder / name).is_file() for name in names)]
    if len(kinds) != 1:
        marks = "; ".join(f"a {kind} has {' or '.join(names)}" for kind, names in _MARKS.items())
        raise InvalidInputError(
            f"{folder} is {'both a model and a' if kinds else 'neither a model nor a'} dataset; {marks}"
        )
    return kinds[0]


def _files(folder: Path) -> list[Path]:
    """Return the files in the folder that belong to its repository, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and _belongs(path.relative_to(folder)))


def _belongs(path: Path) -> bool:
    if path.parts[0] in _SHOWN:
        path = path.relative_to(path.parts[0])
    return not any(part.startswith(".") or _LEFT_OUT.fullmatch(part) for part in path.parts)


def _prepare(api: HfApi, repo_id: str, kind: RepoType, private: bool, revision: str | None) -> str | None:
    """Ensure that the repository and branch exist, and return their current commit."""
    try:
        there = api.repo_info(repo_id, repo_type=kind, timeout=PATIENCE)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True)
        there = api.repo_info(repo_id, repo_type=kind, timeout=PATIENCE)
    if private and not there.private:
        raise HubError(
            f"{repo_id} at {api.endpoint} exists and is public; make it private there, or push without private"
        )
    if revision is not None:
        try:
            there = api.repo_info(repo_id, repo_type=kind, revision=revision, timeout=PATIENCE)
        except RevisionNotFoundError:
            api.create_branch(repo_id, repo_type=kind, branch=revision, exist_ok=True)
    return there.sha


def _command(folder: Path, repo_id: str, endpoint: str | None, revision: str | None, private: bool) -> str:
    """Return the command line of the same push."""
    options = [("--endpoint", endpoint), ("--revision", revision)]
    given = [part for name, value in options if value is not None for part in (name, value)]
    return shlex.join(["seqhub", "push", str(folder), "--repo", repo_id, *given, *(["--private"] if private else [])])
