"""`.gitattributes` and `.gitignore` as git reads them, for paths that come from clients.

Patterns come from repositories, so matching must not blow up: segments are matched by `fnmatch`, whose expressions do
not backtrack, and `**` by a table over segments.
"""

import base64
import binascii
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from seqhub.server.refusal import Refusal

MAX_LINES = 2000
MAX_BYTES = 256 * 1024
SAMPLE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what it matches, and what it says."""

    segments: tuple[str, ...]  # without a slash in the pattern: one segment, matched against the last part of a path
    anchored: bool
    folders_only: bool
    value: bool  # of .gitignore: ignored; of .gitattributes: filter=lfs

    def matches(self, path: str, *, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        parts = tuple(path.split("/"))
        if not self.anchored:
            return _part_matches(parts[-1], self.segments[0])
        return _segments_match(self.segments, parts)


def ignore_rules(text: str) -> list[Rule]:
    rules = []
    for line in _lines(text):
        pattern = line.rstrip() if not line.endswith("\\ ") else line
        value = not pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        if rule := _rule(pattern, value):
            rules.append(rule)
    return rules


def is_ignored(rules: Sequence[Rule], path: str) -> bool:
    """A file in an ignored folder cannot be brought back by a later line."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        is_folder = depth < len(parts)
        verdict = last_word(rules, "/".join(parts[:depth]), is_folder=is_folder)
        if verdict:
            return True
    return False


def lfs_rules(text: str) -> list[Rule]:
    r"""The lines of a `.gitattributes` that say anything about `filter`.

    >>> last_word(lfs_rules("*.bin filter=lfs diff=lfs\nsmall.bin -filter"), "a/x.bin")
    True
    """
    rules = []
    for line in _lines(text):
        quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\s+(.*)', line)
        pattern, _, rest = (quoted[1], "", quoted[2]) if quoted else line.strip().partition(" ")
        words = [word for word in rest.split() if word.lstrip("-!").split("=")[0] == "filter"]
        if words and not pattern.startswith(("!", "[attr]")) and not pattern.endswith("/"):
            rule = _rule(pattern, words[-1] == "filter=lfs")
            if rule:
                rules.append(rule)
    return rules


def last_word(rules: Sequence[Rule], path: str, *, is_folder: bool = False) -> bool:
    """What the last line that matches says."""
    return next((rule.value for rule in reversed(rules) if rule.matches(path, is_folder=is_folder)), False)


def is_binary(sample: bytes, *, is_whole: bool) -> bool:
    """Whether the first bytes of a file are no text in UTF-8; the last character may be cut off."""
    if b"\0" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as problem:
        return is_whole or problem.reason != "unexpected end of data"
    return False


def decoded_sample(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)[:SAMPLE_BYTES]
    except (binascii.Error, ValueError):
        raise Refusal(400, 'Field "sample" must be base64.') from None


def _lines(text: str) -> list[str]:
    lines = text[:MAX_BYTES].splitlines()[:MAX_LINES]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _rule(pattern: str, value: bool) -> Rule | None:
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    if not pattern or len(pattern) > 1024:
        return None
    anchored = "/" in pattern
    segments = [_segment(part) for part in pattern.lstrip("/").split("/")]
    collapsed = [s for i, s in enumerate(segments) if s != "**" or i == 0 or segments[i - 1] != "**"]
    return Rule(tuple(collapsed), anchored, folders_only, value)


def _segment(part: str) -> str:
    """One segment in fnmatch's words: `[^a]` is `[!a]` there, and a backslash quotes by brackets."""
    if part == "**":
        return part
    part = re.sub(r"\\(.)", r"[\1]", part)
    return re.sub(r"\*{2,}", "*", part.replace("[^", "[!"))


@lru_cache(maxsize=4096)
def _compiled(segment: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(segment))


def _part_matches(part: str, segment: str) -> bool:
    try:
        return _compiled(segment).match(part) is not None
    except re.error:
        return part == segment


def _segments_match(segments: Sequence[str], parts: Sequence[str]) -> bool:
    """`**` stands for any number of parts, and at the end for at least one."""
    reachable = {0}
    for place, segment in enumerate(segments):
        if segment == "**":
            first = min(reachable, default=len(parts) + 1)
            least = first + 1 if place == len(segments) - 1 else first
            reachable = set(range(least, len(parts) + 1))
        else:
            reachable = {at + 1 for at in reachable if at < len(parts) and _part_matches(parts[at], segment)}
        if not reachable:
            return False
    return len(parts) in reachable
