"""Rebuild the files of a shard from the xorbs of its sender, and store each as a blob.

A shard is checked before a byte is written: the sender has sent each xorb, chunk ranges are within it and have the size
that they claim, range hashes and the hash of the file follow from the chunks. The SHA-256 that commits use as the name
of a file is computed from the bytes while they are written.
"""

import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seqhub.server.errors import HubHTTPError
from seqhub.server.types import Account, Token
from seqhub.server.xet.hashes import Tree, file_hash, range_hash, to_hex
from seqhub.server.xet.shard import Buffer, ShardFile, Term, read_shard
from seqhub.server.xet.stored_xorb import LostError, Xorb
from seqhub.server.xet.xorb_store import XorbStore

if TYPE_CHECKING:
    from seqhub.server.store import StoreSession

OPEN_XORBS: Final = 32


def take_shard(
    store: "StoreSession",
    xorbs: XorbStore,
    raw: Buffer,
    account: Account,
    token: Token | None = None,
    *,
    max_bytes: int,
) -> list[tuple[str, int]]:
    """Store every file of a shard.

    Args:
        store: Takes the blobs.
        xorbs: What the sender sent before.
        raw: The shard.
        account: The sender, who may name the blobs in commits afterwards.
        token: Token of the sender; one that names repositories must then be that of the commit, too.
        max_bytes: Most bytes of one file.

    Returns:
        SHA-256 and size of each file.

    Raises:
        HubHTTPError: 4xx: the shard is broken or lies, names what the sender has not sent, or more than may wait for a
            commit; 507: no room.
    """
    files = read_shard(raw)
    largest, total = max((file.size for file in files), default=0), sum(file.size for file in files)
    if largest > max_bytes:
        raise HubHTTPError(413, f"A file of the shard has {largest} bytes; at most {max_bytes} are allowed.")
    free = shutil.disk_usage(store.root).free
    if total > free:  # a shard of a few lines can ask for terabytes: refuse before it fills the disk
        raise HubHTTPError(507, f"The files of the shard have {total} bytes; {free} are free.")
    store.blobs.check_upload_quota(account, total, token)
    store.release()
    cache = XorbCache(xorbs, store)
    try:
        for file in files:
            _check(file, cache)
        return [_rebuild(file, cache, store, account, token) for file in files]
    except (LostError, HubHTTPError) as problem:
        if isinstance(problem, HubHTTPError) and (problem.status != 400 or cache.is_sound()):
            raise
        # the client believes that it sent something: only another address makes it forget (see xorbs)
        xorbs.renew()
        raise HubHTTPError(
            404, "The shard names xorbs that you have not sent, or that are gone: start the upload again."
        ) from None
    finally:
        cache.close()


class XorbCache:
    """Cache of open xorbs: files mostly use them one after another."""

    def __init__(self, xorbs: XorbStore, store: "StoreSession") -> None:
        self._xorbs, self._store = xorbs, store
        self._open: OrderedDict[bytes, Xorb] = OrderedDict()
        self._used: set[bytes] = set()

    def xorb(self, hash_: bytes) -> Xorb:
        if hash_ not in self._open:
            if len(self._open) >= OPEN_XORBS:
                _, oldest = self._open.popitem(last=False)
                oldest.settle()
                oldest.close()
            self._open[hash_] = self._xorbs.xorb(hash_, self._blob_of)
            self._used.add(hash_)
        self._open.move_to_end(hash_)
        return self._open[hash_]

    def is_sound(self) -> bool:
        """Return whether every xorb that was used is intact; if so, the shard is wrong."""
        try:
            return all(self.xorb(hash_).is_sound() for hash_ in sorted(self._used))
        except LostError:
            return False

    def settle(self) -> None:
        for xorb in self._open.values():
            xorb.settle()

    def close(self) -> None:
        for xorb in self._open.values():
            xorb.close()

    def _blob_of(self, sha256: str) -> Path | None:
        return self._store.blobs.find(sha256)


def _check(file: ShardFile, cache: XorbCache) -> None:
    tree = Tree()
    for number, term in enumerate(file.terms()):
        chunks = _chunks_of(term, number, cache)
        for hash_, size in chunks:
            tree.add(hash_, size)
    if file_hash(tree.root()) != file.hash:
        raise HubHTTPError(
            400, f"The chunks of file {to_hex(file.hash)} in the shard have another hash than it claims."
        )


def _chunks_of(term: Term, number: int, cache: XorbCache) -> Sequence[tuple[bytes, int]]:
    xorb = cache.xorb(term.xorb)
    if term.end > xorb.n_chunks:
        raise HubHTTPError(400, f"Term {number} names chunks up to {term.end} of a xorb that has {xorb.n_chunks}.")
    size = xorb.starts[term.end] - xorb.starts[term.first]
    if size != term.size:
        raise HubHTTPError(400, f"Term {number} claims {term.size} bytes; its chunks have {size}.")
    chunks = xorb.chunks(term.first, term.end)
    if term.range_hash is not None and range_hash(hash_ for hash_, _ in chunks) != term.range_hash:
        raise HubHTTPError(400, f"Term {number} has another range hash than its chunks.")
    return chunks


def _rebuild(
    file: ShardFile, cache: XorbCache, store: "StoreSession", account: Account, token: Token | None
) -> tuple[str, int]:
    writer = store.blobs.begin()
    try:
        for term in file.terms():
            for piece in cache.xorb(term.xorb).read(term.first, term.end):
                writer.write(piece)
        sha256, size = writer.finish(file.sha256, file.size, account, token)
    except BaseException:
        with suppress(OSError):  # the first error is reported
            writer.abort()
        raise
    at = 0
    for term in file.terms():
        cache.xorb(term.xorb).place(term.first, term.end, sha256, at)
        at += term.size
    cache.settle()
    return sha256, size
