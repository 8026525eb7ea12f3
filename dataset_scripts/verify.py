"""Step 3 of a data release: load back what was published and hold it against its record and the task's rule.

    python -m dataset_scripts.verify NAMESPACE | FOLDER

Exits with 1 on any difference.
"""

import sys
from pathlib import Path

from seqhub.evaluation.verify import verify
from seqhub.hub.fetch import fetch
from seqhub.tasks.registry import list_tasks


def verify_all(where: str) -> int:
    """Verify every task of a namespace, or below a folder; the number of differences."""
    different = 0
    for task in list_tasks():
        folder = Path(where) / task
        findings = verify(folder if folder.is_dir() else fetch(f"{where}/{task}"))
        wrong = [finding for finding in findings if not finding.agrees]
        different += len(wrong)
        print(f"{where}/{task}: {len(findings) - len(wrong)} of {len(findings)} checks agree")
        for finding in wrong:
            print(f"  {finding.what}: {finding.recorded} recorded, {finding.found} found")
    return different


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m dataset_scripts.verify NAMESPACE | FOLDER")
    raise SystemExit(min(1, verify_all(sys.argv[1])))
