"""Step 3 of a data release: load back what was published and hold it against its record and the task's rule.

    python -m dataset_scripts.verify NAMESPACE|FOLDER [TASK ...]

Exits with 1 on any difference.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dataset_scripts.build import chosen
from seqhub.cli.errors import script
from seqhub.hub.fetch import fetch
from seqhub.verification.verify import verify


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


def main(
    where: Annotated[str, typer.Argument(metavar="NAMESPACE|FOLDER", help="where the datasets are.")],
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="tasks; all by default.")] = None,
) -> None:
    """Compare what was published with its records and with the definitions of the tasks."""
    if verify_all(where, chosen(tasks)):
        raise SystemExit(1)


if __name__ == "__main__":
    script(main)
