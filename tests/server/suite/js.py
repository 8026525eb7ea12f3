"""Run 42 operations of the npm client @huggingface/hub against this server.

    python tests/server/suite/js.py [--scratch FOLDER]

npm installs a fixed version of the client into the scratch folder; the repository does not contain it. Requires node
and npm (Debian packages nodejs and npm), and a package registry on the first run. Without node or npm the operations
are skipped with a message.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from seqhub.server.serve import running

PACKAGE = "@huggingface/hub@2.17.5"
OPERATIONS = 42
LIMIT = 300  # seconds for all operations
CLIENT = Path(__file__).with_name("js_client.mjs")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=Path("build/js-suite"), help="folder for the client")
    scratch = parser.parse_args().scratch.resolve()
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        sys.stdout.write(f"skipped: {' and '.join(missing)} not found; Debian has the packages nodejs and npm\n")
        return 0
    install(scratch)
    found = run(scratch)
    for name, problem in found.items():
        if problem is not None:
            sys.stdout.write(f"FAILED {name}: {problem}\n")
    passed = sum(problem is None for problem in found.values())
    sys.stdout.write(f"{passed} of {OPERATIONS}\n")
    return int(passed != OPERATIONS)


def install(scratch: Path) -> None:
    """Install the client, unless this version is already installed."""
    name, _, version = PACKAGE.rpartition("@")
    manifest = scratch / "node_modules" / name / "package.json"
    if manifest.exists() and json.loads(manifest.read_text())["version"] == version:
        return
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", PACKAGE]
    subprocess.run(command, cwd=scratch, check=True, timeout=LIMIT)


def run(scratch: Path) -> dict[str, str | None]:
    """Run the operations, and return a dict: name of the operation -> error, None on success."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "hub")) as hub:
        own = {"HUB_URL": hub.url, "HUB_TOKEN": hub.token("ada"), "HUB_CACHE": str(Path(folder, "cache"))}
        environment = {**os.environ, **own, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            ["node", str(CLIENT)], cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True, timeout=LIMIT
        )
    output = [line.partition("RESULT ")[2] for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    lines = [json.loads(line) for line in output]
    return {line["name"]: line["problem"] for line in lines}


if __name__ == "__main__":
    sys.exit(main())
