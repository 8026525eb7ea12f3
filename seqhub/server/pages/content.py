"""Reading of the beginning of a file."""

from seqhub.server.request import RequestContext
from seqhub.server.routes.files import first_bytes
from seqhub.server.types import Commit, Entry


def beginning(context: RequestContext, commit: Commit, entry: Entry, limit: int, start: int = 0) -> bytes:
    """Return at most `limit` bytes of a file."""
    content = context.store.revisions.content(context.repo, commit, entry)
    return first_bytes(content, start, start + limit)


def text_of(context: RequestContext, commit: Commit, entry: Entry, limit: int) -> str:
    """Return at most `limit` bytes of a file as text, with U+FFFD for bytes that are not UTF-8."""
    return beginning(context, commit, entry, limit).decode("utf-8", "replace")


def is_text(sample: bytes) -> bool:
    r"""Return whether the beginning of a file is UTF-8 text.

    >>> is_text("é".encode()[:1]), is_text(b"a\0b"), is_text(b"\xff\xfe")
    (True, False, False)
    """
    if b"\0" in sample:
        return False
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 3 and error.reason == "unexpected end of data"
    return True
