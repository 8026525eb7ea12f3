"""Run the test suites of huggingface_hub and datasets against this server.

    python tests/server/suite/run.py [--suite hub|datasets] [--mode xet|lfs] [tests ...]

The suites are in the source releases on PyPI, which are downloaded into a scratch folder; the repository does not
contain them. This folder has files that the releases do not contain (conftest, fixtures), the excluded tests with
their reasons (`exclusions.toml`), and the tests that need a server (`needs_server.txt`). Requires a package index.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from seqhub.server.serve import running
from seqhub.server.store import Store

HERE = Path(__file__).parent
NEEDS_SERVER = HERE / "needs_server.txt"
PACKAGES = {"hub": "huggingface_hub", "datasets": "datasets"}
TESTS = {"hub": ["tests"], "datasets": ["tests/test_upstream_hub.py", "tests/test_hub.py"]}
# Imports of the suites beyond the dependencies of seqhub; --no-deps, so that installed packages are not shadowed.
EXTRAS = [
    "annotated-doc",
    "authlib",
    "cffi",
    "charset-normalizer",
    "cryptography",
    "decorator",
    "execnet",
    "fastapi",
    "itsdangerous",
    "jedi",
    "joserfc",
    "opentelemetry-api",
    "parso",
    "pycparser",
    "pytest-asyncio",
    "pytest-mock",
    "pytest-vcr",
    "pytest-xdist",
    "requests",
    "urllib3",
    "vcrpy",
]
# Accounts and tokens in the public code of the suites
USERS = {
    "__DUMMY_HUB_USER__": "hf_HubCITokenXXXXXXXXXXXXXXXXXXXXX",
    "DVUser": "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",
    "EnterpriseAdmin": "hf_enterprise_admin_token",
    "__DUMMY_DATASETS_USER__": "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",
}
ORGANISATIONS = {  # name -> full name and its only member
    "valid_org": ("Dummy Org", "__DUMMY_HUB_USER__"),
    "valid_org_hub": ("Dummy Hub Org", "__DUMMY_HUB_USER__"),
    "EnterpriseOrgPrivate": ("Enterprise Org", "EnterpriseAdmin"),
}
NO_SERVER = "http://127.0.0.1:9"  # the discard port, which refuses connections
INI = """\
[pytest]
addopts = -q -p no:cacheprovider --strict-markers --tb=short --disable-warnings -W error::FutureWarning
asyncio_mode = strict
markers =
    api: mark of the suite
    deprecated: expects a FutureWarning
    git_lfs: needs git-lfs
    inference: inference providers
    integration: needs a server
    no_xet: only without hf_xet
    production: needs huggingface.co
    transfer: mark of the suite
    unit: needs no server
    xet: only with hf_xet
