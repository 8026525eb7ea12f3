"""Reconstruction of the files of a shard from the xorbs of its sender, and storage as blobs.

A shard is checked before a byte is written: the sender must have sent each xorb, chunk ranges must be within it and
have the declared size, and range hashes and the hash of the file must match the chunks. The SHA-256, by which commits
refer to a file, is computed from the bytes while they are written.
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


def store_shard(
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
        store: Storage for the blobs.
        xorbs: Xorbs of the sender.
        raw: Bytes of the shard.
        account: Account of the sender, which may use the blobs in commits afterwards.
        token: Token of the sender. If it is restricted to repositories, commits must use the same token.
        max_bytes: Maximum size of a file.

    Returns:
        SHA-256 and size of each file.

    Raises:
        HubHTTPError: 4xx if the shard is invalid, refers to xorbs that were not sent, or exceeds the quota of
            uncommitted bytes; 507 if the disk is full.
    """
    files = read_shard(raw)
    largest, total = max((file.size for file in files), default=0), sum(file.size for file in files)
    if largest > max_bytes:
        raise HubHTTPError(413, f"A file of the shard has {largest} bytes; at most {max_bytes} are allowed.")
    free = shutil.disk_usage(store.root).free
    if total > free:  # a short shard can describe terabytes
        raise HubHTTPError(507, f"The files of the shard have {total} bytes; {free} are free.")
    store.blobs.check_upload_quota(account, total, token)
    store.release()
    cache = XorbCache(xorbs, store)
    try:
        for file in files:
            _check(file, cache)
        return [_rebuild(file, cache, store, account, token) for file in files]
    except (LostError, HubHTTPError) as problem:
        if isinstance(problem, HubHTTPError) and (problem.status != 400 or cache.is_intact()):
            raise
        # The client has cached that it sent a xorb; only another URL makes it discard this cache (see xorb_store).
        xorbs.renew()
        raise HubHTTPError(
            404, "The shard refers to xorbs that you have not sent, or that were lost: start the upload again."
        ) from None
    finally:
        cache.close()


class XorbCache:
    """Cache of open xorbs, since files mostly use them one after another."""

    def __init__(self, xorbs: XorbStore, store: "StoreSession") -> None:
        self._xorbs, self._store = xorbs, store
        self._open: OrderedDict[bytes, Xorb] = OrderedDict()
        self._used: set[bytes] = set()

    def xorb(self, hash_: bytes) -> Xorb:
        if hash_ not in self._open:
            if len(self._open) >= OPEN_XORBS:
                _, oldest = self._open.popitem(last=False)
                oldest.flush()
                oldest.close()
            self._open[hash_] = self._xorbs.xorb(hash_, self._blob_of)
            self._used.add(hash_)
        self._open.move_to_end(hash_)
        return self._open[hash_]

    def is_intact(self) -> bool:
        """Return whether all xorbs that were used are intact; if so, the shard is invalid."""
        try:
            return all(self.xorb(hash_).is_intact() for hash_ in sorted(self._used))
        except LostError:
            return False

    def flush(self) -> None:
        for xorb in self._open.values():
            xorb.flush()

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
        raise HubHTTPError(400, f"The chunks of file {to_hex(file.hash)} in the shard do not match its hash.")


def _chunks_of(term: Term, number: int, cache: XorbCache) -> Sequence[tuple[bytes, int]]:
    xorb = cache.xorb(term.xorb)
    if term.end > xorb.n_chunks:
        raise HubHTTPError(
            400, f"Term {number} refers to chunks up to {term.end} of a xorb with {xorb.n_chunks} chunks."
        )
    size = xorb.starts[term.end] - xorb.starts[term.first]
    if size != term.size:
        raise HubHTTPError(400, f"Term {number} declares {term.size} bytes; its chunks have {size}.")
    chunks = xorb.chunks(term.first, term.end)
    if term.range_hash is not None and range_hash(hash_ for hash_, _ in chunks) != term.range_hash:
        raise HubHTTPError(400, f"The range hash of term {number} does not match its chunks.")
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
        with suppress(OSError):  # only the first error is reported
            writer.abort()
        raise
    at = 0
    for term in file.terms():
        cache.xorb(term.xorb).place(term.first, term.end, sha256, at)
        at += term.size
    cache.flush()
    return sha256, size
