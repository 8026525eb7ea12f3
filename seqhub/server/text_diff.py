"""Unified diffs in linear time.

Patience diff (Bram Cohen): lines that occur exactly once on both sides are anchors; the search is repeated between
anchors a few times. Lines without anchors are shown as removed and added. The longest increasing sequence of anchors is
found by patience sorting.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_DEPTH = 12  # maximum recursion depth of the search between anchors
_CONTEXT = 3  # unchanged lines around a change


class Change(NamedTuple):
    """Replacement of lines `a_start:a_end` of the old text by lines `b_start:b_end` of the new one."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int


def changes(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """Return the changes, from top to bottom.

    >>> changes(["a", "b", "c"], ["a", "x", "c"])
    [Change(a_start=1, a_end=2, b_start=1, b_end=2)]
    """
    found: list[Change] = []
    waiting = [(0, len(old), 0, len(new), _DEPTH)]
    while waiting:
        a, a_end, b, b_end, depth = waiting.pop()
        while a < a_end and b < b_end and old[a] == new[b]:
            a, b = a + 1, b + 1
        while a < a_end and b < b_end and old[a_end - 1] == new[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
        if a == a_end and b == b_end:
            continue
        anchors = _anchors(old, new, a, a_end, b, b_end) if depth and a < a_end and b < b_end else []
        if not anchors:
            found.append(Change(a, a_end, b, b_end))
            continue
        for (left, right), (left_end, right_end) in zip(
            [(a - 1, b - 1), *anchors], [*anchors, (a_end, b_end)], strict=True
        ):
            waiting.append((left + 1, left_end, right + 1, right_end, depth - 1))
    found.sort()
    return found


def unified(old: Sequence[str], new: Sequence[str], old_name: str, new_name: str) -> Iterator[str]:
    r"""Yield a unified diff in the format of git; lines keep their line ends.

    >>> print("".join(unified(["a\n"], ["b\n"], "a/x", "b/x")), end="")
    --- a/x
    +++ b/x
    @@ -1 +1 @@
    -a
    +b
    """
    group: list[Change] = []
    is_first = True
    for change in [*changes(old, new), None]:
        if group and (change is None or change.a_start - group[-1].a_end > 2 * _CONTEXT):
            if is_first:
                yield f"--- {old_name}\n"
                yield f"+++ {new_name}\n"
                is_first = False
            yield from _hunk(old, new, group)
            group = []
        if change is not None:
            group.append(change)


def _hunk(old: Sequence[str], new: Sequence[str], group: Sequence[Change]) -> Iterator[str]:
    before = min(_CONTEXT, group[0].a_start)
    after = min(_CONTEXT, len(old) - group[-1].a_end)
    a, b = group[0].a_start - before, group[0].b_start - before
    yield f"@@ -{_range(a, group[-1].a_end + after)} +{_range(b, group[-1].b_end + after)} @@\n"
    for change in group:
        yield from (" " + line for line in old[a : change.a_start])
        yield from ("-" + line for line in old[change.a_start : change.a_end])
        yield from ("+" + line for line in new[change.b_start : change.b_end])
        a = change.a_end
    yield from (" " + line for line in old[a : a + after])


def _range(start: int, end: int) -> str:
    length = end - start
    return str(start + 1) if length == 1 else f"{start + (length > 0)},{length}"


def _anchors(old: Sequence[str], new: Sequence[str], a: int, a_end: int, b: int, b_end: int) -> list[tuple[int, int]]:
    """Return the longest common sequence of lines that are unique in both parts."""
    in_old, in_new = Counter(old[a:a_end]), Counter(new[b:b_end])
    places = {new[j]: j for j in range(b, b_end) if in_new[new[j]] == 1}
    pairs = [(i, places[old[i]]) for i in range(a, a_end) if in_old[old[i]] == 1 and old[i] in places]
    tops: list[int] = []  # for each length, the smallest last position of a sequence
    ends: list[int] = []  # for each length, the pair at this position
    before: list[int] = []  # for each pair, its predecessor in the sequence
    for number, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        before.append(ends[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(place)
            ends.append(number)
        else:
            tops[pile], ends[pile] = place, number
    found = []
    number = ends[-1] if ends else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]
