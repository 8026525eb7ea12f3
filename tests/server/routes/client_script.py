"""Typical operations of a user with the real client, run in a separate process with HF_ENDPOINT set.

Every step is a function; the test that runs this file reads which of them succeeded.
"""

# ruff: noqa: PT017, PT018  # the steps of the script use assertions

import json
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import datasets
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

api = HfApi()
anonymous = HfApi(token=False)
other = HfApi(token=os.environ["OTHER_TOKEN"])
ME = api.whoami()["name"]
if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
    sys.stderr.write("usage: python client_script.py FOLDER [STEP ...]\n")
    raise SystemExit(0 if "--help" in sys.argv else 2)
WORK = Path(sys.argv[1])
CARD = "---\nlicense: mit\ntags: [memory]\npipeline_tag: text-classification\nlibrary_name: transformers\n---\n# M\n"


def raises(error, call, *args, text="", **kwargs):
    try:
        call(*args, **kwargs)
    except error as problem:
        assert text in str(problem), str(problem)
        return problem
    raise AssertionError(f"{call} did not raise {error}")


def repositories():
    url = api.create_repo("Made")
    assert url.repo_id == f"{ME}/Made"
    assert api.create_repo("made", exist_ok=True).repo_id == f"{ME}/Made"
    raises(HfHubHTTPError, api.create_repo, "made", text="409")
    assert api.list_repo_files(f"{ME}/made") == [".gitattributes"]
    api.create_repo("space", repo_type="space", space_sdk="gradio")
    assert api.space_info(f"{ME}/space").sdk == "gradio"
    api.update_repo_settings(f"{ME}/Made", private=True)
    raises(RepositoryNotFoundError, anonymous.model_info, f"{ME}/Made", text="Repository Not Found")
    raises(RepositoryNotFoundError, other.model_info, f"{ME}/Made")
    api.auth_check(f"{ME}/Made", write=True)
    api.move_repo(f"{ME}/Made", f"{ME}/Moved")
    assert api.model_info(f"{ME}/made").id == f"{ME}/Moved"
    api.update_repo_settings(f"{ME}/Moved", private=False)
    assert Path(api.hf_hub_download(f"{ME}/Made", ".gitattributes")).read_text().startswith("*.7z")
    api.move_repo(f"{ME}/Moved", f"{ME}/Made")
    assert api.model_info(f"{ME}/Moved").id == f"{ME}/Made"
    api.create_repo("Target")
    raises(HfHubHTTPError, api.move_repo, f"{ME}/Made", f"{ME}/Target", text="A model repository called")
    raises(HfHubHTTPError, other.delete_repo, f"{ME}/Made", text="403")
    api.delete_repo(f"{ME}/Made")
    api.delete_repo(f"{ME}/Made", missing_ok=True)
    raises(RepositoryNotFoundError, api.delete_repo, f"{ME}/Made", text="Repository Not Found")
    assert str(raises(RepositoryNotFoundError, api.model_info, "a/b")).lower().count("repository not found") == 1
    raises(HfHubHTTPError, api.create_repo, f"{ME}/resolve", text="reserved")


