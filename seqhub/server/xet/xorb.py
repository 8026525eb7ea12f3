"""Incremental reader of untrusted xorbs: each chunk is decoded, hashed and passed on.

A xorb is a sequence of chunks, each with a header of eight bytes (numbers are little-endian):

    version              1 byte    0
    compressed length    3 bytes
    coding               1 byte    0 none, 1 LZ4 frame, 2 bytes regrouped by four, then LZ4 frame
    decoded length       3 bytes   at most 128 KiB

A footer that begins with `XETBLOB` may follow; it repeats data of the chunks and is skipped. Uploads have no footer.
Source: Xet protocol specification, "Xorb", https://huggingface.co/docs/xet/xorb.
"""

from collections.abc import Callable
from typing import Final

import lz4.frame  # type: ignore[import-untyped]

from seqhub.server.errors import HubHTTPError
from seqhub.server.xet.hashes import Tree, chunk_hash, to_hex

HEADER_BYTES: Final = 8
MAX_CHUNK_BYTES: Final = 128 * 1024
MAX_CHUNKS: Final = 8 * 1024
MAX_XORB_BYTES: Final = 64 * 1024 * 1024  # decoded
MAX_FOOTER_BYTES: Final = 64 + 64 * MAX_CHUNKS  # a hash and two offsets for each chunk
MAX_BODY_BYTES: Final = MAX_XORB_BYTES + HEADER_BYTES * MAX_CHUNKS + MAX_FOOTER_BYTES
FOOTER_MARK: Final = b"XETBLOB"

PLAIN, LZ4, GROUPED_LZ4 = 0, 1, 2


class XorbReader:
    """Incremental reader of a xorb, with at most one chunk in memory.

    Args:
        sink: Callback that receives the decoded bytes of each chunk.
    """

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self.chunks: list[tuple[bytes, int]] = []  # hash and decoded size of each chunk
        self.size = 0  # decoded bytes so far
        self._sink = sink
        self._tree = Tree()
        self._rest = bytearray()
        self._footer = -1  # number of its bytes so far; -1 before it begins

    def write(self, piece: bytes) -> None:
        """Add the next bytes.

        Raises:
            HubHTTPError: 400 or 413 if they cannot be part of a xorb.
        """
        if self._footer >= 0:
            self._skip(len(piece))
            return
        self._rest += piece
        view = memoryview(bytes(self._rest))  # a copy, so that the buffer may shrink while parts of it are in use
        at = 0
        while len(view) - at >= HEADER_BYTES:
            if view[at : at + len(FOOTER_MARK)].tobytes() == FOOTER_MARK:
                self._skip(len(view) - at)
                at = len(view)
                break
            coding, packed, size = self._header(view[at : at + HEADER_BYTES])
            if len(view) - at < HEADER_BYTES + packed:
                break
            self._take(decode(coding, view[at + HEADER_BYTES : at + HEADER_BYTES + packed], size))
            at += HEADER_BYTES + packed
        del self._rest[:at]

    def finish(self, expected: bytes) -> None:
        """Compare the hash of the xorb with the expected one.

        Raises:
            HubHTTPError: 400 if the xorb is truncated or empty, or has another hash.
        """
        if self._rest:
            raise HubHTTPError(400, f"The xorb ends within chunk {len(self.chunks)}.")
        if not self.chunks:
            raise HubHTTPError(400, "The xorb has no chunks.")
        root = self._tree.root()
        if root != expected:
            raise HubHTTPError(400, f"The xorb has the hash {to_hex(root)}, not {to_hex(expected)} as in its URL.")

    def _header(self, raw: memoryview) -> tuple[int, int, int]:
        version, coding = raw[0], raw[4]
        packed, size = int.from_bytes(raw[1:4], "little"), int.from_bytes(raw[5:8], "little")
        number = len(self.chunks)
        if version != 0 or coding not in (PLAIN, LZ4, GROUPED_LZ4):
            raise HubHTTPError(400, f"Chunk {number} of the xorb has the unknown version {version} or coding {coding}.")
        if not 0 < size <= MAX_CHUNK_BYTES or not 0 < packed <= 2 * MAX_CHUNK_BYTES:
            raise HubHTTPError(
                400, f"Chunk {number} of the xorb declares {size} bytes; 1 to {MAX_CHUNK_BYTES} are allowed."
            )
        if number >= MAX_CHUNKS or self.size + size > MAX_XORB_BYTES:
            raise HubHTTPError(413, f"The xorb contains more than {MAX_CHUNKS} chunks or {MAX_XORB_BYTES} bytes.")
        return coding, packed, size

    def _take(self, content: bytes) -> None:
        hash_ = chunk_hash(content)
        self.chunks.append((hash_, len(content)))
        self._tree.add(hash_, len(content))
        self.size += len(content)
        self._sink(content)

    def _skip(self, length: int) -> None:
        self._footer = max(self._footer, 0) + length
        if self._footer > MAX_FOOTER_BYTES:
            raise HubHTTPError(413, f"The footer of the xorb has more than {MAX_FOOTER_BYTES} bytes.")


def decode(coding: int, packed: memoryview, size: int) -> bytes:
    """Decode a chunk; the result never has more than `size` bytes.

    Raises:
        HubHTTPError: 400 if the chunk is invalid or has another size.
    """
    if coding == PLAIN:
        content = bytes(packed)
    else:
        unpacker = lz4.frame.LZ4FrameDecompressor()
        try:
            content = unpacker.decompress(packed, max_length=size + 1)
        except (RuntimeError, EOFError, ValueError) as problem:  # lz4 raises RuntimeError for an invalid frame
            raise HubHTTPError(400, f"A chunk of the xorb is not an LZ4 frame: {problem}") from None
        if len(content) == size and (not unpacker.eof or unpacker.unused_data):
            raise HubHTTPError(400, "A chunk of the xorb does not end where its LZ4 frame ends.")
    if len(content) != size:
        raise HubHTTPError(400, f"A chunk of the xorb declares {size} bytes and contains {len(content)} or more.")
    return regrouped(content) if coding == GROUPED_LZ4 else content


def regrouped(groups: bytes) -> bytes:
    """Undo byte grouping, which stores the first bytes of all groups of four, then all second bytes, and so on.

    >>> regrouped(b"aeibfcgdh")
    b'abcdefghi'
    """
    content = bytearray(len(groups))
    at = 0
    for lane in range(4):
        length = (len(groups) + 3 - lane) // 4
        content[lane::4] = groups[at : at + length]
        at += length
    return bytes(content)
