"""Diffs: they produce the new text, git can apply them, and hostile texts take linear time."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server import text_diff
from seqhub.server.text_diff import changes, unified

LINES = st.lists(st.sampled_from("abcdefgh"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES)
def test_changes_lead_from_the_old_text_to_the_new_one(old: list[str], new: list[str]) -> None:
    made, at = [], 0
    for change in changes(old, new):
        made += old[at : change.a_start] + new[change.b_start : change.b_end]
        assert at <= change.a_start
        at = change.a_end
    assert made + old[at:] == new


def test_git_applies_the_diff(tmp_path: Path) -> None:
    chance = random.Random(3)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for _ in range(8):
        old = [f"{chance.randrange(30)}\n" for _ in range(chance.randrange(1, 80))]
        new = [line for line in old if chance.random() < 0.8] + ["end\n"]
        (tmp_path / "x").write_text("".join(old))
        patch = "".join(unified(old, new, "a/x", "b/x"))
        subprocess.run(["git", "apply"], cwd=tmp_path, input=patch, text=True, check=True)
        assert (tmp_path / "x").read_text() == "".join(new)


def test_work_is_linear_in_the_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 equal lines, moved lines, and lines with one anchor for each level: each line is compared a few times."""
    looked = 0
    anchors = text_diff._anchors

    def counted(old: list[str], new: list[str], a: int, a_end: int, b: int, b_end: int) -> list[tuple[int, int]]:
        nonlocal looked
        looked += a_end - a + b_end - b
        return anchors(old, new, a, a_end, b, b_end)

    monkeypatch.setattr(text_diff, "_anchors", counted)
    count = 4000
    plain = [str(number) for number in range(count)]
    nested = [str(min(number, count - number)) for number in range(count)]
    for old, new in [
        (["x"] * count, ["y", "x"] * (count // 2)),
        (plain, plain[::-1]),
        (nested, nested[7:] + nested[:7]),
    ]:
        looked = 0
        changes(old, new)
        assert looked <= 16 * 2 * count
