# %% [markdown]
# # A Hub for a class
#
# A class needs a place where models are handed in, and a teacher who grades thirty of them needs a program that finds
# out whether a number is true. In this notebook you are both: you start a Hub on this machine, make accounts, hand in
# two models, one of them with an invented result, and grade them. [The page](../hub-for-a-class.md) does the same on
# the command line, for a Hub that other machines can reach.

# %%
import json
import os
from contextlib import ExitStack
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}  # the Hub is on this machine

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

import seqhub
from seqhub.evaluation.evaluate import evaluate
from seqhub.records import RunRecord
from seqhub.server.serve import running

torch.set_num_threads(1)

# %% [markdown]
# ## Start a Hub
#
# `running` serves a folder in a thread of this process. For a class, `seqhub serve` does it in a terminal. The Hub
# speaks the protocol of huggingface.co, so the official client works with it, given the address and a token.

# %%
stack = ExitStack()  # keeps the Hub running until the last cell
hub = stack.enter_context(running("class-hub"))
hub.store.accounts.create("teacher")
hub.store.accounts.create("class", is_org=True)
hub.store.accounts.add_member("class", "teacher", "admin")
clients = {name: HfApi(endpoint=hub.url, token=hub.token(name)) for name in ("teacher", "ada", "bob")}
for api in clients.values():
    about = api.whoami()
    print(f"{about['name']:>8}, member of", [org["name"] for org in about["orgs"]])

# %% [markdown]
# ## Publish an assignment
#
# An assignment is a repository of the organisation. Students can read it, and cannot change it:

# %%
text = """---
license: apache-2.0
---
# Week 1

Train a model on `qrsu/easy` with as few sequences as you can. Hand in the folder of the run.
"""
clients["teacher"].create_repo("class/week1")
clients["teacher"].upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id="class/week1")
try:
    clients["ada"].upload_file(path_or_fileobj=b"easier", path_in_repo="week1.txt", repo_id="class/week1")
except HfHubHTTPError as error:
    print("status", error.response.status_code)

# %% [markdown]
# ## Hand in a model
#
# Anyone who can read the repository can open a pull request. Ada trains a model and hands in the folder.

# %%
seqhub.train(task="qrsu/easy", output_dir="ada", seed=1, evaluate_size=1_000)
record = evaluate("ada", num_examples=500, sibling_examples=0)
print(f"Ada: {record.sequences_seen} sequences, accuracy {record.evaluation['test']['accuracy']:.1%}")
commit = clients["ada"].upload_folder(folder_path="ada", repo_id="class/week1", create_pr=True, commit_message="Ada")
print("pull request", commit.pr_num)

# %% [markdown]
# Bob has little time. His model saw 320 sequences, which is not enough, so he edits a number in the record.

# %%
seqhub.train(task="qrsu/easy", output_dir="bob", seed=2, max_sequences=320, evaluate_size=1_000, stop_at="none")
record = evaluate("bob", num_examples=500, sibling_examples=0)
print(f"Bob: {record.sequences_seen} sequences, accuracy {record.evaluation['test']['accuracy']:.1%}")
content = json.loads(Path("bob/run.json").read_text())
content["evaluation"]["test"]["accuracy"] = 1.0
Path("bob/run.json").write_text(json.dumps(content))
commit = clients["bob"].upload_folder(folder_path="bob", repo_id="class/week1", create_pr=True, commit_message="Bob")
print("pull request", commit.pr_num)

# %% [markdown]
# ## Grade
#
# The teacher downloads each open pull request and verifies it: the digests of all files, the outputs of the weights on
# the rows of the record, and the metrics on newly generated test rows. Only the weights are used; the code in a folder,
# which a student may have changed, is not run. `examples/hub/grade.py` does this for a whole class, and writes a table.

# %%
teacher = clients["teacher"]
pulls = teacher.get_repo_discussions("class/week1", discussion_type="pull_request", discussion_status="open")
for pull in sorted(pulls, key=lambda pull: pull.num):
    folder = Path(f"handed-in-{pull.num}")
    teacher.snapshot_download("class/week1", revision=pull.git_reference, local_dir=folder)
    differing = [finding for finding in seqhub.verify(folder) if not finding.agrees]
    claimed = RunRecord.load(folder).evaluation["test"]["accuracy"]
    print(f"{pull.num} by {pull.author}: claims {claimed:.1%},", "differs" if differing else "verified")
    for each in differing:
        print(f"    {each.what}: {each.recorded} recorded, {each.found} found")

# %% [markdown]
# Comparing a claim with the weights is not a matter of trust: each reader of the repository can do it, in a second.
#
# ## Answer
#
# A pull request has a discussion. The teacher comments on it and closes it.

# %%
for number, comment in (
    (1, "Well done."),
    (2, "The accuracy in the record is not that of the weights. Please train longer."),
):
    teacher.comment_discussion("class/week1", number, comment)
    if number == 1:
        teacher.change_discussion_status("class/week1", number, "closed")
for number in (1, 2):
    found = teacher.get_discussion_details("class/week1", number)
    print(
        number,
        found.status,
        [event.content for event in found.events if event.author == "teacher" and event.type == "comment"],
    )

# %% [markdown]
# ## Exercises
#
# **1.** Bob hands in again, honestly, in the same pull request: train with more sequences, and upload to its branch,
# `revision="refs/pr/2"`. Verify it.

# %% tags=["solution"]
seqhub.train(task="qrsu/easy", output_dir="bob-again", seed=2, evaluate_size=1_000)
evaluate("bob-again", num_examples=500, sibling_examples=0)
clients["bob"].upload_folder(folder_path="bob-again", repo_id="class/week1", revision="refs/pr/2")
teacher.snapshot_download("class/week1", revision="refs/pr/2", local_dir="again")
print("verified:", all(finding.agrees for finding in seqhub.verify("again")))

# %% [markdown]
# **2.** Two students with the same seed have the same weights. `verify` cannot tell who trained a model. Find out from
# the file lists whether the files of two pull requests are equal, without downloading them.

# %% tags=["solution"]
clients["bob"].upload_folder(folder_path="ada", repo_id="class/week1", create_pr=True, commit_message="Mine")
files = {}
for number in (1, 3):
    tree = teacher.list_repo_tree("class/week1", revision=f"refs/pr/{number}")
    files[number] = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in tree}
print([path for path, digest in files[1].items() if path.endswith(".safetensors") and files[3].get(path) == digest])

# %% [markdown]
# **3.** Should students see each other's models? Make a private repository `class/week1-ada`, and show that Bob cannot
# read it and the teacher can.

# %% tags=["solution"]
teacher.create_repo("class/week1-ada", private=True)
for name in ("teacher", "bob"):
    try:
        clients[name].model_info("class/week1-ada")
        print(name, "can read it")
    except HfHubHTTPError as error:
        print(name, "gets status", error.response.status_code)  # as if it did not exist

# %% [markdown]
# Stop the Hub:

# %%
stack.close()
