"""Step 3 of a release: load datasets and compare them with their records and the definitions of their tasks."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_scripts.selection import FOLDER, TaskNames, selected, with_progress
from seqhub.errors import VerificationError
from seqhub.hub.fetch import fetch
from seqhub.verification.verify import verify


def verify_command(
    tasks: TaskNames = None,
    source: Annotated[
        str, typer.Option(metavar="NAMESPACE|FOLDER", help="Namespace on a Hub, or folder with the datasets")
    ] = str(FOLDER),
) -> None:
    """Compare built or published tasks with their records and definitions.

    The exit code is 1 if anything differs.
    """
    different = []
    for task in with_progress("verifying", selected(tasks)):
        folder = Path(source) / task
        findings = verify(folder if folder.is_dir() else fetch(f"{source}/{task}"))
        wrong = [finding for finding in findings if not finding.agrees]
        print(f"{source}/{task}: {len(findings) - len(wrong)} of {len(findings)} checks agree")
        for finding in wrong:
            print(f"  {finding.what}: {finding.recorded} recorded, {finding.found} found")
        different += [task] if wrong else []
    if different:
        raise VerificationError(f"datasets that differ from their records: {', '.join(different)}")
