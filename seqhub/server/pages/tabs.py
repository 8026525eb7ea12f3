"""Table of the tabs of a repository: one line for each."""

from collections.abc import Callable
from dataclasses import dataclass

from seqhub.server.pages import bench_file, families, run_files
from seqhub.server.pages.links import repo_url, segment
from seqhub.server.request import RequestContext
from seqhub.server.types import REPO_TYPES, Commit, Repo, RepoType


@dataclass(frozen=True, slots=True)
class Tab:
    """Tab of the pages of a repository.

    Args:
        name: Name by which a page says that it belongs to the tab.
        title: Text of the link.
        path: Path below the page of the repository, with `{revision}`.
        repo_types: Types of the repositories that have the tab.
        is_shown: Function that reads the files of a commit, and returns whether it has the tab; None if all do. It is
            called only for clients that may read the files.
    """

    name: str
    title: str
    path: str
    repo_types: tuple[RepoType, ...] = REPO_TYPES
    is_shown: Callable[[RequestContext, Commit], bool] | None = None

    def url(self, repo: Repo, revision: str) -> str:
        """Return the path of the tab."""
        return repo_url(repo) + self.path.format(revision=segment(revision))


TABS: tuple[Tab, ...] = (
    Tab("card", "Card", ""),
    Tab("viewer", "Viewer", "/-/viewer/{revision}", ("dataset",)),
    Tab("files", "Files", "/tree/{revision}"),
    Tab("history", "History", "/commits/{revision}"),
    Tab("leaderboard", "Leaderboard", "/-/leaderboard", ("dataset",)),
    Tab("explorer", "Explorer", "/-/explorer/{revision}", ("model",), families.is_known),
    Tab("runs", "Runs", "/-/runs/{revision}", is_shown=run_files.has_runs),
    Tab("bench", "Benchmark", "/-/bench/{revision}", is_shown=bench_file.has_bench),
)


def tabs_of(context: RequestContext, revision: str, *, may_read: bool) -> list[Tab]:
    """Return the tabs of the repository of a request.

    Args:
        context: Context of the request.
        revision: Revision of the page.
        may_read: Whether the client may read the files.
    """
    found = [tab for tab in TABS if context.repo.repo_type in tab.repo_types]
    if not may_read:
        return [tab for tab in found if tab.is_shown is None]
    commit = context.store.revisions.resolve(context.repo, revision)
    return [tab for tab in found if tab.is_shown is None or tab.is_shown(context, commit)]
