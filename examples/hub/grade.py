"""Grade the hand-ins of a class: verify the model in each open pull request of a repository, and write a table.

Usage: python grade.py class/week1 grades.csv

A hand-in is a run folder, as `seqhub train` writes it. Its weights are run by the model classes of seqhub: the code in
the folder, which a student may have changed, is not run.
"""

import csv
import sys
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

import seqhub
from seqhub.records import RunRecord


def main(repo: str, output: str) -> None:
    api = HfApi()
    rows = []
    for pull in api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open"):
        with tempfile.TemporaryDirectory() as folder:
            api.snapshot_download(repo, revision=pull.git_reference, local_dir=folder)
            rows.append({"student": pull.author, "pull_request": pull.num, **grade(Path(folder))})
        print(rows[-1])
    with Path(output).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["student", "pull_request", "verified", "accuracy", "sequences", "problem"])
        table.writeheader()
        table.writerows(sorted(rows, key=lambda row: row["student"]))


def grade(folder: Path) -> dict[str, object]:
    """Return whether a hand-in agrees with its record, its test accuracy and its number of training sequences."""
    try:
        differing = [finding for finding in seqhub.verify(folder) if not finding.agrees]
        record = RunRecord.load(folder)
    except Exception as error:  # a folder that is not a run, or a damaged one: the table says why
        return {"verified": False, "problem": f"{type(error).__name__}: {error}"}
    return {
        "verified": not differing,
        "accuracy": record.evaluation.get("test", {}).get("accuracy"),
        "sequences": record.sequences_seen,
        "problem": "; ".join(f"{each.what}: {each.recorded} recorded, {each.found} found" for each in differing),
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
