"""Step 3 of a data release: load back what was published and hold it against its record and the task's rule.

    python -m dataset_scripts.verify NAMESPACE|FOLDER [TASK ...]

Exits with 1 on any difference.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from seqhub.evaluation.verify import verify
from seqhub.hub.fetch import fetch
from seqhub.tasks.registry import list_tasks


def verify_all(where: str, tasks: Sequence[str]) -> int:
    """Verify tasks of a namespace, or below a folder; the number of differences."""
    different = 0
    for task in tasks:
        folder = Path(where) / task
        findings = verify(folder if folder.is_dir() else fetch(f"{where}/{task}"))
        wrong = [finding for finding in findings if not finding.agrees]
        different += len(wrong)
        print(f"{where}/{task}: {len(findings) - len(wrong)} of {len(findings)} checks agree")
        for finding in wrong:
            print(f"  {finding.what}: {finding.recorded} recorded, {finding.found} found")
    return different


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m dataset_scripts.verify NAMESPACE|FOLDER [TASK ...]")
    raise SystemExit(min(1, verify_all(sys.argv[1], sys.argv[2:] or list_tasks())))
