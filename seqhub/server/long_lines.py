"""Streaming parser of JSON lines with one very long string, which is written to a file."""

import codecs
import json
import re
import secrets
from collections.abc import Callable, Iterable
from typing import IO, Final

from seqhub.server.errors import HubHTTPError

SHORT_CHARACTERS: Final = 2**16  # maximum length of a string that is kept in the object
_SKELETON_BYTES: Final = 2**20  # maximum length of a line without its long string
# Whole characters only: an incomplete escape is left for the next piece, and lone surrogates do not match.
_CHARACTERS = re.compile(
    r'(?:[^"\\\x00-\x1f]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    r'|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\["\\/bfnrt])*+'
)
_LONGEST_ESCAPE: Final = 12


class LongLine:
    """Line of a body.

    Args:
        begin: Function that creates the file for a long string, in UTF-8.
    """

    def __init__(self, begin: Callable[[], IO[bytes]]) -> None:
        self.text = ""  # the line, with a placeholder for the long string
        self.file: IO[bytes] | None = None
        self.mark = secrets.token_hex(32)
        self._begin = begin

    def read(self, pieces: Iterable[bytes]) -> None:
        """Read the line.

        Raises:
            HubHTTPError: 400 if the line is not valid JSON, 413 if it has several long strings.
        """
        decode = codecs.getincrementaldecoder("utf-8")().decode
        skeleton: list[str] = []
        size, in_string, short, rest = 0, False, "", ""
        is_long = False

        def keep(text: str) -> None:
            nonlocal size
            size += len(text)
            if size > _SKELETON_BYTES:
                raise HubHTTPError(
                    413, f"A line of the commit has more than {_SKELETON_BYTES} bytes besides its content."
                )
            skeleton.append(text)

        try:
            for piece in pieces:
                data = rest + decode(piece)
                at, rest = 0, ""
                while at < len(data):
                    if not in_string:
                        quote = data.find('"', at)
                        end = len(data) if quote < 0 else quote + 1
                        keep(data[at:end])
                        in_string, at, short, is_long = quote >= 0, end, "", False
                        continue
                    found = _CHARACTERS.match(data, at)
                    assert found is not None
                    end = found.end()
                    if is_long or len(short) + end - at > SHORT_CHARACTERS:
                        if not is_long:
                            is_long = True
                            self._start()
                            self._write(short)
                        self._write(data[at:end])
                    else:
                        short += data[at:end]
                    at = end
                    if at < len(data) and data[at] == '"':
                        keep(self.mark + '"' if is_long else short + '"')
                        in_string, at = False, at + 1
                    elif at < len(data):
                        if len(data) - at >= _LONGEST_ESCAPE or data[at] != "\\":
                            raise HubHTTPError(
                                400, "Invalid JSON: a string of the commit has a character that is not allowed."
                            )
                        rest, at = data[at:], len(data)
            decode(b"", True)
        except UnicodeDecodeError as problem:
            raise HubHTTPError(400, f"Invalid JSON: {problem.reason}") from None
        if in_string:
            raise HubHTTPError(400, "Invalid JSON: unterminated string.")
        self.text = "".join(skeleton)

    def _start(self) -> None:
        if self.file is not None:
            raise HubHTTPError(413, "A line of the commit has more than one long string.")
        self.file = self._begin()

    def _write(self, text: str) -> None:
        assert self.file is not None
        raw: str = json.loads(f'"{text}"') if "\\" in text else text
        if "\0" in raw:
            raise HubHTTPError(400, 'Field "content" contains a NUL or a lone surrogate.')
        self.file.write(raw.encode())
