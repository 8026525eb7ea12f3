"""The command `seqhub hub export`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seqhub.cli.hub_accounts import open_store
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show, stderr
from seqhub.cli.serve import Root

if TYPE_CHECKING:
    from seqhub.hub.export import Revision
    from seqhub.server.store import Store
    from seqhub.server.types import Repo

PAGE = 1000
BRANCH, TAG = "refs/heads/", "refs/tags/"


def export_command(
    to: Annotated[str, typer.Option(help="URL of the other Hub", show_default=False)],
    root: Root,
    repo: Annotated[
        list[str] | None,
        typer.Option(help="Repository to copy, as in model:NAMESPACE/NAME; may be repeated", show_default="all"),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Copy repositories to another Hub.

    Revisions, branches and tags are copied. Run the same command again to continue after an interruption.

    HF_TOKEN must be a token of the other Hub with write access to the same namespaces. Pull requests, discussions,
    likes and access requests are not copied, only counted.
    """
    from seqhub.hub.client import connect
    from seqhub.hub.export import export

    api = connect(to, None)
    console = stderr()
    with open_store(root) as store:
        sources = [StoredRepo(store, found) for found in _selected_repos(store, repo or [])]
        done = [export(source, api, lambda line: console.print(line, markup=False)) for source in sources]
    rows = [(one.repo, str(one.revisions), str(one.branches), str(one.tags), _counted(one.left_behind)) for one in done]
    show(
        Form.of(as_json, quiet),
        [one._asdict() for one in done],
        brief=[one.repo for one in done],
        table=lambda out: out.print(
            grid(("repository", "new revisions", "branches", "new tags", "not copied"), rows, right=(1, 2, 3))
        ),
    )
    not_copied: Counter[str] = Counter()
    for one in done:
        not_copied.update(one.left_behind)
    if not_copied:
        note = f"not copied, since the other Hub would attribute them to you: {_counted(not_copied)}"
        console.print(note, markup=False)


def _counted(counts: Mapping[str, int]) -> str:
    """Return counts as text: 1 like, 2 discussions."""
    return ", ".join(f"{count} {name if count != 1 else name.removesuffix('s')}" for name, count in counts.items())


class StoredRepo:
    """Repository of a store; implements `hub.export.Source`."""

    def __init__(self, store: "Store", repo: "Repo") -> None:
        self.store, self.repo = store, repo
        self.repo_type, self.repo_id, self.private, self.sdk = repo.repo_type, repo.repo_id, repo.private, repo.sdk
        self.gated: Literal["auto", "manual", False] = False if repo.gated == "no" else repo.gated

    def branches(self) -> list[str]:
        return [ref.name for ref in self.store.refs.of_repo(self.repo) if ref.ref.startswith(BRANCH)]

    def tags(self) -> list[tuple[str, str, str | None]]:
        refs = self.store.refs.of_repo(self.repo)
        return [(ref.name, ref.oid, ref.message) for ref in refs if ref.ref.startswith(TAG)]

    def history(self, revision: str) -> "list[Revision]":
        from seqhub.hub.export import Revision

        found: list[Revision] = []
        after: str | None = None
        while True:
            page, after, _ = self.store.revisions.log(self.repo, revision, after=after, limit=PAGE)
            found += [Revision(c.oid, c.title, c.message, c.author, c.date.isoformat()) for c in page]
            if after is None:
                return found[::-1]

    def changes(self, old: str | None, new: str) -> Mapping[str, bytes | Path | None]:
        before = self.store.revisions.resolve(self.repo, old) if old else None
        commit = self.store.revisions.resolve(self.repo, new)
        changed = self.store.revisions.changes(self.repo, before, commit)
        return {
            path: None if entry is None else self.store.revisions.content(self.repo, commit, entry)
            for path, (_, entry) in changed.items()
        }

    def sizes(self, revision: str) -> dict[str, int]:
        commit = self.store.revisions.resolve(self.repo, revision)
        sizes: dict[str, int] = {}
        after: str | None = None
        while True:
            page, after = self.store.revisions.tree(self.repo, commit, "", recursive=True, after=after, limit=PAGE)
            sizes |= {entry.path: entry.size for entry in page if not entry.is_folder}
            if after is None:
                return sizes

    def left_behind(self) -> dict[str, int]:
        return {
            "pull requests": self.store.discussions.page(self.repo, pull_requests=True, page_size=1)[1],
            "discussions": self.store.discussions.page(self.repo, pull_requests=False, page_size=1)[1],
            "likes": self.store.likes.count(self.repo),
            "access requests": len(self.store.access_requests.of_repo(self.repo)),
        }


def _selected_repos(store: "Store", names: list[str]) -> "Iterator[Repo]":
    """Yield the repositories with these keys, or all of them, including private ones."""
    from seqhub.errors import InvalidInputError
    from seqhub.server.types import REPO_TYPES

    selected = {name.casefold() for name in names}
    found: set[str] = set()
    for account in store.accounts.all():
        for repo_type in REPO_TYPES:
            after: str | None = None
            while True:
                page, after = store.listing.repos(
                    repo_type, author=account.name, viewer=account, sort="created", after=after, limit=PAGE
                )
                for repo in page:
                    key = f"{repo_type}:{repo.repo_id}"
                    if not selected or key.casefold() in selected:
                        found.add(key.casefold())
                        yield repo
                if after is None:
                    break
    if selected - found:
        raise InvalidInputError(
            f"no repository {min(selected - found)!r}; allowed: kind:namespace/name, as in model:ada/x"
        )
