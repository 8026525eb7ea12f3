"""Patterns of .gitignore and .gitattributes, compared with git for random lines and paths; bounded work."""

import random
import subprocess
from pathlib import Path

import pytest

from seqhub.server import gitattributes
from seqhub.server.errors import HubHTTPError

PARTS = ["a", "b", "ab", "a.b", "b.a", "aa", "x-y", "[a]", "a b"]
PIECES = ["a", "b", "*", "?", ".", "[ab]", "[!a]", "[^b]", "**", "\\a", "x-y", "a*"]


def lines(chance: random.Random, count: int) -> list[str]:
    found = []
    for _ in range(count):
        segments = [
            chance.choice(["**", *("".join(chance.choices(PIECES, k=chance.randrange(1, 4))) for _ in range(4))])
            for _ in range(chance.randrange(1, 4))
        ]
        found.append(chance.choice(["", "", "/"]) + "/".join(segments) + chance.choice(["", "", "/"]))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_random_lines_match_like_git(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    paths = sorted({"/".join(chance.choices(PARTS, k=chance.randrange(1, 5))) for _ in range(80)})

    def git(*words: str) -> list[str]:
        line = ["git", "-c", "core.quotePath=false", *words, "-z", "--stdin"]
        given = "\0".join(paths).encode()
        return (
            subprocess.run(line, cwd=tmp_path, input=given, capture_output=True, check=False)
            .stdout.decode()
            .split("\0")
        )

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    ignores = "\n".join(chance.choice(["", "", "!"]) + line for line in lines(chance, 12))
    attributes = "\n".join(
        f"{line} {chance.choice(['filter=lfs', '-filter', '!filter'])}" for line in lines(chance, 12) if " " not in line
    )
    (tmp_path / ".gitignore").write_text(ignores)
    (tmp_path / ".gitattributes").write_text(attributes)
    ignored = set(git("check-ignore", "--no-index")) - {""}
    rules, known = gitattributes.ignore_rules(ignores), {}  # type: ignore[var-annotated]
    assert {path for path in paths if gitattributes.is_ignored(rules, path, known)} == ignored, ignores
    output = git("check-attr", "filter")
    expected = {path for path, value in zip(output[0::3], output[2::3], strict=False) if value == "lfs"}
    rules = gitattributes.lfs_rules(attributes)
    assert {path for path in paths if gitattributes.last_match(rules, path)} == expected, attributes


def test_names_and_endings_are_looked_up() -> None:
    rules = gitattributes.ignore_rules("\n".join([f"name{n}" for n in range(900)] + [f"*.end{n}" for n in range(900)]))
    assert rules.comparisons(1) < 5
    assert gitattributes.is_ignored(rules, "a/name7/b")
    assert gitattributes.is_ignored(rules, "a/b.end899")
    assert not gitattributes.is_ignored(rules, "a/b.end900")


def test_each_folder_is_matched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, matched = gitattributes.ignore_rules("*q*z"), []
    monkeypatch.setattr(rules, "last_match", lambda path, is_folder=False: matched.append(path) or False)
    known: dict[str, bool] = {}
    deep = "/".join("abcdefgh")
    assert not any(gitattributes.is_ignored(rules, f"{deep}/{number}", known) for number in range(100))
    assert len(matched) == 8 + 100


def test_too_much_work_raises_413() -> None:
    with pytest.raises(HubHTTPError, match="comparisons") as caught:
        gitattributes.check_work(600_000, 600_000)
    assert caught.value.status == 413
