"""`seqhub hub export`: copy repositories of a Hub's folder to another Hub."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seqhub.cli.hub_accounts import opened
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
        typer.Option(help="Repository to copy, as in model:NAMESPACE/NAME; repeatable", show_default="all"),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Copy repositories with their revisions, branches and tags; run it again to go on after an interruption.

    HF_TOKEN must hold a token of the other Hub that may write into the same namespaces. Pull requests, discussions,
    likes and access requests stay behind, and are counted.
    """
    from seqhub.hub.client import connect
    from seqhub.hub.export import export

    api = connect(to, None)
    console = stderr()
    with opened(root) as store:
        sources = [Stored(store, found) for found in _wanted(store, repo or [])]
        done = [export(source, api, lambda line: console.print(line, markup=False)) for source in sources]
    rows = [(one.repo, str(one.revisions), str(one.branches), str(one.tags), _counted(one.left_behind)) for one in done]
    show(
        Form.of(as_json, quiet),
        [one._asdict() for one in done],
        brief=[one.repo for one in done],
        table=lambda out: out.print(
            grid(("repository", "revisions sent", "branches", "tags made", "left behind"), rows, right=(1, 2, 3))
        ),
    )
    left: Counter[str] = Counter()
    for one in done:
        left.update(one.left_behind)
    if left:
        console.print(f"left behind, since the other Hub would put your name to them: {_counted(left)}", markup=False)


def _counted(left: Mapping[str, int]) -> str:
    """Return counts as text: 1 like, 2 discussions."""
    return ", ".join(f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in left.items())


class Stored:
    """A repository of a store, in the form that an export reads."""

    def __init__(self, store: "Store", repo: "Repo") -> None:
        self.store, self.repo = store, repo
        self.kind, self.full_name, self.private, self.sdk = repo.repo_type, repo.repo_id, repo.private, repo.sdk
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


def _wanted(store: "Store", names: list[str]) -> "Iterator[Repo]":
    """Yield the repositories of these ids, or all, private ones included."""
    from seqhub.errors import InvalidInputError
    from seqhub.server.types import REPO_TYPES

    wanted = {name.casefold() for name in names}
    found: set[str] = set()
    for account in store.accounts.all():
        for kind in REPO_TYPES:
            after: str | None = None
            while True:
                page, after = store.listing.repos(
                    kind, author=account.name, viewer=account, sort="created", after=after, limit=PAGE
                )
                for repo in page:
                    key = f"{kind}:{repo.repo_id}"
                    if not wanted or key.casefold() in wanted:
                        found.add(key.casefold())
                        yield repo
                if after is None:
                    break
    if wanted - found:
        raise InvalidInputError(
            f"no repository {min(wanted - found)!r}; allowed: kind:namespace/name, as in model:ada/x"
        )
