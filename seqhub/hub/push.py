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
from seqhub.hub.client import CONNECT_TIMEOUT, RepoType, check_repo_id, connect, hub_errors
from seqhub.hub.naming import renamed
from seqhub.pickles import contains_pickle, has_pickle_suffix

_BENCH = "bench.json"
_FIGURES = [f"{name}*.{form}" for name in ("bench", "lengths") for form in ("png", "svg")]  # of a benchmark
_MARKS: dict[RepoType, tuple[str, ...]] = {
    "model": ("run.json", "config.json"),
    "dataset": ("dataset.json", _BENCH),
}
_RECORDS: dict[RepoType, str] = {"model": "run.json", "dataset": "dataset.json"}
_CARD = "README.md"
_PUBLISHED_IDS = re.compile(r"""(?:["']|^- )(seqhub/[\w.-]+)""", flags=re.MULTILINE)  # on early cards
_HIDDEN_INCLUDED = (".eval_results", ".gitattributes")  # hidden files that belong to a repository
_EXCLUDED = re.compile(r"checkpoint.*\.safetensors|__pycache__|.*\.pyc")


class PushedFile(NamedTuple):
    """File of a push."""

    name: str  # path within the repository
    size: int  # bytes


class Pushed(NamedTuple):
    """Result of a push or of a dry run."""

    repo_id: str
    repo_type: RepoType
    files: tuple[PushedFile, ...]  # all files that belong to the repository, changed or not
    commit_url: str | None  # None if nothing changed, and for a dry run
    commit_oid: str | None  # None in the same cases
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
    parent: str | None = None,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Pushed:
    """Upload a model or dataset folder in one commit, and create the repository if it does not exist.

    The uploaded card uses the repository id in its code; the card in the folder is not changed. Checkpoints, caches and
    hidden files are not uploaded, except `.eval_results/` and `.gitattributes`. In a dataset repository, Parquet files
    that no longer exist in the folder are deleted, since they would be loaded with the others; in that of a benchmark,
    its earlier figures.

    Args:
        folder: Folder with run.json or config.json (a model), or dataset.json or bench.json (a dataset repository).
        repo_id: `namespace/name`.
        endpoint: URL of the Hub; None for HF_ENDPOINT or the public Hub.
        token: Access token; None for HF_TOKEN or the saved login.
        private: Create a private repository; raise an error if a public one exists.
        revision: Branch to commit to; created from the main branch if it does not exist.
        message: First line of the commit message.
        parent: Newest commit of the branch; if it has another one, nothing is uploaded. None for any.
        dry_run: List the files without contacting a Hub.
        progress: Callback that receives a line before each stage.

    Raises:
        InvalidInputError: `repo_id` is not a valid repository id, or the folder is neither a model nor a dataset, or
            it contains pickles.
        OutdatedError: The newest commit of the branch is not `parent`.
        HubError: The Hub does not respond or returns an error. The folder is unchanged; the message contains the
            command to retry.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    repo_type = repo_type_of(folder)
    paths = _files(folder)
    pickles = [path for path in paths if has_pickle_suffix(path.name) or contains_pickle(path)]
    if pickles:
        wrong = ", ".join(path.relative_to(folder).as_posix() for path in pickles)
        raise InvalidInputError(
            f"{folder} contains pickles, which run code when they are loaded: {wrong}; save them as safetensors"
        )
    card, notes = _card(folder, repo_type, repo_id)
    sizes = {} if card is None else {_CARD: len(card.encode())}
    names = [path.relative_to(folder).as_posix() for path in paths]
    files = tuple(
        PushedFile(name, sizes.get(name, path.stat().st_size)) for name, path in zip(names, paths, strict=True)
    )
    if dry_run:
        return Pushed(repo_id, repo_type, files, None, None, notes)

    api = connect(endpoint, token)
    retry_command = _command(folder, repo_id, endpoint, revision, private)
    report = progress or (lambda line: None)
    with (
        hub_errors(api, f"push to {repo_id}", f"{folder} is unchanged; to retry: {retry_command}"),
        _with_card(folder, names, card) as prepared,
    ):
        report(f"looking up {repo_id} at {api.endpoint}")
        before = prepare_repository(api, repo_id, repo_type, private, revision)
        report(f"uploading {len(files)} files, {sum(file.size for file in files):,} bytes")
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type=repo_type,
            folder_path=prepared,
            revision=revision,
            parent_commit=parent,
            commit_message=message or f"Push {repo_type} {folder.resolve().name} with seqhub",
            allow_patterns=[glob.escape(file.name) for file in files],
            delete_patterns=_FIGURES if _BENCH in names else "*.parquet" if repo_type == "dataset" else None,
        )
    changed = commit.oid != before
    return Pushed(
        repo_id, repo_type, files, commit.commit_url if changed else None, commit.oid if changed else None, notes
    )


def _card(folder: Path, repo_type: RepoType, repo_id: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the card to upload (None if it is unchanged), and notes on it."""
    try:
        card = (folder / _CARD).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None, (f"{folder} has no {_CARD}, so {repo_id} has no card; write one with `seqhub card {folder}`",)
    except UnicodeDecodeError:
        return None, (f"{folder / _CARD} is not UTF-8, so it may refer to another source than {repo_id}",)
    changed = renamed(card, repo_type, repo_id)
    others = sorted(set(_PUBLISHED_IDS.findall(changed)) - {repo_id})
    notes = (
        (
            f"{folder / _CARD} was written by an earlier seqhub and names {', '.join(others)}, which may belong to "
            f"others; rewrite it with `seqhub card {folder}`",
        )
        if others and (folder / _RECORDS[repo_type]).is_file()
        else ()
    )
    return (None if changed == card else changed), notes


