"""Routes that write: preupload, commit, history and squash."""

import base64
import binascii
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import IO

from starlette.responses import JSONResponse, Response

from seqhub.server import gitattributes, serializers
from seqhub.server.errors import HubHTTPError, revision_not_found
from seqhub.server.json_body import Fields, parse_object
from seqhub.server.long_lines import SHORT_CHARACTERS, LongLine
from seqhub.server.pickle_scan import may_contain_pickle, reject_pickles
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.contents import Contents, ContentWriter
from seqhub.server.store.database import storage_errors
from seqhub.server.store.names import check_path
from seqhub.server.types import AddLarge, AddStaged, Commit, CopyFile, Delete, Entry, Operation, Repo

MIB = 2**20
MAX_COMMIT = 256 * MIB  # clients send up to 100 MB of small files in one commit, as base64
MAX_LINE = 64 * MIB
BATCH = MIB // 4
LONG_LINE = MIB // 4  # bytes; the content of a longer line is read in pieces
MAX_OPERATIONS = 25_000
PREUPLOAD_FILES = 1000
LIGHT_COMPARISONS = 50_000  # of paths with patterns; a heavy worker is used for more
LARGE_FILE = 10_000_000  # bytes, as on the public Hub
_SHA256 = re.compile(r"[0-9a-f]{64}")


def preupload(context: RequestContext) -> Response:
    """Return for each file whether it is large, whether it is ignored, and the id of the stored content.

    A file is large if `.gitattributes` of the repository sets `filter=lfs`, if it exceeds the size limit, or if it is
    not text.
    """
    ref = writable_ref(context, opens=context.flag("create_pr"))
    context.store.maintenance.require_writable()
    fields = context.json()
    items = fields.objects("files", limit=PREUPLOAD_FILES)
    commit = context.store.revisions.resolve(context.repo, ref)
    lfs_rules = gitattributes.lfs_rules(root_file(context, commit, ".gitattributes"))
    ignored = fields.optional_text("gitIgnore", limit=gitattributes.MAX_BYTES)
    ignore_rules = gitattributes.ignore_rules(root_file(context, commit, ".gitignore") if ignored is None else ignored)
    paths = [item.text("path", limit=4096) for item in items]
    for path in paths:
        check_path(path)
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    work = lfs_rules.comparisons(len(paths)) + ignore_rules.comparisons(len(paths) + len(folders))
    gitattributes.check_work(work)
    if work > LIGHT_COMPARISONS:
        context.require_heavy_worker()
    known: dict[str, bool] = {}
    present = {entry.path: entry for entry in context.store.revisions.entries(context.repo, commit, paths)}
    damaged = context.store.blobs.damaged(entry.oid for entry in present.values())
    answers = []
    for item, path in zip(items, paths, strict=True):
        size = item.integer("size")
        sample = gitattributes.decoded_sample(item.text("sample", "", limit=4096))
        is_large = size > 0 and (
            size > LARGE_FILE
            or gitattributes.last_match(lfs_rules, path)
            or gitattributes.is_binary(sample, is_whole=size <= len(sample))
        )
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if is_large else "regular",
                "shouldIgnore": gitattributes.is_ignored(ignore_rules, path, known),
                "oid": content_id(context, present.get(path), damaged),
            }
        )
    return JSONResponse({"files": answers})


async def commit(context: RequestContext) -> Response:
    """Write a commit from an NDJSON body with a header and operations.

    The body is stored on disk until it is complete, so that a slow client uses neither memory nor a worker.
    """
    opens = context.flag("create_pr")
    ref = await context.run("light", lambda: writable_ref(context, opens=opens))
    body, size = await context.spooled_body()
    try:
        async with context.body_limiter.branch(f"{context.repo.id} {ref}").slot(context.client):
            return await context.run(
                "write" if size <= MIB else "bulk", lambda: read_and_write(context, ref, body, opens)
            )
    finally:
        body.close()


def read_and_write(context: RequestContext, ref: str, body: IO[bytes], opens: bool) -> Response:
    """Read a body and write its commit."""
    header: Fields | None = None
    operations: list[Operation] = []
    with context.store.commits.contents() as contents:
        for fields, text in lines(context, body):
            with text or nullcontext():
                key, value = fields.text("key", limit=40), fields.fields("value")
                if key == "header":
                    header = value
                    continue
                if len(operations) >= MAX_OPERATIONS:
                    raise HubHTTPError(413, f"A commit has at most {MAX_OPERATIONS} operations.")
                operations.append(operation(context, key, value, contents, text))
        if header is None:
            raise HubHTTPError(
                400, 'The commit has no header: its first line must be {"key": "header", "value": {...}}.'
            )
        return write(context, ref, header, operations, opens, contents)


