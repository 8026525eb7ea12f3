"""Folders to a Hub and back, with the real client over real sockets; and every way in which a Hub can fail."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_clients import Client
from tests.helpers.model_folders import DATASET_FILES, MODEL_FILES, STAYS_AT_HOME, dataset_folder, model_folder
from tests.helpers.served_hub import Hub, a_hub

PUSH = """
import json
from seqhub.hub.push import push
pushed = push(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
print(json.dumps(pushed._asdict()))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with a_hub(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub.url, tmp_path / "home", hub.writer)


def push(client: Client, folder: Path, repo_id: str, **options: object) -> dict[str, object]:
    answer: dict[str, object] = json.loads(client.run(PUSH, folder, repo_id, json.dumps(options)))
    return answer


def fetched(folder: Path) -> dict[str, bytes]:
    """What came back, but for the file that every repository begins with."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: content for path, content in files.items() if path != ".gitattributes"}


@pytest.mark.parametrize("xet", [False, True], ids=["plain", "xet"])
def test_a_model_goes_up_in_one_commit_and_comes_back_byte_for_byte(xet: bool, hub: Hub, tmp_path: Path) -> None:
    client = Client(hub.url, tmp_path / "home", hub.writer, xet=xet)
    folder = model_folder(tmp_path / "qrsu-hard-lstm")
    pushed = push(client, folder, "me/qrsu-hard-lstm")
    assert pushed["kind"] == "model"
    assert [tuple(file) for file in pushed["files"]] == [(name, (folder / name).stat().st_size) for name in MODEL_FILES]
    stored = hub.files("model", "me/qrsu-hard-lstm")
    assert stored == {name: (folder / name).read_bytes() for name in MODEL_FILES}
    assert hub.log("model", "me/qrsu-hard-lstm") == ["Push model qrsu-hard-lstm with seqhub", "initial commit"]
    assert (
        hub.running.store.revisions.resolve(hub.repo("model", "me/qrsu-hard-lstm"), "main").oid == pushed["commit_oid"]
    )
    assert str(pushed["commit_oid"]) in str(pushed["commit_url"])

    back = Path(client.run("from seqhub.hub.fetch import fetch; print(fetch('me/qrsu-hard-lstm'), end='')"))
    assert fetched(back) == stored


def test_a_second_push_commits_what_changed_and_only_that(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    first = push(client, folder, "me/run")
    again = push(client, folder, "me/run")
    assert (again["commit_url"], again["commit_oid"]) == (None, None)
    assert again["files"] == first["files"]
    assert len(hub.log("model", "me/run")) == 2
    (folder / "run.json").write_text("changed")
    assert push(client, folder, "me/run", message="a better run")["commit_oid"]
    assert hub.files("model", "me/run")["run.json"] == b"changed"
    assert "a better run" in hub.log("model", "me/run")


def test_a_dataset_is_told_by_its_record_and_loses_stale_parquet(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "qrsu")
    stale = folder / "easy" / "train-00000-of-00002.parquet"
    stale.write_text("from a build in two shards")
    push(client, folder, "me/qrsu")
    assert len(hub.files("dataset", "me/qrsu")) == len(DATASET_FILES) + 1
    stale.unlink()
    pushed = push(client, folder, "me/qrsu")
    assert pushed["kind"] == "dataset"
    assert hub.files("dataset", "me/qrsu") == {name: (folder / name).read_bytes() for name in DATASET_FILES}
    assert len(hub.log("dataset", "me/qrsu")) == 3
    assert push(client, folder, "me/qrsu")["commit_url"] is None
    assert len(hub.log("dataset", "me/qrsu")) == 3

    code = "from seqhub.hub.fetch import fetch; print(fetch('me/qrsu', kind={}), end='')"
    back = Path(client.run(code.format(None)))  # asks for a model first
    assert back == Path(client.run(code.format("'dataset'")))
    assert sorted(fetched(back)) == sorted(DATASET_FILES)


def test_a_branch_is_made_and_a_private_repository_stays_private(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    pushed = push(client, folder, "me/run", private=True, revision="v2")
    assert hub.repo("model", "me/run").private
    assert hub.files("model", "me/run") == {}
    assert set(hub.files("model", "me/run", "v2")) == set(MODEL_FILES)
    code = "from seqhub.hub.fetch import fetch; print(fetch('me/run', revision=sys.argv[1]), end='')"
    back = client.run(code, "v2")
    assert back == client.run(code, pushed["commit_oid"])
    assert (Path(back) / "run.json").is_file()
    stranger = Client(hub.url, tmp_path / "elsewhere", token=None)
    assert "it wants a token" in stranger.refusal("fetch('me/run')")

    push(client, folder, "me/open")
    said = client.refusal("push(sys.argv[1], 'me/open', private=True)", folder)
    assert said == f"me/open at {hub.url} exists and is public; make it private there, or push without private"


def test_progress_is_told_before_each_stage(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "qrsu")
    size = sum((folder / name).stat().st_size for name in DATASET_FILES)
    told = client.run("from seqhub.hub.push import push; push(sys.argv[1], 'me/qrsu', progress=print)", folder)
    assert told.splitlines() == [f"asking {hub.url} for me/qrsu", f"uploading 4 files, {size} bytes"]


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("nobody", "it wants a token: set HF_TOKEN, or run hf auth login"),
        ("a stranger", "it does not accept this token (Invalid credentials in Authorization header)"),
        (
            "a reader",
            "it does not allow this token to (You don't have the rights to create repositories under the "
            "namespace 'me')",
        ),
    ],
)
def test_a_hub_that_refuses_is_one_line_with_the_command_for_later(
    who: str, reason: str, hub: Hub, tmp_path: Path
) -> None:
    token = {"nobody": None, "a stranger": "hf_wrong", "a reader": hub.reader}[who]
    folder = model_folder(tmp_path / "a run")
    before = sorted(path for path in folder.rglob("*"))
    said = Client(hub.url, tmp_path / "home", token).refusal("push(sys.argv[1], 'me/run', revision='v2')", folder)
    command = f"seqhub push '{folder}' --repo me/run --revision v2"
    assert said == f"cannot push to me/run at {hub.url}: {reason}; {folder} is whole, for later: {command}"
    assert sorted(path for path in folder.rglob("*")) == before


def test_without_a_hub_a_push_and_a_fetch_fail_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens: connections are refused
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client("http://127.0.0.1:1", tmp_path / "home", "hf_any")
        folder = dataset_folder(tmp_path / "qrsu")
        said = client.refusal("push(sys.argv[1], 'me/qrsu', endpoint=sys.argv[2], private=True)", folder, nowhere)
        assert "Connection refused" in said
        assert said.startswith(f"cannot push to me/qrsu at {nowhere}: no answer (")
        assert said.endswith(f"for later: seqhub push {folder} --repo me/qrsu --endpoint {nowhere} --private")
        said = client.refusal("fetch('me/qrsu', endpoint=sys.argv[1] + '/')", nowhere)
        assert said.startswith(f"cannot fetch model or dataset me/qrsu at {nowhere}: no answer (")


def test_what_is_not_there_cannot_be_fetched(hub: Hub, client: Client, tmp_path: Path) -> None:
    push(client, model_folder(tmp_path / "run"), "me/run")
    said = client.refusal("fetch('me/nothing')")
    assert said.startswith(
        f"cannot fetch model or dataset me/nothing at {hub.url}: no such repository, or not for this"
    )
    said = client.refusal("fetch('me/run', kind='dataset')")
    assert said.startswith(f"cannot fetch dataset me/run at {hub.url}: no such repository")
    said = client.refusal("fetch('me/run', revision='v9')")
    assert "no such revision (Invalid rev id: v9); a folder on disk can be given instead" in said
    assert "\n" not in said


def test_a_dry_run_contacts_nobody(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", tmp_path / "home", "hf_any")  # where nobody listens
    pushed = push(client, model_folder(tmp_path / "run"), "me/run", dry_run=True)
    assert [name for name, _ in pushed["files"]] == list(MODEL_FILES)
    assert pushed["commit_url"] is None
    assert all((tmp_path / "run" / name).exists() for name in STAYS_AT_HOME)
