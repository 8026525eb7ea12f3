"""Patterns of `.gitattributes` and `.gitignore`, with the semantics of git, for paths that clients send.

Patterns are untrusted content of repositories, so matching must take bounded time: segments are matched by `fnmatch`,
whose regular expressions do not backtrack, and `**` by a table over segments. (The expressions of pathspec 1.1
backtrack: `*a*a*a...b` takes exponential time.) Most patterns are names or suffixes, which are looked up in a
dictionary; each folder is matched once.
"""

import base64
import binascii
import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from seqhub.server.errors import HubHTTPError

MAX_LINES = 2000
MAX_BYTES = 256 * 1024
SAMPLE_BYTES = 512
MAX_COMPARISONS = 1_000_000  # for each request; about a second
_SPECIAL = frozenset("*?[\\")


@dataclass(frozen=True, slots=True)
class Rule:
    """Line of a file: its pattern and its value."""

    segments: tuple[str, ...]  # a pattern without a slash has one segment, matched against the last part of a path
    anchored: bool
    folders_only: bool
    value: bool  # .gitignore: ignored; .gitattributes: filter=lfs

    def matches(self, path: str, *, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        parts = tuple(path.split("/"))
        if not self.anchored:
            return _part_matches(parts[-1], self.segments[0])
        return _segments_match(self.segments, parts)


class Rules:
    """Lines of a file, indexed by the most frequent patterns: a name, or the suffix of a name."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self._names: defaultdict[str, list[int]] = defaultdict(list)
        self._endings: defaultdict[str, list[int]] = defaultdict(list)
        self._others: list[int] = []  # last line first
        for number, rule in enumerate(self.rules):
            text = rule.segments[0]
            if not rule.anchored and text != "**" and not _SPECIAL.intersection(text):
                self._names[text].append(number)
            elif not rule.anchored and text.startswith("*") and not _SPECIAL.intersection(text[1:]):
                self._endings[text[1:]].append(number)
            else:
                self._others.insert(0, number)
        self._lengths = sorted({len(ending) for ending in self._endings})

    def last_match(self, path: str, *, is_folder: bool = False) -> bool:
        """Return the value of the last line that matches."""
        name = path.rpartition("/")[2]
        found = list(self._names.get(name, ()))
        for length in self._lengths:
            if length <= len(name):
                found += self._endings.get(name[len(name) - length :], ())
        best = max((number for number in found if is_folder or not self.rules[number].folders_only), default=-1)
        for number in self._others:
            if number <= best:
                break
            if self.rules[number].matches(path, is_folder=is_folder):
                return self.rules[number].value
        return best >= 0 and self.rules[best].value

    def comparisons(self, paths: int) -> int:
        """Return the maximum number of comparisons for `paths` calls of `last_match`."""
        return paths * (len(self._others) + len(self._lengths) + 1)


def check_work(*work: int) -> None:
    """Check that comparisons take no longer than about a second.

    Raises:
        HubHTTPError: 413 if there are more.
    """
    if sum(work) > MAX_COMPARISONS:
        text = f"{sum(work):,} comparisons of paths with lines of .gitignore and .gitattributes"
        raise HubHTTPError(413, f"{text}; at most {MAX_COMPARISONS:,} are allowed: send fewer paths at a time.")


@lru_cache(maxsize=4)
def ignore_rules(text: str) -> Rules:
    """Parse a `.gitignore`."""
    rules = []
    for line in _lines(text):
        pattern = line.rstrip() if not line.endswith("\\ ") else line
        value = not pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        if rule := _rule(pattern, value):
            rules.append(rule)
    return Rules(rules)


def is_ignored(rules: Rules, path: str, known: dict[str, bool] | None = None) -> bool:
    """Return whether git ignores a file; no line can include a file of an ignored folder again.

    Args:
        rules: Lines of `.gitignore`.
        path: Path of the file.
        known: Cache of results for folders, updated by the call.
    """
    known = {} if known is None else known
    waiting = []
    folder = path.rpartition("/")[0]
    while folder and folder not in known:
        waiting.append(folder)
        folder = folder.rpartition("/")[0]
    ignored = known[folder] if folder else False
    for folder in reversed(waiting):
        ignored = known[folder] = ignored or rules.last_match(folder, is_folder=True)
    return ignored or rules.last_match(path)


@lru_cache(maxsize=4)
def lfs_rules(text: str) -> Rules:
    r"""Parse the lines of a `.gitattributes` that set `filter`.

    >>> last_match(lfs_rules("*.bin filter=lfs diff=lfs\nsmall.bin -filter"), "a/x.bin")
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
    return Rules(rules)


def last_match(rules: Rules, path: str) -> bool:
    """Return the value of the last line that matches a file."""
    return rules.last_match(path)


def is_binary(sample: bytes, *, is_whole: bool) -> bool:
    """Return whether the first bytes of a file are not UTF-8 text; the last character may be incomplete."""
    if b"\0" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as problem:
        return is_whole or problem.reason != "unexpected end of data"
    return False


def decoded_sample(text: str) -> bytes:
    """Decode the first bytes of a file that a client sent."""
    try:
        return base64.b64decode(text, validate=True)[:SAMPLE_BYTES]
    except (binascii.Error, ValueError):
        raise HubHTTPError(400, 'Field "sample" must be base64.') from None


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
    """Return a segment as an fnmatch pattern: `[^a]` becomes `[!a]`, a backslash becomes brackets."""
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


def _segments_match(segments: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Match segments; `**` matches any number of parts, but at least one at the end."""
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