def write(
    context: RequestContext, ref: str, header: Fields, operations: Sequence[Operation], opens: bool, contents: Contents
) -> Response:
    """Write a commit, or a pull request with its first commit."""
    title = header.text("summary", limit=2000).strip()
    if not title:
        raise HubHTTPError(400, 'Field "summary" must not be empty.')
    message = header.text("description", "")
    parent = header.optional_text("parentCommit", limit=64)
    if context.settings.safetensors_only:
        reject_pickles(operations, context.store.blobs.find)
    answer: serializers.Shape = {"success": True, "hookOutput": ""}
    who, token = {"author": context.user.name, "title": title, "message": message}, context.identity.token
    if opens:
        target = ref.removeprefix("refs/heads/")
        opened, made = context.store.discussions.propose(
            context.repo,
            operations,
            target=target,
            base=parent,
            **who,
            uploader=context.user,
            token=token,
            contents=contents,
        )
        answer["pullRequestUrl"] = f"{serializers.page_url(context.base_url, context.repo)}/discussions/{opened.number}"
    else:
        made = context.store.commits.create(
            context.repo,
            ref,
            operations,
            expected_parent=parent,
            **who,
            uploader=context.user,
            token=token,
            contents=contents,
        )
    scan_commit(context, context.repo, made, [item.path for item in operations if not isinstance(item, Delete)])
    answer |= {
        "commitOid": made.oid,
        "commitUrl": f"{serializers.page_url(context.base_url, context.repo)}/commit/{made.oid}",
    }
    return JSONResponse(answer)


def scan_commit(context: RequestContext, repo: Repo, made: Commit, paths: Sequence[str]) -> None:
    """Schedule scans of the files of a commit that may contain pickles."""
    if context.scanner is None:
        return
    wanted = [path for path in paths if may_contain_pickle(path)]
    for entry in context.store.revisions.entries(repo, made, wanted) if wanted else ():
        opened = partial(context.shared_store.revisions.content, repo, made, entry)
        context.scanner.add(entry.lfs.sha256 if entry.lfs else entry.oid, entry.path, opened)


def operation(
    context: RequestContext, key: str, value: Fields, contents: Contents, text: IO[bytes] | None
) -> Operation:
    """Convert a line of a commit to an operation of the store.

    Args:
        context: Context of the request.
        key: Type of the operation.
        value: Fields of the operation.
        contents: Storage for the content of a file.
        text: Field "content", if it is too long for `value`.
    """
    path = value.text("path", limit=4096)
    if key == "deletedFile":
        return Delete(path, is_folder=False)
    if key == "deletedFolder":
        return Delete(path.rstrip("/"), is_folder=True)
    if key == "file":
        return staged(path, value, contents, text)
    if key == "lfsFile":
        return large(context, path, value)
    if key == "copyFile":
        return CopyFile(path, value.text("srcPath", limit=4096), value.optional_text("srcRevision", limit=256))
    raise HubHTTPError(400, f'"key" must be file, lfsFile, deletedFile, deletedFolder or copyFile, not {key!r}.')


def staged(path: str, value: Fields, contents: Contents, text: IO[bytes] | None) -> Operation:
    """Read a small file; its content is compressed or written to disk immediately."""
    encoding = value.text("encoding", "utf-8", limit=20)
    if encoding not in ("base64", "utf-8", "utf8"):
        raise HubHTTPError(400, f'Field "encoding" must be base64 or utf-8, not {encoding!r}.')
    if text is None:
        raw = decoded(value.text("content", limit=MAX_LINE).encode(), encoding)
        packed = contents.add(raw)
        return AddStaged(path, packed, len(raw), lambda: contents.opened(packed))
    with text, ContentWriter(contents, path) as to:
        text.seek(0)
        while piece := text.read(BATCH):  # a multiple of four, the group size of base64
            to.write(decoded(piece, encoding))
            if encoding == "base64" and piece.endswith(b"=") and text.read(1):
                raise HubHTTPError(400, 'Field "content" is not base64: data after the padding')
        return to.finish()


