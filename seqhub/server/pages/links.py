"""URLs of pages."""

from urllib.parse import quote, urlencode

from seqhub.server.serializers import PREFIX_OF, path_in_url
from seqhub.server.types import Repo


def segment(text: str) -> str:
    """Quote a text as one segment of a path, such as a revision.

    >>> segment("refs/pr/1")
    'refs%2Fpr%2F1'
    """
    return quote(text, safe="")


def repo_url(repo: Repo) -> str:
    """Return the path of the page of a repository."""
    return f"/{PREFIX_OF[repo.repo_type]}{repo.repo_id}"


def file_url(repo: Repo, verb: str, revision: str, path: str = "") -> str:
    """Return the path of a page or a file of a repository.

    Args:
        repo: The repository.
        verb: Such as "blob", "tree" or "resolve".
        revision: Name of the revision.
        path: Path in the repository; "" for its root.
    """
    below = f"/{path_in_url(path)}" if path else ""
    return f"{repo_url(repo)}/{verb}/{segment(revision)}{below}"


def with_query(path: str, **values: str | None) -> str:
    """Return a URL with a query; empty values are omitted.

    >>> with_query("/models", q="lstm", tag=None)
    '/models?q=lstm'
    """
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path
