"""`git clone`, `fetch` and `pull` over smart HTTP; read-only.

Source: git, Documentation/gitprotocol-http and gitprotocol-pack, version 0, which every client accepts; upload-pack.c
where they are ambiguous. Each request repeats the previous negotiation, so the server keeps no state between requests.
"""

import logging
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.responses import Response, StreamingResponse

from seqhub.server import git, serializers
from seqhub.server.errors import HubHTTPError
from seqhub.server.packfile import ERROR, FLUSH, ContentReader, Graph, Reader, banded, lines, missing_objects, pack, pkt
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.types import DEFAULT_BRANCH

logger = logging.getLogger(__name__)

HEAD = f"refs/heads/{DEFAULT_BRANCH}"
TAG = "refs/tags/"
BODY_LIMIT = 4 * 2**20  # for 80,000 wants and haves
PIECE = 128 * 1024  # bytes of a pack that a worker computes at a time
CAPABILITIES = (
    "multi_ack_detailed side-band-64k shallow include-tag allow-reachable-sha1-in-want object-format=sha1 agent=seqhub"
)
RESULT = "application/x-git-upload-pack-result"
NO_STORE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
NO_PUSH = "git push is not part of this Hub: upload with huggingface_hub (`hf upload`, HfApi.create_commit)."
_OID = re.compile(rb"[0-9a-f]{40}")


@dataclass(slots=True)
class FetchRequest:
    """Request of a client to fetch objects."""

    wants: dict[bytes, None] = field(default_factory=dict)
    capabilities: frozenset[bytes] = frozenset()
    shallow: set[bytes] = field(default_factory=set)  # commits whose parents the client does not have
    depth: int | None = None
    haves: dict[bytes, None] = field(default_factory=dict)
    has_more: bool = False  # False if the client only requests the boundary of a shallow clone
    done: bool = False


@dataclass(frozen=True, slots=True)
class Tips:
    """Commits to which the refs of a repository point."""

    refs: dict[str, bytes]
    peeled: dict[bytes, bytes]  # annotated tag -> commit


def advertise(context: RequestContext) -> Response:
    """Return the refs, the first response of a fetch."""
    service = context.request.query_params.get("service")
    if service == "git-receive-pack":
        return refuse_push(context)
    if service != "git-upload-pack":
        raise HubHTTPError(
            403, "Only the smart HTTP protocol of git is supported: ?service=git-upload-pack is required."
        )
    found = tips(context, Graph(reader(context)))
    rows = [(b"HEAD", found.refs[HEAD])] if HEAD in found.refs else []
    for ref, oid in found.refs.items():
        rows.append((ref.encode(), oid))
        if oid in found.peeled:
            rows.append((ref.encode() + b"^{}", found.peeled[oid]))
    capabilities = CAPABILITIES + (f" symref=HEAD:{HEAD}" if HEAD in found.refs else "")
    rows = rows or [(b"capabilities^{}", bytes(20))]
    body = [pkt(b"# service=git-upload-pack\n"), FLUSH]
    for place, (name, oid) in enumerate(rows):
        extra = b"" if place else b"\0" + capabilities.encode()
        body.append(pkt(oid.hex().encode() + b" " + name + extra + b"\n"))
    body.append(FLUSH)
    return Response(b"".join(body), media_type="application/x-git-upload-pack-advertisement", headers=NO_STORE)


