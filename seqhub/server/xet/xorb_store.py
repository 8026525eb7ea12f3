"""Xorb store of a user: first the bytes, later the places of chunks in blobs.

For three weeks hf_xet caches for each CAS URL which chunks it has sent, and sends shards that refer to xorbs of earlier
uploads, also after a restart of the server. So xorbs are stored permanently, in a compact form:

    root/xorbs/INSTANCE/USER/EPOCH/           USER-TOKEN for a token restricted to repositories
        HASH.chunks    for each chunk: hash 32, bytes u32
        HASH.bytes     the decoded chunks; removed when places cover all of them
        HASH.places    for each run of chunks: SHA-256 of a blob 32, offset in it u64, first chunk u32, end u32

Places are appended after their blob was flushed to disk. Bytes are not flushed: after a power failure a xorb may be
truncated, which is detected when files are reconstructed from it, and treated as a loss. The CAS URL contains instance
and epoch, and each user has separate epochs, so a client never relies on xorbs that another user of the same machine
has sent. A token restricted to repositories has separate epochs, too: its shards must not refer to chunks that other
tokens of the user have sent, and must not reveal them. After a loss (blobs removed, bytes truncated, xorbs without a
shard for a week) a new epoch begins: for the new URL the client has an empty cache. Running uploads continue in the old
epoch.
"""

import re
import secrets
import shutil
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Final

from seqhub.io import sync_file
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import private
from seqhub.server.xet.hashes import from_hex, to_hex
from seqhub.server.xet.stored_xorb import CHUNK, PIECE_BYTES, BlobOf, LostError, Xorb
from seqhub.server.xet.xorb import XorbReader

EPOCH: Final = re.compile(r"[0-9a-f]{16}")
SWEEP_SECONDS: Final = 3600.0
PENDING_SECONDS: Final = 7 * 24 * 3600.0  # after which a xorb without a shard is removed


class XorbStore:
    """Xorbs of a user, or of a token of the user.

    Args:
        root: Folder of the store.
        instance: Instance id of the store.
        user: Id of the account.
        epoch: Epoch in the CAS URL; None for the newest.
        token: Id of a token restricted to repositories; 0 for all other tokens together.

    Raises:
        HubHTTPError: 410 if the user has no such epoch.
    """

    def __init__(self, root: Path, instance: str, user: int, epoch: str | None = None, *, token: int = 0) -> None:
        self._user = root / "xorbs" / instance / str(user)
        self._home = self._user.with_name(f"{user}-{token}") if token else self._user
        self.epoch = self._newest() if epoch is None else epoch
        self._folder = self._home / self.epoch
        if epoch is None:
            private.make_folder(self._folder)
        if not EPOCH.fullmatch(self.epoch) or not self._folder.is_dir():
            raise HubHTTPError(410, "This upload URL is no longer in use: request a new one.")

    def receive(self, hash_: bytes) -> "Incoming":
        """Start to receive a xorb."""
        return Incoming(self._folder, to_hex(hash_))

    def xorb(self, hash_: bytes, blob_of: BlobOf) -> "Xorb":
        """Return a xorb that this user has sent.

        Raises:
            LostError: This user has not sent it, even if other users have.
        """
        return Xorb(self._folder / to_hex(hash_), blob_of)

    def waiting_bytes(self) -> int:
        """Return the total size of xorbs that this user has sent with any token and that still need their bytes."""
        homes = [self._user, *self._user.parent.glob(f"{self._user.name}-*")]
        return sum(path.stat().st_size for home in homes for path in home.glob("*/*.bytes"))

    def renew(self) -> None:
        """Start a new epoch, so that clients discard their caches at the next upload."""
        newest = self._new_epoch()
        newest.replace(self._home / "newest")

    def _newest(self) -> str:
        path = self._home / "newest"
        if not path.exists():
            newest = self._new_epoch()
            with suppress(FileExistsError):  # created by another process
                path.hardlink_to(newest)
            newest.unlink()
        if not EPOCH.fullmatch(path.read_bytes().decode("ascii", "replace")):  # truncated by a power failure
            self.renew()
        return path.read_text()

    def _new_epoch(self) -> Path:
        """Create the folder of a new epoch, and return a file with its name."""
        name = secrets.token_hex(8)
        private.make_folder(self._home / name, exist_ok=False)
        note = self._home / f"newest.{name}"
        private.write(note, name.encode())
        sync_file(note)
        return note


class Incoming:
    """Xorb that is being received; it becomes visible after `finish`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name, self._target = name, folder / name
        self._part = folder / f"{name}.{secrets.token_hex(4)}.part"
        self._file: BinaryIO = private.create(self._part, buffering=PIECE_BYTES)
        self._reader = XorbReader(self._file.write)

    def write(self, piece: bytes) -> None:
        self._reader.write(piece)

    def finish(self) -> bool:
        """Check the xorb and store it; return whether it is new."""
        self._reader.finish(from_hex(self._name))
        self._file.close()
        if self._is_known():
            self._part.unlink()
            return False
        self._part.replace(self._target.with_suffix(".bytes"))
        entries = self._part.with_suffix(".index")
        private.write(entries, b"".join(CHUNK.pack(*chunk) for chunk in self._reader.chunks))
        entries.replace(self._target.with_suffix(".chunks"))
        return True

    def _is_known(self) -> bool:
        """Return whether all chunks are already stored."""
        try:
            with closing(Xorb(self._target)) as xorb:
                return xorb.is_complete()
        except LostError:
            return False

    def abort(self) -> None:
        """Discard the xorb; no effect after `finish`."""
        with suppress(OSError):  # the disk is full; the file is removed anyway
            self._file.close()
        self._part.unlink(missing_ok=True)


def sweep(root: Path, instance: str, *, now: float | None = None) -> bool:
    """Remove xorbs of earlier instances, and bytes without a shard for a week; at most once an hour."""
    now = time.time() if now is None else now
    stamp = root / "xorbs" / "swept"
    with suppress(FileNotFoundError):
        if stamp.stat().st_mtime > now - SWEEP_SECONDS:
            return False
    private.make_folder(stamp.parent)
    private.touch(stamp)
    for folder in stamp.parent.iterdir():
        if folder.is_dir() and folder.name != instance:
            shutil.rmtree(folder, ignore_errors=True)
    for path in (stamp.parent / instance).glob("*/*/*"):
        if path.suffix in {".bytes", ".part", ".index"}:
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < now - PENDING_SECONDS:
                    path.unlink()
    return True
