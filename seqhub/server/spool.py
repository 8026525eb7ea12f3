"""Long bodies in temporary files, so that slow clients take no memory."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

HELD_BYTES: Final = 128 * 1024  # of a body that stays in memory
PIECE_BYTES: Final = 256 * 1024


def spool(folder: Path) -> IO[bytes]:
    """Return an unnamed file that stays in memory while it is short."""
    return tempfile.SpooledTemporaryFile(HELD_BYTES, dir=str(folder))


def spooled(response: Response, folder: Path) -> Response:
    """Return the same response; a long body is streamed from an unnamed file."""
    body = getattr(response, "body", b"")
    if len(body) <= HELD_BYTES or response.background is not None:
        return response
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed when the answer is sent
    except OSError:  # reading goes on although the disk is full or read-only
        return response
    try:
        file.write(body)
        file.seek(0)
    except OSError:
        file.close()
        return response
    streamed = StreamingResponse(pieces(file), response.status_code)
    streamed.raw_headers = response.raw_headers
    return streamed


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield the rest of a file, which is closed at the end."""
    try:
        while piece := await run_in_threadpool(file.read, PIECE_BYTES):
            yield piece
    finally:
        file.close()