@contextmanager
def _with_card(folder: Path, names: Sequence[str], card: str | None) -> Iterator[Path]:
    """Yield the folder itself, or a folder with links to its files and the new card."""
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


def repo_type_of(folder: Path) -> RepoType:
    """Return the repository type of a folder, model or dataset, from the files in it.

    Raises:
        InvalidInputError: The folder does not exist, is neither or both, or contains an unfinished run.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"no folder {folder}")
    if (folder / "checkpoint.safetensors").is_file() and not (folder / "run.json").is_file():
        raise InvalidInputError(f"{folder} has an unfinished run; continue it with `seqhub train` and --resume")
    repo_types = [repo_type for repo_type, names in _MARKS.items() if any((folder / name).is_file() for name in names)]
    if len(repo_types) != 1:
        marks = "; ".join(f"a {repo_type} has {' or '.join(names)}" for repo_type, names in _MARKS.items())
        raise InvalidInputError(
            f"{folder} is {'both a model and a' if repo_types else 'neither a model nor a'} dataset; {marks}"
        )
    return repo_types[0]


def _files(folder: Path) -> list[Path]:
    """Return the files in the folder that belong to its repository, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and _belongs(path.relative_to(folder)))


def _belongs(path: Path) -> bool:
    if path.parts[0] in _HIDDEN_INCLUDED:
        path = path.relative_to(path.parts[0])
    return not any(part.startswith(".") or _EXCLUDED.fullmatch(part) for part in path.parts)


def prepare_repository(
    api: HfApi, repo_id: str, repo_type: RepoType, private: bool, revision: str | None
) -> str | None:
    """Create the repository and branch if they do not exist, and return the current commit."""
    try:
        info = api.repo_info(repo_id, repo_type=repo_type, timeout=CONNECT_TIMEOUT)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        info = api.repo_info(repo_id, repo_type=repo_type, timeout=CONNECT_TIMEOUT)
    if private and not info.private:
        raise HubError(
            f"{repo_id} at {api.endpoint} exists and is public; make it private there, or push without private"
        )
    if revision is not None:
        try:
            info = api.repo_info(repo_id, repo_type=repo_type, revision=revision, timeout=CONNECT_TIMEOUT)
        except RevisionNotFoundError:
            api.create_branch(repo_id, repo_type=repo_type, branch=revision, exist_ok=True)
    return info.sha


def _command(folder: Path, repo_id: str, endpoint: str | None, revision: str | None, private: bool) -> str:
    """Return the command line for the same push."""
    options = [("--endpoint", endpoint), ("--revision", revision)]
    given = [part for name, value in options if value is not None for part in (name, value)]
    return shlex.join(["seqhub", "push", str(folder), "--repo", repo_id, *given, *(["--private"] if private else [])])
