"""An embedded Hub with a user `me`, and access to its stored files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seqhub.server.serve import Running, running
from seqhub.server.types import Repo, RepoType


@dataclass(frozen=True)
class Hub:
    """A running server and the tokens of its user."""

    running: Running
    writer: str
    reader: str

    @property
    def url(self) -> str:
        return self.running.url

    def repo(self, repo_type: RepoType, name: str) -> Repo:
        found = self.running.store.repos.find(repo_type, name)
        assert found is not None
        return found

    def files(self, repo_type: RepoType, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return contents by path at a revision, without the file that every repository starts with."""
        store, repo = self.running.store, self.repo(repo_type, name)
        commit = store.revisions.resolve(repo, revision)
        entries, _ = store.revisions.tree(repo, commit, "", recursive=True, with_last_commit=False)
        content = {e.path: store.revisions.content(repo, commit, e) for e in entries if not e.is_folder}
        content.pop(".gitattributes", None)
        return {path: it.read_bytes() if isinstance(it, Path) else it for path, it in content.items()}

    def log(self, repo_type: RepoType, name: str) -> list[str]:
        """Return titles of the commits on main, newest first."""
        commits, *_ = self.running.store.revisions.log(self.repo(repo_type, name), "main")
        return [commit.title for commit in commits]


@contextmanager
def a_hub(root: Path) -> Iterator[Hub]:
    with running(root) as server:
        yield Hub(server, server.token("me"), server.token("me", "read"))
