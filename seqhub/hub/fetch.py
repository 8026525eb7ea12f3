"""A repository to a folder."""

from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError

from seqhub.errors import InvalidInputError
from seqhub.hub.client import PATIENCE, Kind, check_repo_id, connect, hub_errors

_KINDS: tuple[Kind, ...] = ("model", "dataset")


def fetch(
    repo_id_or_folder: Path | str,
    *,
    endpoint: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    kind: Kind | None = None,
) -> Path:
    """The folder of a model or dataset: a local one as it is, a repository downloaded into the cache of Hugging Face.

    Args:
        repo_id_or_folder: A folder, or `namespace/name`; where both exist the folder is meant.
        endpoint: Address of the Hub; HF_ENDPOINT or the public Hub where None.
        revision: Branch, tag or commit.
        token: What to show there; HF_TOKEN or the saved login where None.
        kind: `model` or `dataset`; the Hub is asked for the one and then the other where None.

    Raises:
        InvalidInputError: Neither a folder nor the name of a repository, or a file.
        HubError: No Hub there, no such repository, or it refuses.
    """
    if Path(repo_id_or_folder).is_dir():
        return Path(repo_id_or_folder)
    if Path(repo_id_or_folder).exists():
        raise InvalidInputError(f"{repo_id_or_folder} is a file; give a folder, or a repository on a Hub")
    repo_id = str(repo_id_or_folder)
    try:
        check_repo_id(repo_id)
    except InvalidInputError as error:
        raise InvalidInputError(f"no folder {repo_id}, and no repository either: {error}") from None

    api = connect(endpoint, token)
    kinds = _KINDS if kind is None else (kind,)
    with hub_errors(api, f"fetch {' or '.join(kinds)} {repo_id}", "a folder on disk can be given instead"):
        for kind in kinds:
            try:
                there = api.repo_info(repo_id, repo_type=kind, revision=revision, timeout=PATIENCE)
            except RepositoryNotFoundError:
                if kind == kinds[-1]:
                    raise
            else:
                break
        return Path(api.snapshot_download(repo_id, repo_type=kind, revision=there.sha))
