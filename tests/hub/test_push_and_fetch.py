"""Push and fetch with the real client over real sockets, and the errors of a Hub."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_clients import Client
from tests.helpers.model_folders import DATASET_FILES, MODEL_FILES, NOT_UPLOADED, dataset_folder, model_folder
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
    """Return the downloaded files, without the one that every repository starts with."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: content for path, content in files.items() if path != ".gitattributes"}


@pytest.mark.parametrize("xet", [False, True], ids=["plain", "xet"])
def test_a_model_is_pushed_in_one_commit_and_fetched_byte_for_byte(xet: bool, hub: Hub, tmp_path: Path) -> None:
    client = Client(hub.url, tmp_path / "home", hub.writer, xet=xet)
    folder = model_folder(tmp_path / "qrsu-hard-lstm")
    pushed = push(client, folder, "me/qrsu-hard-lstm")
    assert pushed["repo_type"] == "model"
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


def test_a_second_push_commits_only_changes(hub: Hub, client: Client, tmp_path: Path) -> None:
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


def test_a_push_of_a_dataset_deletes_stale_parquet_files(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "qrsu")
    stale = folder / "easy" / "train-00000-of-00002.parquet"
    stale.write_text("from a build in two shards")
    push(client, folder, "me/qrsu")
    assert len(hub.files("dataset", "me/qrsu")) == len(DATASET_FILES) + 1
    stale.unlink()
    pushed = push(client, folder, "me/qrsu")
    assert pushed["repo_type"] == "dataset"
    assert hub.files("dataset", "me/qrsu") == {name: (folder / name).read_bytes() for name in DATASET_FILES}
    assert len(hub.log("dataset", "me/qrsu")) == 3
    assert push(client, folder, "me/qrsu")["commit_url"] is None
    assert len(hub.log("dataset", "me/qrsu")) == 3

    code = "from seqhub.hub.fetch import fetch; print(fetch('me/qrsu', repo_type={}), end='')"
    back = Path(client.run(code.format(None)))  # tries a model first
    assert back == Path(client.run(code.format("'dataset'")))
    assert sorted(fetched(back)) == sorted(DATASET_FILES)


def test_a_branch_is_created_and_a_private_repository_stays_private(hub: Hub, client: Client, tmp_path: Path) -> None:
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
    assert "a token is required" in stranger.hub_error("fetch('me/run')")

    push(client, folder, "me/open")
    message = client.hub_error("push(sys.argv[1], 'me/open', private=True)", folder)
    assert message.startswith(f"me/open at {hub.url} exists and is public")


def test_progress_is_reported_before_each_stage(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "qrsu")
    size = sum((folder / name).stat().st_size for name in DATASET_FILES)
    progress = client.run("from seqhub.hub.push import push; push(sys.argv[1], 'me/qrsu', progress=print)", folder)
    assert progress.splitlines() == [f"looking up me/qrsu at {hub.url}", f"uploading 4 files, {size} bytes"]


def test_the_error_of_a_hub_is_one_line_with_the_command_to_retry(hub: Hub, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "a run")
    before = sorted(folder.rglob("*"))
    for token, reason in (
        (None, "a token is required: set HF_TOKEN, or run `hf auth login`"),
        ("hf_wrong", "invalid token (Invalid credentials in Authorization header)"),
        (hub.reader, "this token does not permit it (You don't have the rights to create repositories under the "),
    ):
        client = Client(hub.url, tmp_path / "home", token)
        message = client.hub_error("push(sys.argv[1], 'me/run', revision='v2')", folder)
        assert message.startswith(f"cannot push to me/run at {hub.url}: {reason}")
        assert message.endswith(f": seqhub push '{folder}' --repo me/run --revision v2")
        assert sorted(folder.rglob("*")) == before


def test_push_and_fetch_fail_at_once_without_a_hub(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound without listening: connections are refused
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client("http://127.0.0.1:1", tmp_path / "home", "hf_any")
        folder = dataset_folder(tmp_path / "qrsu")
        message = client.hub_error("push(sys.argv[1], 'me/qrsu', endpoint=sys.argv[2], private=True)", folder, nowhere)
        assert "Connection refused" in message
        assert message.startswith(f"cannot push to me/qrsu at {nowhere}: no answer (")
        assert message.endswith(f"to retry: seqhub push {folder} --repo me/qrsu --endpoint {nowhere} --private")
        message = client.hub_error("fetch('me/qrsu', endpoint=sys.argv[1] + '/')", nowhere)
        assert message.startswith(f"cannot fetch model or dataset me/qrsu at {nowhere}: no answer (")


def test_fetching_a_missing_repository_or_revision_is_an_error(hub: Hub, client: Client, tmp_path: Path) -> None:
    push(client, model_folder(tmp_path / "run"), "me/run")
    message = client.hub_error("fetch('me/nothing')")
    assert message.startswith(
        f"cannot fetch model or dataset me/nothing at {hub.url}: no such repository, or not visible with this"
    )
    message = client.hub_error("fetch('me/run', repo_type='dataset')")
    assert message.startswith(f"cannot fetch dataset me/run at {hub.url}: no such repository")
    message = client.hub_error("fetch('me/run', revision='v9')")
    assert "no such revision (Invalid rev id: v9); you can give a local folder instead" in message
    assert "\n" not in message


def test_a_dry_run_sends_no_request(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", tmp_path / "home", "hf_any")  # unreachable
    pushed = push(client, model_folder(tmp_path / "run"), "me/run", dry_run=True)
    assert [name for name, _ in pushed["files"]] == list(MODEL_FILES)
    assert pushed["commit_url"] is None
    assert all((tmp_path / "run" / name).exists() for name in NOT_UPLOADED)
