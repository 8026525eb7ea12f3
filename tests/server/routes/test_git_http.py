"""git as the client: clones equal the uploaded files, and `git fsck` finds no error."""

import gzip
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from seqhub.server import git, packfile
from seqhub.server.serve import Running, running
from seqhub.server.store import Store
from seqhub.server.types import AddLarge, AddSmall, Delete, Operation, Repo, RepoType

LIMIT = 60
HAS_LFS = subprocess.run(["git", "lfs", "version"], capture_output=True, timeout=LIMIT, check=False).returncode == 0
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@dataclass(frozen=True)
class Git:
    """User of git with an empty home, and the Hub."""

    hub: Running
    home: Path
    token: str

    @property
    def store(self) -> Store:
        return self.hub.store

    def address(self, path: str, *, token: str | None = None) -> str:
        scheme, _, rest = self.hub.url.partition("://")
        return f"{scheme}://{f'user:{token}@' if token else ''}{rest}/{path}"

    def __call__(self, *line: str, at: Path | None = None, fails: bool = False, **more: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "no_proxy": "*",
            "LC_ALL": "C",
            **more,
        }
        done = subprocess.run(
            ["git", *line],
            cwd=at or self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout.strip()

    def clone(self, path: str, *options: str, token: str | None = None) -> Path:
        target = self.home / "clone"
        self("clone", "-q", *options, self.address(path, token=token), str(target))
        self("fsck", "--strict", "--full", at=target)
        return target

    def commit(self, repo: Repo, *operations: Operation, branch: str = "main") -> str:
        ada = self.store.accounts.find("ada")
        assert ada is not None
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        return self.store.commits.create(
            repo, ref, operations, expected_parent=None, author="ada", title="change", message="", uploader=ada
        ).oid

    def make(self, name: str, kind: RepoType = "model", *, private: bool = False) -> Repo:
        """Create two commits on main, two on the branch side, a lightweight and an annotated tag."""
        repo = self.store.repos.create(kind, f"ada/{name}", private=private, author="ada")
        ada = self.store.accounts.find("ada")
        assert ada is not None
        writer = self.store.blobs.begin()
        writer.write(b"\0" * 300_000)
        large = AddLarge("big.bin", *writer.finish(None, None, ada))
        folders = [AddSmall(f"many/{n:03}/ü.txt", b"%d" % n) for n in range(300)]
        self.commit(repo, AddSmall("a.txt", b"1\n"), AddSmall("noise", os.urandom(200_000)), large, *folders)
        self.store.refs.create_branch(repo, "side", "main")
        self.commit(repo, AddSmall("side.txt", b"s"), branch="side")
        two = self.commit(repo, AddSmall("a.txt", b"2\n"))
        self.store.refs.create_tag(repo, "light", two)
        self.store.refs.create_tag(repo, "v1", two, "first release")
        return repo


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("hub")) as found:
        yield found


@pytest.fixture(scope="module")
def secret(hub: Running) -> str:
    return hub.token("ada", "read")


