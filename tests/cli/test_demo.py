"""`seqhub demo` from end to end, and the lines that it prints for copying."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

from tests.helpers import forked_process, training_processes
from tests.helpers.cli_calls import PROGRAM, program

SECONDS = 180

# Prepended to code, to run it as if seqhub were not installed
WITHOUT_SEQHUB = """
import sys
class NoSeqhub:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "seqhub":
            raise ImportError("seqhub is hidden from this process by the test")
sys.meta_path.insert(0, NoSeqhub())
"""


def run_python(code: str, folder: Path) -> str:
    """Return the standard output of code in a process of its own, in `folder`."""
    returned, out, errors = training_processes.finish(
        forked_process.Process(["-c", code], cwd=folder, env=dict(os.environ)), SECONDS
    )
    assert returned == 0, errors
    return out


def home_page(command: list[str], folder: Path) -> str:
    """Return the home page of a Hub that a command serves."""
    line = [PROGRAM, *command[1:], "--port", "0", "--no-access-log"]
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("export HF_ENDPOINT=")
            with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=SECONDS) as page:
                return str(page.read().decode())
        finally:
            process.terminate()


def test_the_demo_runs_end_to_end(tmp_path: Path) -> None:
    """In a folder of an earlier demo, with any settings of Hub, token and mode in the environment."""
    folder = tmp_path / "there" / "demo"
    (folder / "qrsu-hard-lstm").mkdir(parents=True)
    (folder / ".seqhub-demo").touch()
    (folder / "qrsu-hard-lstm" / "checkpoint.safetensors").write_text("of an interrupted demo")
    unreachable = "http://127.0.0.1:9"
    settings = {
        "HF_ENDPOINT": unreachable, "HF_TOKEN": "hf_none", "HF_HUB_OFFLINE": "1",
        "HTTP_PROXY": unreachable, "http_proxy": unreachable, "NO_PROXY": "example.org", "no_proxy": "example.org",
    }  # fmt: skip
    ended = program("demo", "there/demo", folder=tmp_path, seconds=SECONDS, **settings)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert not list(folder.rglob("checkpoint*"))

    # measurements
    text = " ".join(ended.out.split())
    assert "qrsu/hard is solved" in text
    assert re.search(r"the paper 31,390 sequences", text)
    found = re.search(r"(\d+) of (\d+) checks agree", text)
    assert found
    assert found[1] == found[2]
    met = re.search(r"criterion of Hochreiter & Schmidhuber \(1997\) met after ([\d,]+) sequences", text)
    assert met
    assert 2000 <= int(met[1].replace(",", "")) < 31_390

    # layout: only lines to copy and their explanations may be wider than the terminal
    summary = ended.out.partition("\nfiles\n")[0]
    assert all(len(line) <= 80 for line in summary.splitlines())
    assert not re.search(r"\[/|\[bold|\x1b", ended.out)
    assert {path.name for path in (folder / "qrsu-hard-lstm" / "figures").iterdir()} == {
        "states.png", "curves.png", "lengths.png",
    }  # fmt: skip
    for path in re.findall(r"^  (there/demo/\S+)$", ended.out, flags=re.MULTILINE):
        assert (tmp_path / path).is_dir()

    # the lines to copy
    python = re.search(r"^from Python.*\n((?:  .*\n)+)", ended.out, flags=re.MULTILINE)
    assert python
    lines = [line.strip() for line in python[1].splitlines()]
    lines[-1] = f"print({lines[-1]}[0]['label'], rows.features['label'].int2str(rows[0]['label']))"
    answer, label = run_python("\n".join([WITHOUT_SEQHUB, *lines]), tmp_path).split()
    assert answer == label

    # the end: the address, and two commands with which to look at it
    end = ended.out.rpartition("\nin a browser, at http://127.0.0.1:8080\n")[2]
    commands = re.findall(r"^  (seqhub serve .*)$", end, flags=re.MULTILINE)
    assert commands == ["seqhub serve --root there/demo/hub", "seqhub serve --root there/demo/hub --examples"]
    assert "/qrsu-hard-lstm" in home_page(commands[0].split(), tmp_path)


def test_the_lines_to_copy_survive_any_folder_name(tmp_path: Path) -> None:
    from seqhub.cli.demo import loading_lines

    name = Path('a "b" c\'d\\e')
    lines = loading_lines(name, name, "hard")
    calls = {"load_dataset": lambda folder, *_, **__: folder, "pipeline": lambda *_, model, **__: model}
    for line in lines:
        if line.startswith(("rows", "classify =")):
            exec(line, calls)
    assert calls["rows"] == calls["classify"] == str(name)


def test_the_makefile_lists_its_targets() -> None:
    make = shutil.which("make")
    assert make
    root = Path(__file__).parent.parent.parent
    # the tests may themselves run under make, whose variables would add lines about folders
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        [make], cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    phony = re.search(r"^\.PHONY: (.*)$", (root / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony
    assert [line.split()[1] for line in done.stdout.splitlines()] == phony[1].split()