def files():
    repo = api.create_repo("files").repo_id
    folder = WORK / "folder"
    (folder / "nested").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "nested" / "text.txt").write_text("text\n")
    (folder / "nested" / "skipped.log").write_text("log\n")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "big.bin").write_bytes(os.urandom(300_000))
    (folder / "empty.bin").write_bytes(b"")
    (folder / "photo.raw").write_bytes(b"\0\1binary")
    api.upload_folder(repo_id=repo, folder_path=folder, commit_message="all")
    names = {".gitattributes", ".gitignore", "README.md", "big.bin", "empty.bin", "nested/text.txt", "photo.raw"}
    assert set(api.list_repo_files(repo)) == names
    info = api.model_info(repo, files_metadata=True)
    sizes = {s.rfilename: s for s in info.siblings}
    assert sizes["big.bin"].lfs.size == 300_000 and sizes["photo.raw"].lfs and sizes["empty.bin"].lfs is None
    assert info.pipeline_tag == "text-classification" and "license:mit" in info.tags and info.card_data.license == "mit"
    head = info.sha
    assert api.upload_folder(repo_id=repo, folder_path=folder).oid == head  # nothing has changed
    assert Path(api.hf_hub_download(repo, "big.bin")).read_bytes() == (folder / "big.bin").read_bytes()
    assert Path(api.hf_hub_download(repo, "empty.bin")).read_bytes() == b""
    raises(EntryNotFoundError, api.hf_hub_download, repo, "absent")
    raises(RevisionNotFoundError, api.hf_hub_download, repo, "README.md", revision="absent")
    assert not api.file_exists(repo, "absent") and api.file_exists(repo, "nested/text.txt")
    copies = [CommitOperationCopy("big.bin", "copy.bin"), CommitOperationCopy("README.md", "copy.md")]
    api.create_commit(repo, [*copies, CommitOperationDelete("nested")], commit_message="c", parent_commit=head)
    add = CommitOperationAdd("x.txt", b"x")
    raises(
        HfHubHTTPError, api.create_commit, repo, [add], commit_message="c", parent_commit=head, text="Please refresh"
    )
    found = {e.path: e for e in api.list_repo_tree(repo, recursive=True, expand=True)}
    assert found["copy.bin"].lfs.sha256 == sizes["big.bin"].lfs.sha256 and found["copy.bin"].last_commit.title == "c"
    assert found["copy.bin"].security.status != "safe"
    assert [e.path for e in api.get_paths_info(repo, ["copy.md", "gone"])] == ["copy.md"]
    commits = api.list_repo_commits(repo, formatted=True)
    assert [c.title for c in commits] == ["c", "all", "initial commit"] and commits[0].authors == [ME]
    raises(ValueError, api.upload_file, repo_id=repo, path_in_repo="README.md", text="Invalid metadata",
           path_or_fileobj=b"---\nmodel-index: foo\n---\n")  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=b"# no metadata")
    assert any("empty or missing yaml metadata" in str(w.message) for w in caught)
    raises(HfHubHTTPError, api.upload_file, repo_id=repo, path_in_repo="..\\up", path_or_fileobj=b"x", text="422")
    snapshot = api.snapshot_download(repo, allow_patterns=["*.bin"], local_dir=WORK / "local")
    assert {p.name for p in Path(snapshot).glob("*.bin")} == {"big.bin", "copy.bin", "empty.bin"}
    target = api.create_repo("duplicates").repo_id
    across = CommitOperationCopy("big.bin", "there.bin", src_repo_id=repo, src_repo_type="model")
    api.create_commit(target, [across], commit_message="across")
    assert api.get_paths_info(target, "there.bin")[0].lfs.sha256 == sizes["big.bin"].lfs.sha256
    large = {f.filename: f for f in api.list_lfs_files(repo)}
    assert any(f.ref == "refs/heads/main" for f in large.values())
    api.permanently_delete_lfs_files(repo, [f for f in large.values() if f.size == 300_000])
    assert "big.bin" not in api.list_repo_files(repo)


def references():
    repo = api.create_repo("references").repo_id
    first = api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"1").oid
    api.create_branch(repo, branch="feature/x", revision=first)
    api.create_tag(repo, tag="v1", tag_message="first", revision="main")
    raises(HfHubHTTPError, api.create_branch, repo, branch="main", text="Reference refs/heads/main already exists")
    raises(HfHubHTTPError, api.delete_branch, repo, branch="main", text="Cannot delete refs/heads/main")
    raises(HfHubHTTPError, api.delete_branch, repo, branch="absent", text="Invalid rev id")
    raises(RevisionNotFoundError, api.create_tag, repo, tag="not a tag", revision="absent")
    raises(HfHubHTTPError, api.create_tag, repo, tag="v1", text="409")
    api.create_tag(repo, tag="v1", exist_ok=True)
    api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"2", revision="feature/x")
    assert Path(api.hf_hub_download(repo, "a.txt", revision="feature/x")).read_text() == "2"
    assert Path(api.hf_hub_download(repo, "a.txt", revision="v1")).read_text() == "1"
    assert Path(api.hf_hub_download(repo, "a.txt", revision=first[:8])).read_text() == "1"
    api.super_squash_history(repo, branch="feature/x")
    assert len(api.list_repo_commits(repo, revision="feature/x")) == 1
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [b.name for b in refs.branches] == ["main", "feature/x"] and refs.tags[0].target_commit == first
    api.delete_tag(repo, tag="v1")
    api.delete_branch(repo, branch="feature/x")
    raises(RevisionNotFoundError, api.model_info, repo, revision="feature/x")


