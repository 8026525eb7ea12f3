"""Publication of a benchmark: its cells are added to those of a repository, whose page shows all of them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from seqhub.errors import InvalidInputError
from seqhub.experiments.bench.cell import CELLS, read_cells
from seqhub.experiments.bench.page import write_page
from seqhub.experiments.bench.summary import bench_record
from seqhub.hub.client import OutdatedError, check_repo_id, connect, hub_errors
from seqhub.hub.push import Pushed, prepare_repository, push
from seqhub.records.bench import CellRecord

_ATTEMPTS = 5  # if others push to the same repository


def push_bench(
    folder: Path,
    repo_id: str,
    *,
    endpoint: str | None = None,
    token: str | bool | None = None,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Add the cells of a benchmark to a dataset repository, and render its page and figures from all its cells.

    Weights are not uploaded. Cells in the repository are kept; only a failed one is replaced by one with a result.

    Args:
        folder: Folder of a benchmark.
        repo_id: `namespace/name`; created if it does not exist.
        endpoint: URL of the Hub; None for HF_ENDPOINT or the public Hub.
        token: Access token; None for HF_TOKEN or the saved login.
        private: Create a private repository; raise an error if a public one exists.
        revision: Branch to commit to; created from the main branch if it does not exist.
        dry_run: List the files, without those in the repository, without contacting a Hub.

    Raises:
        InvalidInputError: `repo_id` is not a valid repository id, or the folder has no cells.
        CorruptFileError: A cell of the folder or of the repository is not valid, or of another version.
        HubError: The Hub does not respond or returns an error.
    """
    check_repo_id(repo_id)
    ours = read_cells(folder)
    if not ours:
        raise InvalidInputError(f"{folder} has no cells; run `seqhub bench` first")
    with tempfile.TemporaryDirectory(prefix="seqhub-bench-") as scratch:
        prepared = Path(scratch) / folder.resolve().name
        if dry_run:
            _write(prepared, ours)
            return push(prepared, repo_id, dry_run=True)
        api = connect(endpoint, token)
        for attempt in range(_ATTEMPTS):
            with hub_errors(api, f"push to {repo_id}", f"{folder} is unchanged"):
                newest = prepare_repository(api, repo_id, "dataset", private, revision)
                theirs = Path(
                    api.snapshot_download(
                        repo_id,
                        repo_type="dataset",
                        revision=newest,
                        allow_patterns=f"{CELLS}/*/{CellRecord.FILE_NAME}",
                    )
                )
            _write(prepared, _union(read_cells(theirs, repo_id), ours))
            options = {"endpoint": endpoint, "token": token, "private": private, "revision": revision}
            try:
                return push(prepared, repo_id, parent=newest, message=f"Add {len(ours)} cells with seqhub", **options)  # type: ignore[arg-type]
            except OutdatedError:
                if attempt + 1 == _ATTEMPTS:
                    raise
    raise AssertionError("the last attempt returns or raises")


def _union(theirs: Mapping[str, CellRecord], ours: Mapping[str, CellRecord]) -> dict[str, CellRecord]:
    """Return all cells; of two with the same settings the first one, unless it failed."""
    return {**ours, **{key: record for key, record in theirs.items() if record.status != "failed" or key not in ours}}


def _write(folder: Path, cells: Mapping[str, CellRecord]) -> None:
    """Write cells, page and figures."""
    for key, record in cells.items():
        (folder / CELLS / key).mkdir(parents=True, exist_ok=True)
        record.save(folder / CELLS / key)
    write_page(bench_record(cells.values(), {}), folder)
