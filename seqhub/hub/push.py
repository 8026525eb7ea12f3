"""A folder to a repository, in one commit: `seqhub push`."""

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
from seqhub.hub.client import PATIENCE, Kind, check_repo_id, connect, hub_errors
from seqhub.hub.naming import renamed
from seqhub.hub.pickles import find_pickles

_MARKS: dict[Kind, tuple[str, ...]] = {"model": ("run.json", "config.json"), "dataset": ("dataset.json",)}
_RECORDS: dict[Kind, str] = {"model": "run.json", "dataset": "dataset.json"}
_CARD = "README.md"
_PUBLISHED = re.compile(r"""(?:["']|^- )(seqhub/[\w.-]+)""", flags=re.MULTILINE)  # named without being asked once
_SHOWN = (".eval_results", ".gitattributes")  # hidden names that belong to a repository
_LEFT_OUT = re.compile(r"checkpoint.*\.safetensors|__pycache__|.*\.pyc")


class PushedFile(NamedTuple):
    """One file of a push."""

    name: str  # path within the repository
    size: int  # bytes


class Pushed(NamedTuple):
    """What a push sent, or would send."""

    repo_id: str
    kind: Kind
    files: tuple[PushedFile, ...]  # those of the folder that belong to the repository, changed or not
    commit_url: str | None  # None where nothing had changed, and for a dry run
    commit_oid: str | None  # likewise
    notes: tuple[str, ...] = ()  # what a user should know of the card, a line each


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
    """Upload a model or dataset folder in one commit; the repository is made if there is none.

    The card in the repository names the repository; in the folder it stays as it is. Left at home are checkpoints,
    caches and hidden files, `.eval_results/` and `.gitattributes` excepted. Of a dataset repository, Parquet files that
    the folder no longer holds are deleted: they would be loaded with the others.

    Args:
        folder: Holds run.json or config.json (a model), or dataset.json (a dataset).
        repo_id: `namespace/name`.
        endpoint: Address of the Hub; HF_ENDPOINT or the public Hub where None.
        token: What to show there; HF_TOKEN or the saved login where None.
        private: Make the repository private; one that exists and is public is refused.
        revision: Branch to commit to, made from the main one if there is none of that name.
        message: First line of the commit.
        dry_run: Only list the files; nobody is contacted.
        progress: Called with a line before each stage.

    Raises:
        InvalidInputError: `repo_id` is no name of a repository, or the folder is no model and no dataset, or holds
            pickles.
        HubError: No Hub there, or it refuses. The folder is as it was; the message has the command for later.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    kind = kind_of(folder)
    paths = _files(folder)
    pickles = find_pickles(paths)
    if pickles:
        wrong = ", ".join(path.relative_to(folder).as_posix() for path in pickles)
        raise InvalidInputError(
            f"{folder} holds pickles, which run code when loaded: {wrong}; save them as safetensors"
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
        hub_errors(api, f"push to {repo_id}", f"{folder} is whole, for later: {later}"),
        _with_card(folder, names, card) as prepared,
    ):
        report(f"asking {api.endpoint} for {repo_id}")
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


def _card(folder: Path, kind: Kind, repo_id: str) -> tuple[str | None, tuple[str, ...]]:
    """The card of a folder as the repository is to have it, None where it stays as it is; and what to say of it."""
    try:
        card = (folder / _CARD).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None, (f"{folder} has no {_CARD}, so {repo_id} gets no card; `seqhub card {folder}` writes one",)
    except UnicodeDecodeError:
        return None, (f"{folder / _CARD} is not UTF-8, so it may name another place than {repo_id}",)
    changed = renamed(card, kind, repo_id)
    others = sorted(set(_PUBLISHED.findall(changed)) - {repo_id})
    notes = (
        (
            f"{folder / _CARD} of an earlier seqhub names {', '.join(others)}, which may be other people's; "
            f"`seqhub card {folder}` writes it anew",
        )
        if others and (folder / _RECORDS[kind]).is_file()
        else ()
    )
    return (None if changed == card else changed), notes


@contextmanager
def _with_card(folder: Path, names: Sequence[str], card: str | None) -> Iterator[Path]:
    """The folder itself, or one with links to its files and another card."""
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


def kind_of(folder: Path) -> Kind:
    """Whether a folder is a model or a dataset, told by the files in it.

    Raises:
        InvalidInputError: There is no such folder, or it is neither or both, or a run that is not finished.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"no folder {folder}")
    if (folder / "checkpoint.safetensors").is_file() and not (folder / "run.json").is_file():
        raise InvalidInputError(f"{folder} holds a run that is not finished; `seqhub train` with --resume goes on")
    kinds = [kind for kind, names in _MARKS.items() if any((folder / name).is_file() for name in names)]
    if len(kinds) != 1:
        marks = "; ".join(f"a {kind} has {' or '.join(names)}" for kind, names in _MARKS.items())
        raise InvalidInputError(f"{folder} is {'both model and' if kinds else 'no model and no'} dataset; {marks}")
    return kinds[0]


def _files(folder: Path) -> list[Path]:
    """Everything in the folder that belongs to its repository, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and _belongs(path.relative_to(folder)))


def _belongs(path: Path) -> bool:
    if path.parts[0] in _SHOWN:
        path = path.relative_to(path.parts[0])
    return not any(part.startswith(".") or _LEFT_OUT.fullmatch(part) for part in path.parts)


def _prepare(api: HfApi, repo_id: str, kind: Kind, private: bool, revision: str | None) -> str | None:
    """Make sure that there is something to commit to, and return the commit it is at."""
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
    """The command line that does the same push."""
    options = [("--endpoint", endpoint), ("--revision", revision)]
    given = [part for name, value in options if value is not None for part in (name, value)]
    return shlex.join(["seqhub", "push", str(folder), "--repo", repo_id, *given, *(["--private"] if private else [])])
