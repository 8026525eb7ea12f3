"""Patterns of `.gitattributes` and `.gitignore`, as git reads them, for paths that come from clients.

Patterns come from repositories, so matching must take bounded time: segments are matched by `fnmatch`, whose regular
expressions do not backtrack, and `**` by a table over segments. (Those of pathspec 1.1 backtrack: `*a*a*a...b` takes
exponential time.) Most lines are names or endings, which are looked up; each folder is matched once.
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
MAX_COMPARISONS = 1_000_000  # of one request; about a second
_SPECIAL = frozenset("*?[\\")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: its pattern and its value."""

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


class Rules:
    """The lines of a file, indexed by the most frequent patterns: a name, or the ending of a name."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self._names: defaultdict[str, list[int]] = defaultdict(list)
        self._endings: defaultdict[str, list[int]] = defaultdict(list)
        self._others: list[int] = []  # the youngest first
        for number, rule in enumerate(self.rules):
            text = rule.segments[0]
            if not rule.anchored and text != "**" and not _SPECIAL.intersection(text):
                self._names[text].append(number)
            elif not rule.anchored and text.startswith("*") and not _SPECIAL.intersection(text[1:]):
                self._endings[text[1:]].append(number)
            else:
                self._others.insert(0, number)
        self._lengths = sorted({len(ending) for ending in self._endings})

    def last_word(self, path: str, *, is_folder: bool = False) -> bool:
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
        """Return the maximum number of comparisons for `paths` calls of `last_word`."""
        return paths * (len(self._others) + len(self._lengths) + 1)


def check_work(*work: int) -> None:
    """Refuse comparisons that would take longer than about a second.

    Raises:
        HubHTTPError: 413.
    """
    if sum(work) > MAX_COMPARISONS:
        text = f"{sum(work):,} comparisons of paths with lines of .gitignore and .gitattributes"
        raise HubHTTPError(413, f"{text}; at most {MAX_COMPARISONS:,} are made: ask for fewer paths at a time.")


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
    """Return whether git ignores a file; one in an ignored folder cannot be included again by a later line.

    Args:
        rules: The lines.
        path: The file.
        known: What was found of folders earlier; filled.
    """
    known = {} if known is None else known
    waiting = []
    folder = path.rpartition("/")[0]
    while folder and folder not in known:
        waiting.append(folder)
        folder = folder.rpartition("/")[0]
    ignored = known[folder] if folder else False
    for folder in reversed(waiting):
        ignored = known[folder] = ignored or rules.last_word(folder, is_folder=True)
    return ignored or rules.last_word(path)


@lru_cache(maxsize=4)
def lfs_rules(text: str) -> Rules:
    r"""Parse the lines of a `.gitattributes` that set `filter`.

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
    return Rules(rules)


def last_word(rules: Rules, path: str) -> bool:
    """Return the value of the last line that matches a file."""
    return rules.last_word(path)


def is_binary(sample: bytes, *, is_whole: bool) -> bool:
    """Return whether the first bytes of a file are not UTF-8 text; the last character may be cut off."""
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
    """Match segments; `**` matches any number of parts, and at the end at least one."""
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
