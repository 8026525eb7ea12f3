"""Temporary files for long bodies, so that slow clients do not use memory."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

IN_MEMORY_BYTES: Final = 128 * 1024  # maximum size of a body that is kept in memory
PIECE_BYTES: Final = 256 * 1024


def spool(folder: Path) -> IO[bytes]:
    """Return an unnamed temporary file that is kept in memory while it is short."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(folder))


def spooled(response: Response, folder: Path) -> Response:
    """Return a response with the same content that streams a long body from an unnamed file."""
    body = getattr(response, "body", b"")
    if len(body) <= IN_MEMORY_BYTES or response.background is not None:
        return response
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed when the response is sent
    except OSError:  # the disk is full or read-only; reading must continue to work
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
    """Yield the rest of a file, and close it at the end."""
    try:
        while piece := await run_in_threadpool(file.read, PIECE_BYTES):
            yield piece
    finally:
        file.close()
