"""Table of the tabs of a repository: one line for each."""

from dataclasses import dataclass

from seqhub.server.pages.links import repo_url, segment
from seqhub.server.types import REPO_TYPES, Repo, RepoType


@dataclass(frozen=True, slots=True)
class Tab:
    """Tab of the pages of a repository.

    Args:
        name: Name by which a page says that it belongs to the tab.
        title: Text of the link.
        path: Path below the page of the repository, with `{revision}`.
        repo_types: Types of the repositories that have the tab.
    """

    name: str
    title: str
    path: str
    repo_types: tuple[RepoType, ...] = REPO_TYPES

    def url(self, repo: Repo, revision: str) -> str:
        """Return the path of the tab."""
        return repo_url(repo) + self.path.format(revision=segment(revision))


TABS: tuple[Tab, ...] = (
    Tab("card", "Card", ""),
    Tab("viewer", "Viewer", "/-/viewer/{revision}", ("dataset",)),
    Tab("files", "Files", "/tree/{revision}"),
    Tab("history", "History", "/commits/{revision}"),
)


def tabs_of(repo: Repo) -> list[Tab]:
    """Return the tabs of a repository."""
    return [tab for tab in TABS if repo.repo_type in tab.repo_types]