def upload_pack(context: RequestContext) -> Response:
    """Negotiate common commits; after `done`, send the objects that the client is missing."""
    try:
        fetch = parsed(unpacked(context))
    except ValueError as problem:
        raise HubHTTPError(400, f"The body is not a request to git-upload-pack: {problem}.") from None
    if not fetch.wants:  # git sends an empty request before a large one
        return answer([])
    graph = Graph(reader(context))
    found = tips(context, graph)
    unknown = unreachable(graph, found, fetch)
    if unknown is not None:
        return answer([pkt(b"ERR upload-pack: not our ref " + unknown.hex().encode() + b"\n")])
    first: list[bytes] = []
    ends: set[bytes] = fetch.shallow
    if fetch.depth is not None:
        starts = [tip for tip in map(graph.peel_to_commit, fetch.wants) if tip is not None]
        inside, cut = graph.within(starts, fetch.depth)
        opened = (fetch.shallow & inside) - cut
        first += [pkt(b"shallow " + oid.hex().encode()) for oid in sorted(cut - fetch.shallow)]
        first += [pkt(b"unshallow " + oid.hex().encode()) for oid in sorted(opened)]
        first.append(FLUSH)
        ends = cut | (fetch.shallow - opened)
        if not fetch.has_more:
            return answer(first)
    common = [oid for oid in fetch.haves if graph.peel_to_commit(oid) == oid]
    last = common[-1].hex().encode() if common else b""
    if b"multi_ack_detailed" in fetch.capabilities:
        first += [pkt(b"ACK %s common\n" % oid.hex().encode()) for oid in common]
    if not fetch.done:
        if common and b"multi_ack_detailed" in fetch.capabilities:
            first += [pkt(b"ACK %s ready\n" % last), pkt(b"NAK\n")]
        else:
            first.append(pkt(b"ACK %s\n" % last if common else b"NAK\n"))
        return answer(first)
    first.append(pkt(b"ACK %s\n" % last if common else b"NAK\n"))
    return streamed(context.iterate("heavy", pack_stream(context, graph, found, fetch, first, common, ends)))


def pack_stream(
    context: RequestContext,
    graph: Graph,
    found: Tips,
    fetch: FetchRequest,
    first: list[bytes],
    common: list[bytes],
    ends: set[bytes],
) -> Iterator[bytes]:
    """Yield the end of the negotiation and the pack, in pieces of 64 KiB."""
    yield b"".join(first)
    has_bands = b"side-band-64k" in fetch.capabilities
    tags = found.peeled.items() if b"include-tag" in fetch.capabilities else ()
    try:
        oids = missing_objects(graph, fetch.wants, common, ends=ends, client_ends=fetch.shallow, tags=tags)
        del graph  # free the memory of the commits
        whole = pack(content_reader(context), oids)
        yield from merge_pieces(banded(whole) if has_bands else whole)
    except Exception:
        if not has_bands:
            raise  # the client detects the incomplete pack by its checksum
        request_id = context.request.scope.get("seqhub.request_id", "")
        logger.exception("request %s: sending a pack of %s failed", request_id, context.repo.repo_id)
        yield pkt(ERROR + f"internal error; see {request_id} in the log of the server\n".encode())


def refuse_push(context: RequestContext) -> Response:
    """Reject a push with a plain text message, which git displays."""
    return Response(
        NO_PUSH + "\n",
        501,
        {serializers.ERROR_MESSAGE: serializers.header_text(NO_PUSH)},
        media_type="text/plain; charset=utf-8",
    )


def reader(context: RequestContext) -> Reader:
    """Return a function that reads objects of the repository by their id of 20 bytes."""

    def read(oid: bytes) -> tuple[git.ObjectKind, bytes]:
        if oid == git.EMPTY_TREE:  # tree of a repository without files, which is not stored
            return "tree", b""
        return context.store.git.read(context.repo, oid.hex())

    return read


def content_reader(context: RequestContext) -> ContentReader:
    """Return a function that reads objects by their id of 20 bytes, and long contents as files."""
    read = reader(context)

    def read_content(oid: bytes) -> tuple[git.ObjectKind, bytes | Path]:
        path = context.store.git.file(context.repo, oid.hex())
        return read(oid) if path is None else ("blob", path)

    return read_content


def merge_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Merge pieces into larger ones of at least `PIECE` bytes."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def tips(context: RequestContext, graph: Graph) -> Tips:
    """Return the tips of a repository."""
    refs = {ref: bytes.fromhex(oid) for ref, oid in context.store.git.refs(context.repo).items()}
    peeled = {oid: graph.peel_to_commit(oid) for ref, oid in refs.items() if ref.startswith(TAG)}
    return Tips(refs, {tag: oid for tag, oid in peeled.items() if oid is not None and oid != tag})