def decoded(piece: bytes, encoding: str) -> bytes:
    """Decode a piece of the content of a file."""
    if encoding != "base64":
        return piece
    try:
        return base64.b64decode(piece, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise HubHTTPError(400, f'Field "content" is not base64: {problem}') from None


def large(context: RequestContext, path: str, value: Fields) -> AddLarge:
    """Read an operation on a large file. Without a size, the size of the blob is used if the user may use it."""
    sha256 = value.text("oid", limit=64)
    if value.text("algo", "sha256", limit=20) not in ("sha256", "sha_256") or not _SHA256.fullmatch(sha256):
        raise HubHTTPError(400, 'Field "oid" must be a SHA-256 in lower-case hexadecimal digits.')
    if value.values.get("size") is not None:
        return AddLarge(path, sha256, value.integer("size"))
    blob = context.store.blobs.find(sha256) if context.may_use(sha256) else None
    if blob is None:
        raise HubHTTPError(422, f"The content of {path} (sha256 {sha256}) was not uploaded by you: upload it first.")
    return AddLarge(path, sha256, blob.stat().st_size)


def lines(context: RequestContext, body: IO[bytes]) -> Iterator[tuple[Fields, IO[bytes] | None]]:
    """Yield the objects of a body; long contents are returned as separate files."""
    folder = context.store.root / "tmp"
    while first := body.readline(LONG_LINE):
        if len(first) < LONG_LINE or first.endswith(b"\n"):
            if first.strip():
                yield Fields(parse_object(first)), None
            continue
        line = LongLine(lambda: tempfile.TemporaryFile(dir=folder))  # noqa: SIM115  closed here or by the caller
        try:
            with storage_errors():
                line.read(rest_of_line(body, first))
            fields = Fields(parse_object(line.text.encode()))
            if line.file is not None and fields.fields("value").values.get("content") != line.mark:
                raise HubHTTPError(400, f'Only field "content" may have more than {SHORT_CHARACTERS} characters.')
        except BaseException:
            if line.file is not None:
                line.file.close()
            raise
        yield fields, line.file


def rest_of_line(body: IO[bytes], piece: bytes) -> Iterator[bytes]:
    """Yield a line in pieces, beginning with `piece`."""
    size = len(piece)
    while piece:
        if size > MAX_LINE:
            raise HubHTTPError(
                413, f"A line of the commit has more than {MAX_LINE} bytes: send the file as a large one."
            )
        yield piece
        if piece.endswith(b"\n"):
            return
        piece = body.readline(LONG_LINE)
        size += len(piece)


def writable_ref(context: RequestContext, *, opens: bool) -> str:
    """Return the full name of the ref to write, after a check of the permission.

    The permission `discuss` is enough to open a pull request and to add commits to one's own. Otherwise `write` is
    required.
    """
    revision = context.params["revision"]
    ref = revision if revision.startswith("refs/") else f"refs/heads/{'main' if revision == 'HEAD' else revision}"
    known = any(found.ref == ref for found in context.store.refs.of_repo(context.repo))
    if not known or ref.startswith("refs/tags/") or (opens and not ref.startswith("refs/heads/")):
        raise revision_not_found(revision)
    number = ref.removeprefix("refs/pr/")
    if opens or (ref.startswith("refs/pr/") and number.isdigit() and is_own(context, int(number))):
        return ref
    context.require("write")
    return ref


def is_own(context: RequestContext, number: int) -> bool:
    """Return whether the client opened a pull request."""
    return context.store.discussions.find(context.repo, number).author == context.user.name


def root_file(context: RequestContext, commit: Commit, path: str) -> str:
    """Return the text of a file in the root of a commit; "" if there is none."""
    entry = context.store.revisions.entry(context.repo, commit, path)
    if entry is None or entry.is_folder or entry.lfs is not None or entry.size > gitattributes.MAX_BYTES:
        return ""
    found = context.store.revisions.content(context.repo, commit, entry)
    return (found if isinstance(found, bytes) else found.read_bytes()).decode(errors="replace")


def content_id(context: RequestContext, entry: Entry | None, damaged: set[str]) -> str | None:
    """Return the id that the client compares with its file: git id of a small file, SHA-256 of a large file.

    None for damaged content, so that the client sends it again.
    """
    if entry is None or entry.is_folder or entry.oid in damaged:
        return None
    if entry.lfs is None:
        return entry.oid
    return entry.lfs.sha256 if context.store.blobs.is_intact(entry.lfs.sha256, entry.lfs.size) else None


def super_squash(context: RequestContext) -> Response:
    """Replace the history of a branch by one commit."""
    message = context.json().text("message", "Super-squash", limit=2000).strip() or "Super-squash"
    ref = writable_ref(context, opens=False)
    made = context.store.commits.squash(context.repo, ref, message, context.user.name)
    return JSONResponse({"success": True, "commitOid": made.oid})


def history(context: RequestContext) -> Response:
    """Return one page of commits, newest first."""
    limit = context.integer("limit", 50, low=1, high=1000)
    formatted = "formatted" in context.values("expand")
    revision = context.params["revision"]
    found, after, total = context.store.revisions.log(
        context.repo, revision, after=context.request.query_params.get("cursor"), limit=limit
    )
    headers = {"X-Total-Count": str(total)}
    if after is not None:
        headers |= serializers.next_link(context.next_url(after))
    return JSONResponse([serializers.commit_item(item, formatted=formatted) for item in found], headers=headers)


_REPO = "/api/{kinds}/{repo}"
routes = [
    Route(
        "POST",
        f"{_REPO}/preupload/{{revision}}",
        "discuss",
        preupload,
        "every upload: whether files are large, ignored or unchanged",
        body_limit=4 * MIB,
    ),
    Route(
        "POST",
        f"{_REPO}/commit/{{revision}}",
        "discuss",
        commit,
        "`create_commit`; `write` is needed except for one's own pull request",
        body_limit=MAX_COMMIT,
    ),
    Route("POST", f"{_REPO}/super-squash/{{revision}}", "write", super_squash, "`super_squash_history`"),
    Route("GET", f"{_REPO}/commits/{{revision}}", "info", history, "`list_repo_commits`"),
]
