"""The command `python -m benchmarks.own_files`; see the package. Results are saved after each run."""

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks import RESULTS
from benchmarks.own_files.cases import CASES, FileCase
from benchmarks.own_files.packages import Package
from benchmarks.timing import processor
from seqhub.records import RunRecord, environment
from seqhub.records.comparison import compare_with_baselines

SEEDS = (1, 2, 3, 4, 5)
RESULT = RESULTS / "own_files.json"
SIMPLE = ("aeon==1.6.0", "scikit-learn==1.9.1")  # installed into a folder of their own, as aeon needs an older NumPy


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_files", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="NAME", help=f"Files: {', '.join(CASES)}")
    parser.add_argument("--folder", type=Path, default=Path("runs/own_files"), help="Folder of files and runs")
    arguments = parser.parse_args()
    for name in arguments.names or CASES:
        measure(name, CASES[name], arguments.folder)


def measure(name: str, case: FileCase, folder: Path) -> None:
    """Write the file, train from each seed, verify the first model, and measure the simple model; skip what is done."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    file = case.write(Package(case.package, folder / "packages"), folder / "files")
    done: dict[str, Any] = _saved()["files"].get(name, {})
    if not done:
        done = {"file": file.name, "command": command(file, case), "seeds": {}}
    for seed in SEEDS:
        if str(seed) in done["seeds"]:
            continue
        run = folder / "runs" / f"{name}-{seed}"
        finished = (run / RunRecord.FILE_NAME).is_file()
        if not finished or not RunRecord.load(run).evaluation:
            resume = ["--resume"] if run.exists() and not finished else []
            if finished:
                raise SystemExit(f"{run}: not evaluated; remove the folder")
            _call(
                ["train", str(file), *case.options, "--seed", str(seed), "--output-dir", str(run), *resume, "--quiet"]
            )
        record = RunRecord.load(run)
        comparison = compare_with_baselines(record)
        assert comparison is not None
        *_, model = comparison.values
        done |= {
            "task": str(record.task),
            "metric": comparison.metric,
            "baselines": {each: value for each, value in comparison.values.items() if each != model},
            "deviation": record.data.get("reading", {}).get("target_deviation"),
            "data_options": record.training["data_options"],
            "classes": len(record.schema.labels),
            "rows": _sizes(record, file),
            "recipe": {each: record.training[each] for each in ("epochs", "batch_size", "patience", "learning_rate")},
        }
        done["seeds"][str(seed)] = {
            "test": comparison.values[model],
            "validation": record.evaluation["validation"].get("mse", record.evaluation["validation"]["accuracy"]),
            "seconds": record.timings["train"],
            "epochs": record.sequences_seen and record.sequences_seen / record.data["rows"],
        }
        if "verified" not in done:
            _call(["verify", str(run), "--dataset", str(file), "--quiet"])
            done["verified"] = True
        print(f"{name} seed {seed}: {comparison.sentence}", flush=True)
        _save(name, done)
    if "simple" not in done:
        done["simple"] = _simple(file, done, folder)
        print(f"{name}: {done['simple']}", flush=True)
        _save(name, done)


def command(file: Path, case: FileCase) -> str:
    """Return the command that trains on a file, without the folder of the file."""
    return shlex.join(["seqhub", "train", file.name, *case.options])


def _sizes(record: RunRecord, file: Path) -> dict[str, int]:
    from seqhub.data.source import DataSource

    return DataSource.of_run(record, file).sizes


def _call(arguments: list[str]) -> None:
    """Run a command of seqhub in this process, so that the libraries are imported once."""
    from seqhub.cli import main as seqhub

    errors, before = io.StringIO(), sys.argv
    sys.argv = ["seqhub", *arguments]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            seqhub()
    except SystemExit as end:
        if end.code:
            raise SystemExit(f"{shlex.join(sys.argv)}: {errors.getvalue().strip()}") from None
    finally:
        sys.argv = before


def _simple(file: Path, done: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the result of the simple model, in the unit of the target for numbers."""
    site = folder / "simple_models"
    if not site.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
        subprocess.run([*pip, *SIMPLE], check=True)
    arguments = [str(file), done["task"], json.dumps(done["data_options"])]
    path = os.pathsep.join([str(site.resolve()), str(Path(__file__).parents[2])])
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.own_files.simple_models", *arguments],
        check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    if done["deviation"] is not None:
        result["value"] = result["value"] ** 0.5 * done["deviation"]
    return result


def _saved() -> dict[str, Any]:
    if not RESULT.is_file():
        return {"environment": {**environment(), "processor": processor()}, "files": {}}
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return found


def _save(name: str, done: dict[str, Any]) -> None:
    saved = _saved()  # read again, as another process may run other files
    saved["files"][name] = done
    saved["files"] = {each: saved["files"][each] for each in CASES if each in saved["files"]}
    temporary = RESULT.with_suffix(".part")
    temporary.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
    temporary.replace(RESULT)


if __name__ == "__main__":
    main()