@pytest.fixture(scope="module")
def repo(hub: Running, secret: str, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Repository that no test changes."""
    return Git(hub, tmp_path_factory.mktemp("home"), secret).make("net")


@pytest.fixture
def run(hub: Running, secret: str, tmp_path: Path) -> Git:
    return Git(hub, tmp_path, secret)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if ".git" not in p.relative_to(folder).parts}


def uploaded(store: Store, repo: Repo, revision: str = "main") -> dict[str, bytes]:
    """Return the expected files at a revision: contents, and pointers of large files."""
    commit = store.revisions.resolve(repo, revision)
    found = {}
    for entry in store.revisions.tree(repo, commit, "", recursive=True, limit=10_000)[0]:
        if not entry.is_folder:
            found[entry.path] = store.git.read(repo, entry.oid)[1]
    return found


@pytest.mark.parametrize("suffix", ["", ".git"])
def test_a_clone_has_everything(run: Git, repo: Repo, suffix: str) -> None:
    clone = run.clone(f"ada/net{suffix}")
    assert files(clone) == uploaded(run.store, repo)
    assert files(clone)["big.bin"].startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert run("symbolic-ref", "HEAD", at=clone) == "refs/heads/main"
    assert run("rev-parse", "HEAD", at=clone) == run.store.revisions.resolve(repo, "main").oid
    assert run("tag", at=clone).split() == ["light", "v1"]
    assert run("cat-file", "-t", "v1", at=clone) == "tag"
    assert run("rev-parse", "v1^{commit}", at=clone) == run("rev-parse", "light", at=clone)
    assert run("rev-list", "--count", "HEAD", at=clone) == "3"
    assert run("rev-parse", "origin/side", at=clone) == run.store.revisions.resolve(repo, "side").oid


@pytest.mark.parametrize("version", ["0", "2"])
def test_clone_of_a_branch_with_older_protocols(run: Git, repo: Repo, version: str) -> None:
    clone = run.clone("ada/net", "--branch", "side", "--single-branch", "-c", f"protocol.version={version}")
    assert files(clone) == uploaded(run.store, repo, "side")
    assert run("rev-parse", "HEAD", at=clone) == run.store.revisions.resolve(repo, "side").oid


def test_prefixes(run: Git) -> None:
    for kind in ("dataset", "space"):
        repo = run.make("prefixed", "dataset" if kind == "dataset" else "space")
        assert files(run.clone(f"{kind}s/ada/prefixed")) == uploaded(run.store, repo)
        shutil.rmtree(run.home / "clone")


def test_pull_sends_new_objects_only(run: Git) -> None:
    repo = run.make("grows")
    clone = run.clone("ada/grows")
    run.commit(repo, AddSmall("a.txt", b"3\n"), Delete("many/000", is_folder=True))
    run.commit(repo, AddSmall("new/b.txt", b"b\n"))
    run.commit(repo, AddSmall("side.txt", b"t"), branch="side")
    run.store.refs.create_tag(repo, "v2", "main", "second release")
    before = count(run, clone)
    run("-c", "fetch.unpackLimit=1", "pull", "-q", at=clone)  # keeps the received pack
    assert files(clone) == uploaded(run.store, repo)
    assert run("cat-file", "-t", "v2", at=clone) == "tag"
    assert count(run, clone) - before == 3 + 3 + 5 + 1  # commits, blobs, trees, a tag
    run("fsck", "--strict", at=clone)
    (clone / "mine.txt").write_text("mine")
    run("add", "mine.txt", at=clone)
    run("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "mine", at=clone)  # not on the Hub
    run.commit(repo, AddSmall("c.txt", b"c"))
    run("-c", "user.name=a", "-c", "user.email=a@b", "pull", "-q", "--no-rebase", at=clone)
    assert files(clone) == uploaded(run.store, repo) | {"mine.txt": b"mine"}


def count(run: Git, clone: Path) -> int:
    """Return the number of objects in all packs, with duplicates."""
    found = dict(line.split(": ") for line in run("count-objects", "-v", at=clone).splitlines())
    return int(found["in-pack"])


def test_a_squashed_history_is_fetched(run: Git) -> None:
    repo = run.make("squashed")
    clone = run.clone("ada/squashed")
    run.store.commits.squash(repo, "main", "one", "ada")
    run("fetch", "-q", at=clone)
    assert run("rev-list", "--count", "origin/main", at=clone) == "1"
    run("fsck", "--strict", at=clone)


def test_shallow_clones(run: Git, repo: Repo) -> None:
    clone = run.clone("ada/net", "--depth", "1")
    assert files(clone) == uploaded(run.store, repo)
    assert run("rev-list", "--count", "HEAD", at=clone) == "1"
    run("fetch", "-q", "--depth", "2", at=clone)
    assert run("rev-list", "--count", "HEAD", at=clone) == "2"
    run("fetch", "-q", "--unshallow", at=clone)
    assert run("rev-list", "--count", "HEAD", at=clone) == "3"
    run("fsck", "--strict", at=clone)


def test_a_shallow_clone_can_be_deepened(run: Git) -> None:
    repo = run.make("shallow")
    clone = run.clone("ada/shallow", "--depth", "1")
    run.commit(repo, AddSmall("a.txt", b"3\n"))
    run("pull", "-q", at=clone)
    assert files(clone) == uploaded(run.store, repo)
    assert run("rev-list", "--count", "HEAD", at=clone) == "2"
    run("fsck", "--strict", at=clone)


def test_a_private_repository_requires_a_token(run: Git) -> None:
    repo = run.make("hidden", private=True)
    output = run("clone", "-q", run.address("ada/hidden"), "clone", fails=True)
    assert "could not read Username" in output
    output = run("clone", "-q", run.address("ada/hidden", token="hf_" + "0" * 64), "clone", fails=True)
    assert "Authentication failed" in output
    assert files(run.clone("ada/hidden", token=run.token)) == uploaded(run.store, repo)


def test_a_moved_repository_is_found(run: Git) -> None:
    repo = run.store.repos.move(run.make("before"), "ada/after")
    assert files(run.clone("ada/before")) == uploaded(run.store, repo)


def test_pull_requests_and_single_commits(run: Git) -> None:
    repo = run.make("asked")
    ada = run.store.accounts.find("ada")
    assert ada is not None
    number = run.store.discussions.open(repo, "change", "", "ada", pull_request=True).number
    oid = run.commit(repo, AddSmall("asked.txt", b"?"), branch=f"refs/pr/{number}")
    clone = run.clone("ada/asked")
    run("fetch", "-q", "origin", f"refs/pr/{number}:pr", at=clone)
    assert run("rev-parse", "pr", at=clone) == oid
    run("init", "-q", "other")
    run("fetch", "-q", run.address("ada/asked"), run("rev-parse", "HEAD^", at=clone), at=run.home / "other")
    assert run("cat-file", "-p", "FETCH_HEAD:a.txt", at=run.home / "other") == "1"


def test_push_is_rejected_with_a_message(run: Git, repo: Repo) -> None:
    clone = run.clone("ada/net", token=run.token)
    output = run("push", "origin", "HEAD:refs/heads/other", at=clone, fails=True)
    assert "upload with huggingface_hub" in output


needs_lfs = pytest.mark.skipif(not HAS_LFS, reason="git-lfs is not installed")


@needs_lfs
def test_lfs_fetches_large_files(run: Git, repo: Repo) -> None:
    clone = run.clone("ada/net")
    run("lfs", "install", "--local", at=clone)
    run("lfs", "pull", at=clone, GIT_LFS_SKIP_SMUDGE="0")
    assert (clone / "big.bin").read_bytes() == b"\0" * 300_000


@needs_lfs
@pytest.mark.parametrize(("kind", "suffix"), [("model", ""), ("dataset", ".git")])
def test_a_clone_with_lfs_has_the_contents(run: Git, kind: RepoType, suffix: str) -> None:
    """Use git-lfs installed globally; the repository is private, so git-lfs must also sign in."""
    name = f"heavy{len(suffix)}"
    repo = run.make(name, kind, private=True)
    run("lfs", "install")
    ada = run.store.accounts.find("ada")
    assert ada is not None
    contents = {f"weights/{n}.bin": os.urandom(1000 * n) for n in range(1, 6)}
    for path, content in contents.items():
        writer = run.store.blobs.begin()
        writer.write(content)
        run.commit(repo, AddLarge(path, *writer.finish(None, None, ada)))
    prefix, target = "" if kind == "model" else "datasets/", run.home / "clone"
    address = run.address(f"{prefix}ada/{name}{suffix}", token=run.token)
    run("clone", "-q", address, str(target), GIT_LFS_SKIP_SMUDGE="0")
    found = files(target)
    assert {path: found[path] for path in contents} == contents
    assert found["big.bin"] == b"\0" * 300_000
    assert run("status", "--porcelain", at=target) == ""
    run("lfs", "fsck", at=target)


@needs_lfs
def test_lfs_reports_permanently_deleted_files(run: Git) -> None:
    repo = run.make("purged")
    run("lfs", "install")
    clone = run.clone("ada/purged")
    sha256 = run.store.blobs.large_files(repo)[0][0]
    run.store.commits.delete_large(repo, sha256)
    run("checkout", "-q", "HEAD", at=clone, GIT_LFS_SKIP_SMUDGE="0")
    output = run("lfs", "pull", at=clone, fails=True, GIT_LFS_SKIP_SMUDGE="0")
    assert f"[{sha256}] Object does not exist" in output


def post(run: Git, body: bytes, **headers: str) -> httpx2.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(run.address("ada/net/git-upload-pack"), content=body, headers=names, timeout=LIMIT)


def test_requests_that_git_does_not_send(run: Git, repo: Repo) -> None:
    head = run.store.revisions.resolve(repo, "main").oid.encode()
    unknown = packfile.pkt(b"want " + b"1" * 40 + b"\n") + b"00000009done\n"
    assert post(run, unknown).content[4:] == b"ERR upload-pack: not our ref " + b"1" * 40 + b"\n"
    tree = run.store.git.read(repo, head.decode())[1][5:45]
    assert b"not our ref" in post(run, packfile.pkt(b"want " + tree) + b"00000009done\n").content
    assert post(run, b"0000").content == b""
    for bad in (b"want", b"0003", b"ffff", b"-001", b"0005x0000", packfile.pkt(b"want me"), packfile.pkt(b"deepen 0")):
        answer = post(run, bad)
        assert answer.status_code == 400, bad
        assert "not a request to git-upload-pack" in answer.json()["error"]
    assert post(run, b"no gzip", content_encoding="gzip").status_code == 400
    assert post(run, gzip.compress(bytes(20 * 2**20)), content_encoding="gzip").status_code == 413
    assert post(run, b"0000", content_encoding="br").status_code == 415
    body = packfile.pkt(b"want " + head + b" ofs-delta\n") + b"00000009done\n"
    plain = post(run, gzip.compress(body), content_encoding="gzip").content
    assert plain.startswith(b"0008NAK\nPACK")  # without side bands the pack follows directly
    assert httpx2.get(run.address("ada/net/info/refs")).status_code == 403


def test_the_header_of_an_entry_contains_its_size() -> None:
    for size in (0, 15, 16, 2047, 2048, 10**7):
        head = packfile.entry_head("tree", size)
        assert head[0] >> 4 & 7 == 2
        found, shift = head[0] & 15, 4
        for byte in head[1:]:
            found, shift = found | (byte & 127) << shift, shift + 7
        assert found == size
        assert [byte >> 7 for byte in head] == [1] * (len(head) - 1) + [0]


def test_a_pack_is_made_piece_by_piece() -> None:
    """One object is read for each piece, independent of the number of objects."""
    reads = 0

    def read(oid: bytes) -> tuple[git.ObjectKind, bytes]:
        nonlocal reads
        reads += 1
        return "blob", oid * 5000

    pieces = packfile.pack(read, [bytes([n]) * 20 for n in range(50)])
    assert next(pieces)[:4] == b"PACK"
    for n in range(1, 4):
        assert len(zlib.decompress(next(pieces)[3:])) == 100_000
        assert reads == n
    packets = list(packfile.banded(iter([b"x" * 150_000])))
    assert [len(packet) for packet in packets] == [65_520, 65_520, 150_000 - 2 * 65_515 + 5, 4]
