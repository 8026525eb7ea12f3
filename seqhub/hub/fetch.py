"""Fetching a repository into a folder."""

from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError

from seqhub.errors import InvalidInputError
from seqhub.hub.client import CONNECT_TIMEOUT, RepoType, check_repo_id, connect, hub_errors

_REPO_TYPES: tuple[RepoType, ...] = ("model", "dataset")


def fetch(
    repo_id_or_folder: Path | str,
    *,
    endpoint: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    repo_type: RepoType | None = None,
) -> Path:
    """Return the folder of a model or dataset: a local one, or a repository downloaded into Hugging Face's cache.

    Args:
        repo_id_or_folder: A folder, or `namespace/name`; if both exist, the folder.
        endpoint: URL of the Hub; None for HF_ENDPOINT or the public Hub.
        revision: Branch, tag or commit.
        token: Access token; None for HF_TOKEN or the saved login.
        repo_type: `model` or `dataset`; None to try both in this order.

    Raises:
        InvalidInputError: `repo_id_or_folder` is a file, or neither a folder nor a valid repository id.
        HubError: The Hub does not respond or returns an error, or the repository does not exist.
    """
    if Path(repo_id_or_folder).is_dir():
        return Path(repo_id_or_folder)
    if Path(repo_id_or_folder).exists():
        raise InvalidInputError(f"{repo_id_or_folder} is a file: must be a folder or a repository on a Hub")
    repo_id = str(repo_id_or_folder)
    try:
        check_repo_id(repo_id)
    except InvalidInputError as error:
        raise InvalidInputError(f"{repo_id} is neither a folder nor a repository: {error}") from None

    api = connect(endpoint, token)
    repo_types = _REPO_TYPES if repo_type is None else (repo_type,)
    with hub_errors(api, f"fetch {' or '.join(repo_types)} {repo_id}", "you can give a local folder instead"):
        for repo_type in repo_types:
            try:
                info = api.repo_info(repo_id, repo_type=repo_type, revision=revision, timeout=CONNECT_TIMEOUT)
            except RepositoryNotFoundError:
                if repo_type == repo_types[-1]:
                    raise
            else:
                break
        return Path(api.snapshot_download(repo_id, repo_type=repo_type, revision=info.sha))