def pull_requests():
    repo = api.create_repo("proposals").repo_id
    api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"one\n")
    made = other.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"two\n", create_pr=True)
    assert made.pr_num == 1 and made.pr_revision == "refs/pr/1"
    raises(HfHubHTTPError, other.upload_file, repo_id=repo, path_in_repo="b", path_or_fileobj=b"x", text="403")
    other.upload_file(repo_id=repo, path_in_repo="b.txt", path_or_fileobj=b"b\n", revision="refs/pr/1")
    raises(RevisionNotFoundError, api.upload_file, repo_id=repo, path_in_repo="c", path_or_fileobj=b"c",
           revision=made.oid, create_pr=True)  # fmt: skip
    details = api.get_discussion_details(repo, 1)
    assert "-one\n+two\n" in details.diff and "b/b.txt" in details.diff and details.conflicting_files == []
    assert [e.type for e in details.events][-2:] == ["commit", "commit"]
    assert Path(api.hf_hub_download(repo, "b.txt", revision="refs/pr/1")).read_text() == "b\n"
    raises(HfHubHTTPError, other.merge_pull_request, repo, 1, text="403")
    api.merge_pull_request(repo, 1)
    merged = api.get_discussion_details(repo, 1)
    assert merged.status == "merged" and merged.merge_commit_oid == api.model_info(repo).sha
    assert set(api.list_repo_files(repo)) == {".gitattributes", "a.txt", "b.txt"}
    folder = WORK / "pull"
    folder.mkdir()
    (folder / "c.txt").write_text("c")
    assert api.upload_folder(repo_id=repo, folder_path=folder, create_pr=True).pr_num == 2
    draft = api.create_pull_request(api.create_repo("drafts").repo_id, "Nothing yet")
    assert draft.status == "draft"
    assert api.change_discussion_status(draft.repo_id, draft.num, "open").new_status == "open"
    talk = other.create_discussion(repo, " A question ")
    comment = other.comment_discussion(repo, talk.num, "first")
    assert other.edit_discussion_comment(repo, talk.num, comment.id, "better").content == "better"
    raises(HfHubHTTPError, api.edit_discussion_comment, repo, talk.num, comment.id, "mine", text="403")
    assert api.rename_discussion(repo, talk.num, "Renamed").old_title == "A question"
    assert api.change_discussion_status(repo, talk.num, "closed", comment="done").new_status == "closed"
    assert api.hide_discussion_comment(repo, talk.num, comment.id).hidden
    assert [d.num for d in api.get_repo_discussions(repo)] == [3, 2, 1]
    assert [
        d.num for d in api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open")
    ] == [2]
    assert [d.num for d in api.get_repo_discussions(repo, author=other.whoami()["name"])] == [3, 1]


def lists():
    names = [api.create_repo(f"list-{i}").repo_id for i in range(5)]
    for name in names[:3]:
        api.upload_file(repo_id=name, path_in_repo="README.md", path_or_fileobj=CARD.encode())
    assert {m.id for m in api.list_models(search="list-", filter="memory")} == set(names[:3])
    assert {m.id for m in api.list_models(author=ME, search="LIST-", filter=["memory", "license:mit"])} == set(
        names[:3]
    )
    assert {m.id for m in api.list_models(pipeline_tag="text-classification", search="list-")} == set(names[:3])
    newest = [m.id for m in api.list_models(search="list-", sort="created_at", limit=2)]
    assert newest == names[:2:-1], newest
    assert next(api.list_models(search="list-0", full=True)).sha
    assert next(api.list_models(search="list-0", cardData=True)).card_data.license == "mit"
    expanded = next(api.list_models(search="list-0", expand=["sha", "likes"]))
    assert expanded.sha and expanded.author is None
    assert raises(HfHubHTTPError, list, api.list_models(expand=["foo"])).response.status_code == 400
    api.update_repo_settings(names[0], gated="manual")
    assert [m.id for m in api.list_models(search="list-", gated=True)] == names[:1]
    raises(GatedRepoError, other.hf_hub_download, names[0], "README.md", text="not in the authorized list")
    raises(GatedRepoError, anonymous.hf_hub_download, names[0], "README.md")
    who = other.whoami()["name"]
    api.grant_access(names[0], who)
    raises(HfHubHTTPError, api.grant_access, names[0], who)
    assert [r.username for r in api.list_accepted_access_requests(names[0])] == [who]
    other.hf_hub_download(names[0], "README.md")
    api.cancel_access_request(names[0], who)
    pending = list(api.list_pending_access_requests(names[0]))
    api.accept_access_request(names[0], request_id=pending[0].request_id)
    raises(HfHubHTTPError, api.accept_access_request, names[0], who)
    huggingface_hub.get_session().post(f"{api.endpoint}/api/models/{names[1]}/like", headers=api._build_hf_headers())
    assert api.list_liked_repos().models == [names[1]] and [u.username for u in api.list_repo_likers(names[1])] == [ME]
    api.unlike(names[1])
    assert api.list_liked_repos().total == 0
    assert api.duplicate_repo(names[2], f"{ME}/twin").repo_id == f"{ME}/twin"
    assert api.model_info(f"{ME}/twin").card_data.license == "mit"
    assert api.get_user_overview(ME).num_models >= 6 and "license" in api.get_model_tags()