def unreachable(graph: Graph, found: Tips, fetch: FetchRequest) -> bytes | None:
    """Return a requested object that is not reachable from a ref; None if all are reachable.

    Ancestors of a tip are accepted, since a ref may have moved after the client read it.
    """
    known = {*found.refs.values(), *found.peeled.values()}
    others = [oid for oid in fetch.wants if oid not in known]
    if not others:
        return None
    history = graph.history(oid for oid in known if oid not in found.peeled)
    return next((oid for oid in others if oid not in history), None)


def parsed(body: bytes) -> FetchRequest:
    """Parse a request to git-upload-pack.

    Raises:
        ValueError: The body is not a valid request.
    """
    fetch = FetchRequest()
    in_wants = True
    for line in lines(body):
        if line is None:
            if not in_wants:  # end of a batch of haves, which needs a response
                fetch.has_more = True
            in_wants = False
            continue
        word, _, rest = line.partition(b" ")
        if in_wants and word == b"want":
            value, _, capabilities = rest.partition(b" ")
            if capabilities:
                fetch.capabilities = frozenset(capabilities.split())
            fetch.wants[oid_of(value)] = None
        elif in_wants and word == b"shallow":
            fetch.shallow.add(oid_of(rest))
        elif in_wants and word == b"deepen":
            if not (rest.isdigit() and len(rest) <= 10 and int(rest) > 0):
                raise ValueError(f"invalid depth {rest[:40]!r}")
            fetch.depth = int(rest)
        elif not in_wants and word == b"have":
            fetch.haves[oid_of(rest)] = None
            fetch.has_more = True
        elif not in_wants and line == b"done":
            fetch.done = fetch.has_more = True
            break
        else:
            raise ValueError(f"unexpected line {line[:60]!r}")
    return fetch


def oid_of(text: bytes) -> bytes:
    """Parse an object id."""
    if not _OID.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not an object id")
    return bytes.fromhex(text.decode())


def unpacked(context: RequestContext) -> bytes:
    """Return the body, decompressed if necessary, up to the limit of the route.

    Raises:
        ValueError: The body is not valid gzip despite its Content-Encoding.
    """
    encoding = context.request.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return context.body
    if encoding not in ("gzip", "x-gzip"):
        raise HubHTTPError(415, f"Content-Encoding must be gzip, not {encoding[:40]!r}.")
    stream = zlib.decompressobj(wbits=31)
    try:
        body = stream.decompress(context.body, context.body_limit + 1)
    except zlib.error as problem:
        raise ValueError(f"the body is not gzip ({problem})") from None
    if len(body) > context.body_limit:
        raise HubHTTPError(413, f"The body has more than the {context.body_limit} bytes that are allowed here.")
    if not stream.eof:
        raise ValueError("the gzip body is truncated")
    return body


def answer(chunks: list[bytes]) -> Response:
    return Response(b"".join(chunks), media_type=RESULT, headers=NO_STORE)


def streamed(chunks: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(chunks, media_type=RESULT, headers=NO_STORE)


def make_routes() -> list[Route]:
    rows = []
    for suffix in (".git", ""):  # git keeps the URL as given by the user
        base = f"/{{prefix}}{{repo}}{suffix}"
        rows += [
            Route(
                "GET",
                f"{base}/info/refs",
                "read",
                advertise,
                "`git clone`, `git fetch`: list of refs",
                work="heavy",
                takes_basic=True,
            ),
            Route(
                "POST",
                f"{base}/git-upload-pack",
                "read",
                upload_pack,
                "`git clone`, `git fetch`: objects",
                body_limit=BODY_LIMIT,
                work="heavy",
                takes_basic=True,
            ),
            Route(
                "POST",
                f"{base}/git-receive-pack",
                "read",
                refuse_push,
                "`git push`; upload with huggingface_hub instead",
                state="unsupported",
                takes_basic=True,
            ),
        ]
    return rows


routes = make_routes()
