"""`seqhub serve` and `seqhub hub`: commands on a folder, and their error messages."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seqhub.cli import app
from seqhub.cli.errors import one_line_errors
from seqhub.cli.hub_accounts import parse_duration, parse_expiry
from seqhub.errors import InvalidInputError
from seqhub.server.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Shell:
    """Runs commands on a root."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root, self.capture = root, capture

    def __call__(self, *line: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end, one_line_errors():
            raise SystemExit(app([*line, "--root", str(self.root)], standalone_mode=False))
        output = self.capture.readouterr()
        assert (end.value.code or 0) == code, output.err
        if code:
            assert output.err.startswith("error: ")
            assert output.err.count("\n") == 1
            return output.err
        return output.out


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "hub", capsys)


def test_users_and_organisations(shell: Shell) -> None:
    shell("hub", "user", "add", "ada", "--full-name", "Ada L.", "--email", "ada@example.org")
    shell("hub", "user", "add", "bob")
    shell("hub", "org", "add", "lab")
    assert shell("hub", "user", "ls", "--quiet").split() == ["ada", "bob"]
    assert json.loads(shell("hub", "user", "ls", "--json"))[0]["email"] == "ada@example.org"
    assert "Ada L." in shell("hub", "user", "ls")
    assert shell("hub", "org", "ls", "-q").split() == ["lab"]
    assert json.loads(shell("hub", "org", "member", "lab", "ada", "--role", "admin", "--json")) == {"ada": "admin"}
    assert shell("hub", "org", "member", "lab", "bob", "-q").splitlines() == ["ada\tadmin", "bob\twrite"]
    assert shell("hub", "org", "member", "lab", "ada", "--remove", "-q").splitlines() == ["bob\twrite"]


def test_tokens(shell: Shell) -> None:
    shell("hub", "user", "add", "ada")
    secret = shell("hub", "token", "create", "ada", "--quiet").strip()
    line = ("hub", "token", "create", "ada", "--role", "read", "--name", "ci", "--expires", "30d")
    made = json.loads(shell(*line, "--repo", "model:ada/x", "--repo", "dataset:ada/y", "--json"))
    assert made["repos"] == ["model:ada/x", "dataset:ada/y"]
    assert datetime.fromisoformat(made["expires"]) - datetime.now(UTC) > timedelta(days=29)
    shown = shell("hub", "token", "create", "ada", "--role", "admin")
    assert shown.startswith("hf_")
    listed = shell("hub", "token", "ls") + shell("hub", "token", "ls", "ada", "--json")
    assert "model:ada/x" in listed
    assert all(hidden not in listed for hidden in (secret, made["secret"]))
    with_store(shell, lambda store: store.tokens.find(secret) is not None)
    number = shell("hub", "token", "ls", "-q").split("\t")[0]
    shell("hub", "token", "revoke", number)
    with_store(shell, lambda store: store.tokens.find(secret) is None)


def with_store(shell: Shell, question: "object") -> None:
    store = Store(shell.root)
    try:
        assert callable(question)
        assert question(store)
    finally:
        store.close()


@pytest.mark.parametrize(
    ("line", "output"),
    [
        (("user", "add", "ada"), "already exists"),
        (("user", "add", "../etc"), "name"),
        (("token", "create", "unknown"), "no account 'unknown'"),
        (("token", "create", "ada", "--role", "king"), "must be one of read, write, admin"),
        (("token", "create", "ada", "--expires", "soon"), "'soon' is not a duration; allowed"),
        (("token", "create", "ada", "--expires", "2001-01-01"), "in the past"),
        (("token", "create", "ada", "--repo", "ada/x"), "allowed: model:NAMESPACE/NAME"),
        (("token", "revoke", "99"), "no token 99"),
        (("org", "member", "ada", "ada"), "not an organisation"),
        (("org", "member", "nowhere"), "no account"),
        (("gc", "--grace", "-1d"), "not a duration"),
        (("fsck", "--wrong"), "--wrong"),
    ],
)
def test_errors_are_one_line(shell: Shell, line: tuple[str, ...], output: str) -> None:
    shell("hub", "user", "add", "ada")
    assert output in shell("hub", *line, code=2)


@pytest.mark.parametrize("line", ["user ls", "token ls", "fsck", "gc", "backup x"])
def test_a_folder_without_a_hub_is_not_made_into_one(shell: Shell, line: str) -> None:
    assert "is not the folder of a Hub" in shell("hub", *line.split(), code=2)
    assert not shell.root.exists()


def test_serve_refuses_in_one_line(shell: Shell) -> None:
    assert "no token yet" in shell("serve", "--host", "0.0.0.0", code=2)
    assert "--port 70000: must be" in shell("serve", "--port", "70000", code=2)


def test_fsck_backup_and_gc(shell: Shell, tmp_path: Path) -> None:
    shell("hub", "user", "add", "ada")
    assert "no problem found" in shell("hub", "fsck")
    assert json.loads(shell("hub", "fsck", "--json")) == []
    assert shell("hub", "gc", "--grace", "0m", "--quiet")
    shell("hub", "backup", str(tmp_path / "copy"))
    assert "copy" in shell("hub", "backup", str(tmp_path / "copy"), code=2)
    other = Shell(tmp_path / "other", shell.capture)
    other("hub", "restore", str(tmp_path / "copy"))
    assert other("hub", "user", "ls", "-q").split() == ["ada"]
    assert str(other.root) in other("hub", "restore", str(tmp_path / "copy"), code=2)


def test_fsck_reports_damage(shell: Shell) -> None:
    shell("hub", "user", "add", "ada")
    store = Store(shell.root)
    try:
        writer = store.blobs.begin()
        writer.write(b"x" * 1000)
        ada = store.accounts.find("ada")
        assert ada is not None
        sha256, _ = writer.finish(None, None, ada)
        path = store.blobs.find(sha256)
        assert path is not None
        path.chmod(0o644)
        path.write_bytes(b"y" * 1000)
    finally:
        store.close()
    assert "problem" in shell("hub", "fsck", code=1)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        ("12h", NOW + timedelta(hours=12)),
        ("2w", NOW + timedelta(days=14)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_expiry(text: str, until: datetime) -> None:
    assert parse_expiry(text, NOW) == until


@pytest.mark.parametrize("text", ["", "d", "30", "-3d", "1.5h", "999999d", "٣d", "30 d"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(InvalidInputError, match="allowed"):
        parse_duration(text)
