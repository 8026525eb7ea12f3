"""A small Hub for tests: real sockets, and real files under one folder. No Xet, no LFS, no pull requests.

On disk: ROOT/{models,datasets}/NAMESPACE/NAME/ holds `private` (if it is), `blobs/OID`, `commits/OID.json` (path ->
blob, and the message) and `refs/BRANCH`, which holds the OID of a commit.
"""

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"  # tokens it knows


class SmallHub(ThreadingHTTPServer):
    """Serves repositories under `root`; `requests` lists what it was asked, as "METHOD path"."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def repository(self, kind: str, repo_id: str) -> Path:
        return self.root / kind / repo_id

    def log(self, kind: str, repo_id: str) -> list[str]:
        """Messages of all commits, in no order."""
        commits = (self.repository(kind, repo_id) / "commits").glob("*.json")
        return [json.loads(path.read_text())["message"] for path in commits]

    def files(self, kind: str, repo_id: str, branch: str = "main") -> dict[str, bytes]:
        """Contents of a branch."""
        repository = self.repository(kind, repo_id)
        commit = json.loads((repository / "commits" / f"{(repository / 'refs' / branch).read_text()}.json").read_text())
        return {path: (repository / "blobs" / oid).read_bytes() for path, oid in commit["files"].items()}


@contextmanager
def small_hub(root: Path) -> Iterator[SmallHub]:
    """A Hub that listens on a free port of this machine until the block ends."""
    server = SmallHub(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class RefusedError(Exception):
    """An answer that is an error: status, X-Error-Code and message."""


class Handler(BaseHTTPRequestHandler):
    """Routes by the first regular expression that fits; the path is matched while still percent-encoded."""

    server: SmallHub
    protocol_version = "HTTP/1.1"

    ROUTES = (
        ("POST", "/api/repos/create", "create"),
        ("POST", "/api/validate-yaml", "validate"),
        ("GET", r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", "info"),
        ("POST", r"/api/(models|datasets)/([^/]+/[^/]+)/branch/([^/]+)", "branch"),
        ("POST", r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
        ("POST", r"/api/(models|datasets)/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
        ("GET", r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/]+)", "tree"),
        ("GET", r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
    )

    def handle_any(self) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        method = "GET" if self.command == "HEAD" else self.command
        try:
            for verb, pattern, name in self.ROUTES:
                if verb == method and (match := re.fullmatch(pattern, path)):
                    return getattr(self, f"do_{name}")(*(unquote(part) if part else part for part in match.groups()))
            raise RefusedError(404, "", f"no route {path}")
        except RefusedError as error:
            status, code, message = error.args
            return self.answer({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    do_GET = do_HEAD = do_POST = handle_any  # noqa: N815

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def authorise(self, write: bool = False) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if token not in (None, WRITER, READER):
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        if write and token != WRITER:
            raise RefusedError(
                403 if token else 401, "", "this token is for reading" if token else "Invalid username or password."
            )
        return token

    def open(self, kind: str, repo_id: str, revision: str | None = None, write: bool = False) -> tuple[Path, str]:
        """Folder of a repository and the commit of a revision."""
        token = self.authorise(write)
        repository = self.server.repository(kind, repo_id)
        if not repository.exists() or ((repository / "private").exists() and not token):
            raise RefusedError(404 if token else 401, "RepoNotFound", "Repository not found")
        reference = repository / "refs" / (revision or "main")
        if reference.exists():
            return repository, reference.read_text()
        if not (repository / "commits" / f"{revision}.json").exists():
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, str(revision)

    def add_commit(self, repository: Path, branch: str, files: dict[str, str], message: str) -> str:
        parent = reference.read_text() if (reference := repository / "refs" / branch).exists() else None
        content = json.dumps({"files": files, "message": message, "parent": parent})
        oid = hashlib.sha1(content.encode()).hexdigest()
        (repository / "commits" / f"{oid}.json").write_text(content)
        reference.write_text(oid)
        return oid

    def manifest(self, repository: Path, commit: str) -> dict[str, str]:
        return dict(json.loads((repository / "commits" / f"{commit}.json").read_text())["files"])

    def do_create(self) -> None:
        self.authorise(write=True)
        asked = json.loads(self.body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        prefix = "datasets/" if asked["type"] == "dataset" else ""
        repository = self.server.repository(f"{asked['type']}s", repo_id)
        if repository.exists():
            raise RefusedError(409, "", "You already created this repo")
        for name in ("blobs", "commits", "refs"):
            (repository / name).mkdir(parents=True)
        if asked.get("visibility") == "private" or asked.get("private"):
            (repository / "private").touch()
        self.add_commit(repository, "main", {}, "initial commit")
        self.answer({"url": f"{self.server.url}/{prefix}{repo_id}"})

    def do_validate(self) -> None:
        self.answer({"errors": [], "warnings": []})

    def do_info(self, kind: str, repo_id: str, revision: str | None) -> None:
        repository, commit = self.open(kind, repo_id, revision)
        siblings = [{"rfilename": path} for path in self.manifest(repository, commit)]
        private = (repository / "private").exists()
        self.answer({"id": repo_id, "sha": commit, "private": private, "tags": [], "siblings": siblings})

    def do_branch(self, kind: str, repo_id: str, branch: str) -> None:
        repository, commit = self.open(kind, repo_id, write=True)
        (repository / "refs" / branch).write_text(commit)
        self.answer({})

    def do_preupload(self, kind: str, repo_id: str, revision: str) -> None:
        repository, commit = self.open(kind, repo_id, revision, write=True)
        there = self.manifest(repository, commit)
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        common = {"uploadMode": "regular", "shouldIgnore": False}
        self.answer({"files": [{"path": path, "oid": there.get(path), **common} for path in paths]})

    def do_commit(self, kind: str, repo_id: str, revision: str) -> None:
        repository, commit = self.open(kind, repo_id, revision, write=True)
        files, message = self.manifest(repository, commit), ""
        for line in map(json.loads, self.body.splitlines()):
            if line["key"] == "header":
                message = line["value"]["summary"]
            elif line["key"] == "file":
                data = b64decode(line["value"]["content"])
                oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # as git names a blob
                (repository / "blobs" / oid).write_bytes(data)
                files[line["value"]["path"]] = oid
            else:
                assert line["key"] == "deletedFile", line["key"]
                del files[line["value"]["path"]]
        oid = self.add_commit(repository, revision, files, message)
        self.answer({"commitUrl": f"{self.server.url}/{repo_id}/commit/{oid}", "commitOid": oid})

    def do_tree(self, kind: str, repo_id: str, revision: str) -> None:
        repository, commit = self.open(kind, repo_id, revision)
        self.answer(
            [
                {"type": "file", "path": path, "oid": oid, "size": (repository / "blobs" / oid).stat().st_size}
                for path, oid in self.manifest(repository, commit).items()
            ]
        )

    def do_resolve(self, prefix: str | None, repo_id: str, revision: str, path: str) -> None:
        repository, commit = self.open("datasets" if prefix else "models", repo_id, revision)
        oid = self.manifest(repository, commit).get(path)
        if oid is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        data = (repository / "blobs" / oid).read_bytes()
        self.answer(data, headers={"ETag": f'"{oid}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"})

    def log_message(self, *_: object) -> None:
        """Say nothing."""