def data():
    repo = f"{ME}/data"
    for config, count in (("easy", 3), ("hard", 5)):
        datasets.Dataset.from_dict({"n": list(range(count))}).push_to_hub(repo, config)
    assert datasets.get_dataset_config_names(repo) == ["easy", "hard"]
    assert len(datasets.load_dataset(repo, "hard", split="train")) == 5
    assert [row["n"] for row in datasets.load_dataset(repo, "easy", split="train", streaming=True)] == [0, 1, 2]
    assert [d.id for d in api.list_datasets(search="data", author=ME)] == [repo]
    file_system = HfFileSystem()
    with file_system.open(f"datasets/{repo}/note.txt", "w") as file:
        file.write("0123456789")
    with file_system.open(f"datasets/{repo}/note.txt", "rb", block_size=4) as file:
        file.seek(5)
        assert file.read(3) == b"567"
    assert file_system.glob(f"datasets/{repo}/hard/*.parquet") and file_system.exists(f"datasets/{repo}/note.txt")
    file_system.rm(f"datasets/{repo}/note.txt")
    assert not file_system.exists(f"datasets/{repo}/note.txt", refresh=True)


def command_line():
    def hf(*words):
        done = subprocess.run(
            [str(Path(sys.executable).parent / "hf"), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ME in hf("auth", "whoami")
    (WORK / "one.txt").write_text("one")
    hf("upload", f"{ME}/by-hand", str(WORK / "one.txt"), "one.txt")
    hf("download", f"{ME}/by-hand", "one.txt", "--local-dir", str(WORK / "down"))
    assert (WORK / "down" / "one.txt").read_text() == "one"


MODELING = """
import torch
from transformers import PretrainedConfig, PreTrainedModel

class TinyConfig(PretrainedConfig):
    model_type = "tiny"

class Tiny(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(2, 2)
        self.post_init()

    def forward(self, x):
        return self.layer(x)
"""


def remote_code():
    import torch
    from safetensors.torch import save
    from transformers import AutoModel

    repo = api.create_repo("tiny").repo_id
    weights = {"layer.weight": torch.eye(2), "layer.bias": torch.zeros(2)}
    config = {"model_type": "tiny", "architectures": ["Tiny"]}
    config["auto_map"] = {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.Tiny"}
    contents = {
        "modeling_tiny.py": MODELING.encode(),
        "config.json": json.dumps(config).encode(),
        "model.safetensors": save(weights, metadata={"format": "pt"}),
    }
    sha = api.create_commit(
        repo, [CommitOperationAdd(path, content) for path, content in contents.items()], commit_message="model"
    ).oid
    model = AutoModel.from_pretrained(repo, trust_remote_code=True)
    pinned = AutoModel.from_pretrained(repo, trust_remote_code=True, revision=sha, code_revision=sha)
    assert torch.equal(model.layer.weight, torch.eye(2)) and torch.equal(pinned.layer.weight, torch.eye(2))
    assert api.model_info(repo).library_name == "transformers" and api.model_info(repo).config["model_type"] == "tiny"
    assert api.get_safetensors_metadata(repo).weight_map["layer.bias"] == "model.safetensors"
    index = {"metadata": {}, "weight_map": {"layer.weight": "model.safetensors"}}
    name = "model.safetensors.index.json"
    api.upload_file(repo_id=repo, path_in_repo=name, path_or_fileobj=json.dumps(index).encode())
    assert "layer.bias" in api.get_sharded_safetensors_metadata(repo).weight_map


def bare_name():
    assert api.model_info("bare").id == "seqhub/bare"
    assert Path(api.hf_hub_download("bare", "a.txt")).read_text() == "bare"
    raises(RepositoryNotFoundError, api.model_info, "secret")


STEPS = [repositories, files, references, pull_requests, lists, data, command_line, remote_code, bare_name]

if __name__ == "__main__":
    wanted = sys.argv[2:]
    if unknown := set(wanted) - {step.__name__ for step in STEPS}:
        raise SystemExit(f"error: no steps {', '.join(sorted(unknown))}; known: {', '.join(s.__name__ for s in STEPS)}")
    results = {}
    for step in STEPS:
        if wanted and step.__name__ not in wanted:
            continue
        try:
            step()
            results[step.__name__] = "ok"
        except Exception:
            results[step.__name__] = traceback.format_exc()
    sys.stdout.write("\n" + json.dumps(results))
