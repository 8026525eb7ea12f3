"""Fetching a repository into a folder."""

from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError

from seqhub.errors import InvalidInputError
from seqhub.hub.client import PATIENCE, RepoType, check_repo_id, connect, hub_errors

_KINDS: tuple[RepoType, ...] = ("model", "dataset")


def fetch(
    repo_id_or_folder: Path | str,
    *,
    endpoint: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    kind: RepoType | None = None,
) -> Path:
    """Return the folder of a model or dataset: a local one, or a repository downloaded into Hugging Face's cache.

    Args:
        repo_id_or_folder: A folder, or `namespace/name`; if both exist, the folder.
        endpoint: Address of the Hub; None for HF_ENDPOINT or the public Hub.
        revision: Branch, tag or commit.
        token: Access token; None for HF_TOKEN or the saved login.
        kind: `model` or `dataset`; None to try one after the other.

    Raises:
        InvalidInputError: Neither a folder nor the name of a repository, or a file.
        HubError: The Hub does not answer or refuses, or has no such repository.
    """
    if Path(repo_id_or_folder).is_dir():
        return Path(repo_id_or_folder)
    if Path(repo_id_or_folder).exists():
        raise InvalidInputError(f"{repo_id_or_folder} is a file; must be a folder, or a repository on a Hub")
    repo_id = str(repo_id_or_folder)
    try:
        check_repo_id(repo_id)
    except InvalidInputError as error:
        raise InvalidInputError(f"{repo_id} is neither a folder nor a repository: {error}") from None

    api = connect(endpoint, token)
    kinds = _KINDS if kind is None else (kind,)
    with hub_errors(api, f"fetch {' or '.join(kinds)} {repo_id}", "you can give a local folder instead"):
        for kind in kinds:
            try:
                there = api.repo_info(repo_id, repo_type=kind, revision=revision, timeout=PATIENCE)
            except RepositoryNotFoundError:
                if kind == kinds[-1]:
                    raise
            else:
                break
        return Path(api.snapshot_download(repo_id, repo_type=kind, revision=there.sha))