"""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=1800)


def fetch(suite: str, scratch: Path, releases: dict[str, str]) -> tuple[Path, list[Path]]:
    """Unpack a suite and add the files of this folder.

    Returns:
        Working directory of the tests, and folders for PYTHONPATH in order.
    """
    package = PACKAGES[suite]
    site = scratch / "site"
    if not site.exists():
        pip("install", "--no-deps", "--target", str(site), *EXTRAS)
    paths = [site]
    for name, number in releases.items():
        if number != version(name):
            target = scratch / f"{name}-{number}-installed"
            if not target.exists():
                pip("install", "--no-deps", "--target", str(target), f"{name}=={number}")
            paths.insert(0, target)
    stem = f"{package}-{releases.get(package, version(package))}"
    archive = scratch / f"{stem}.tar.gz"
    if not archive.exists():
        options = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest"]
        pip("download", *options, str(scratch), stem.replace("-", "=="))
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, [member for member in tar.getmembers() if "/tests/" in member.name], filter="data")
    folder = scratch / stem
    for path in (folder / "tests", *(path for path in (folder / "tests").rglob("*") if path.is_dir())):
        (path / "__init__.py").touch()
    shutil.copyfile(HERE / f"conftest_{suite}.py", folder / "tests/conftest.py")
    shutil.copyfile(HERE / "outcomes.py", folder / "tests/seqhub_outcomes.py")
    (folder / "pytest.ini").write_text(INI)
    if suite == "datasets":
        (folder / "tests/fixtures").mkdir(exist_ok=True)
        for name in ("fixtures/__init__.py", "fixtures/hub.py", "utils.py"):
            text = "" if name.endswith("__init__.py") else "from tests.conftest import *  # noqa: F403\n"
            (folder / "tests" / name).write_text(text)
    return folder, paths


def point(folder: Path, url: str) -> None:
    """Configure the URL of the server in the suite."""
    constants = folder / "tests/testing_constants.py"
    if constants.exists():
        lines = constants.read_text().splitlines()
        ours = [f'ENDPOINT_STAGING = "{url}"' if line.startswith("ENDPOINT_STAGING =") else line for line in lines]
        constants.write_text("\n".join(ours) + "\n")


def create_accounts(store: Store) -> None:
    """Create the accounts of the suites."""
    for name, secret in USERS.items():
        store.accounts.create(name, full_name="Dummy User" if "DUMMY" in name else name)
        store.tokens.create(name, "test suite", "admin", secret=secret)
    for org, (full_name, user) in ORGANISATIONS.items():
        store.accounts.create(org, is_org=True, full_name=full_name)
        store.accounts.add_member(org, user, "admin")


@contextmanager
def serving(scratch: Path, baseline: bool) -> Iterator[str]:
    """Yield the URL of a new server; for the baseline, a URL without a server."""
    if baseline:
        yield NO_SERVER
        return
    handler = logging.FileHandler(scratch / "server.log", mode="w")
    for name in ("uvicorn.error", "seqhub"):
        logging.getLogger(name).addHandler(handler)
    with tempfile.TemporaryDirectory(dir=scratch) as root, running(root) as server:
        create_accounts(server.store)
        yield server.url


def run(suite: str, folder: Path, paths: list[Path], url: str, arguments: argparse.Namespace, names: list[str]) -> Path:
    """Run tests, by default all, and return the path of the report."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    tests = [name if name.startswith("tests") else f"tests/{name}" for name in names] or TESTS[suite]
    with tempfile.TemporaryDirectory(dir=folder) as home:
        dropped = ("HF_", "HUGGING", "HTTP_", "HTTPS_", "NO_PROXY")  # settings of the client, and proxies
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)}
        environment = inherited | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "HF_HOME": home,
            "HF_TOKEN": "",
            "OMP_NUM_THREADS": "1",
            "SEQHUB_SUITE_EXCLUSIONS": str(HERE / "exclusions.toml"),
            "SEQHUB_SUITE_NAME": suite,
            "SEQHUB_SUITE_MODE": arguments.mode,
            "SEQHUB_SUITE_URL": url,
            "SEQHUB_SUITE_BASELINE": "1" if arguments.baseline else "",
            "SEQHUB_SUITE_ALL": "1" if arguments.all else "",
        }
        if suite == "hub":  # the other suite sets it in its fixtures
            environment["HF_ENDPOINT"] = url
        if arguments.mode == "lfs":
            environment["HF_HUB_DISABLE_XET"] = "1"
        options = ["-n", str(arguments.processes), f"--timeout={arguments.limit}", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", f"--rootdir={folder}", "-c", str(folder / "pytest.ini"), *options]
        with (folder / "output.txt").open("w") as output:
            streams = {"stdout": output, "stderr": subprocess.STDOUT}
            subprocess.run([*command, *tests], cwd=folder, env=environment, check=False, timeout=7200, **streams)
    return report


def outcomes(suite: str, report: Path) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Return test id -> (passed, failed, excluded or skipped; reason), and the ids of tests with the mark xet."""
    found, about_xet = {}, set()
    for case in ElementTree.parse(report).iter("testcase"):
        where, _, owner = (case.get("classname") or "").removeprefix("tests.").partition(".")
        id = f"{suite} {where}.py::" + "::".join(part for part in (owner, case.get("name") or "") if part)
        if case.find("properties/property[@value='xet']") is not None:
            about_xet.add(id)
        parts = {part.tag: part.get("message", "") for part in case}
        if "failure" in parts or "error" in parts:
            found[id] = "failed", (parts.get("failure") or parts.get("error") or "").split("\n")[0]
        elif "skipped" in parts:
            reason = parts["skipped"]
            found[id] = ("excluded" if reason.startswith("excluded: ") else "skipped"), reason
        else:
            found[id] = "passed", ""
    return found, about_xet


def needs_server() -> set[str]:
    return set(NEEDS_SERVER.read_text().splitlines()) if NEEDS_SERVER.exists() else set()


def table(found: dict[str, tuple[str, str]], needed: set[str], about_xet: set[str]) -> list[str]:
    """Return the results as lines of text."""
    counts = Counter(outcome for outcome, _ in found.values())
    not_run = [(outcome, why) for outcome, why in found.values() if outcome in ("excluded", "skipped")]
    reasons = Counter((outcome, why.removeprefix("excluded: ")) for outcome, why in not_run)
    lines = [f"failed: {id}: {why}" for id, (outcome, why) in sorted(found.items()) if outcome == "failed"]
    lines += [f"{outcome} {count:4d}: {why}" for (outcome, why), count in sorted(reasons.items())]
    served = {id for id, (outcome, _) in found.items() if outcome == "passed" and id in needed}
    summary = ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "excluded", "skipped"))
    summary += f"; {len(served)} of the passed need a server, {len(served & about_xet)} of these have the mark xet"
    return [*lines, summary]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", help="test files or ids below tests/; by default all")
    parser.add_argument("--suite", choices=PACKAGES, default="hub")
    parser.add_argument("--mode", choices=("xet", "lfs"), default="xet")
    parser.add_argument("--release", action="append", default=[], metavar="PACKAGE==VERSION",
                        help="release of huggingface_hub or datasets, instead of the installed one")  # fmt: skip
    parser.add_argument("--baseline", action="store_true", help="run without a server and record the failures")
    parser.add_argument("--all", action="store_true", help="also run excluded tests")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int, default=300, help="seconds for one test; one builds 100,000 mocks")
    parser.add_argument(
        "--scratch", type=Path, help="folder for the suites, which is reused; by default a temporary one"
    )
    arguments = parser.parse_args()
    releases = dict(text.split("==") for text in arguments.release)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (arguments.scratch or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        folder, paths = fetch(arguments.suite, scratch, releases)
        with serving(scratch, arguments.baseline) as url:
            point(folder, url)
            report = run(arguments.suite, folder, paths, url, arguments, arguments.tests)
            if not report.exists():
                sys.stderr.write((folder / "output.txt").read_text()[-4000:])
                return 2
            found, about_xet = outcomes(arguments.suite, report)
            late = sorted(id for id, (outcome, why) in found.items() if outcome == "failed" and "Timeout (>" in why)
            if late and not arguments.baseline:  # possibly a busy machine: repeat, and report it
                names = [id.partition(" ")[2] for id in late]
                found |= outcomes(arguments.suite, run(arguments.suite, folder, paths, url, arguments, names))[0]
    if arguments.baseline:
        failed = {id for id, (outcome, _) in found.items() if outcome == "failed"}
        kept = needs_server() if releases else needs_server() - found.keys()  # tests of another release are added
        NEEDS_SERVER.write_text("".join(f"{id}\n" for id in sorted(kept | failed)))
        sys.stdout.write(f"{len(failed)} tests of {arguments.suite} do not pass without a server\n")
        return 0
    lines = [f"run again after its time limit: {id}" for id in late] + table(found, needs_server(), about_xet)
    title = f"{folder.name}, {arguments.mode} mode, {time.monotonic() - begun:.0f} s"
    sys.stdout.write("\n".join([*lines[:-1], f"{title}: {lines[-1]}"]) + "\n")
    return 1 if any(outcome == "failed" for outcome, _ in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
