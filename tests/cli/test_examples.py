"""`seqhub serve --examples`: the fill of a Hub with released datasets and models, and what clients see of it."""

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from seqhub.cli.examples import NAMESPACE
from seqhub.models.pretrained import list_pretrained, pretrained
from seqhub.records import RunRecord
from seqhub.server.store import Store
from seqhub.tasks.registry import builtin_tasks
from seqhub.verification.verify import Published, verify
from tests.cli.test_demo import WITHOUT_SEQHUB
from tests.helpers.cli_calls import PROGRAM, default_interrupt

SECONDS = 100
ALL = [*(("dataset", name) for name in builtin_tasks()), *(("model", name) for name in list_pretrained())]
FEW = [("dataset", "row_images"), ("model", "qrsu-easy-lstm"), ("model", "row_images-digits8-lstm")]


class Served(NamedTuple):
    """A running `seqhub serve --examples`."""

    process: subprocess.Popen[str]
    url: str
    errors: Callable[[], str]  # standard error so far

    def page(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page, as a browser gets it."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)
        try:
            connection.request("GET", path, headers={"Accept": "text/html"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@contextmanager
def started(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """Start `seqhub serve --examples`, and yield the process and a function that returns its standard error."""
    command = [PROGRAM, "serve", "--examples", "--root", root, "--port", "0", "--no-access-log", *arguments]
    log = root.with_name(f"{root.name}-{secrets.token_hex(4)}.log")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=root.parent, start_new_session=True,
            preexec_fn=default_interrupt, env=os.environ | {"TMPDIR": str(scratch(root))},
        ) as process,
    ):  # fmt: skip
        try:
            yield process, log.read_text
        finally:
            process.terminate()
            process.wait(SECONDS)


@contextmanager
def served(root: Path, *arguments: str) -> Iterator[Served]:
    with started(root, *arguments) as (process, errors):
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("export HF_ENDPOINT=http://127.0.0.1:"), errors()
        while "Set this variable" not in errors():  # written after the address
            assert process.poll() is None
        yield Served(process, first.strip().removeprefix("export HF_ENDPOINT="), errors)


def scratch(root: Path) -> Path:
    """Return the folder for temporary files of a server."""
    folder = root.with_name(f"{root.name}-tmp")
    folder.mkdir(exist_ok=True)
    return folder


def hub_without(root: Path, missing: list[tuple[str, str]]) -> None:
    """Create a Hub that has repositories with the names of all examples except some."""
    store = Store(root)
    store.accounts.create(NAMESPACE)
    for kind, name in ALL:
        if (kind, name) not in missing:
            store.repos.create(kind, f"{NAMESPACE}/{name}", author=NAMESPACE)
    store.close()


def names(root: Path) -> set[tuple[str, str]]:
    """Return the types and names of the repositories of the examples."""
    store = Store(root)
    try:
        return {(kind, name) for kind, name in ALL if store.repos.find(kind, f"{NAMESPACE}/{name}") is not None}
    finally:
        store.close()


def client(url: str, code: str, folder: Path) -> list[str]:
    """Return the words that code prints in a process without seqhub that uses the Hub."""
    variables = {
        "HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home"), "HF_TOKEN": "",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SEQHUB + code], cwd=folder, env=os.environ | variables, capture_output=True,
        text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served Hub in which the examples of `FEW` have been added to a Hub with all others."""
    root = tmp_path_factory.mktemp("examples") / "hub"
    hub_without(root, FEW)
    with served(root) as running:
        yield running


def test_the_address_and_the_progress_are_printed(hub: Served) -> None:
    errors = hub.errors()
    assert f"Open {hub.url} in a browser." in errors
    assert "3/3" in errors
    assert re.search(rf"^Added 3 examples in \d+ s; {len(ALL) - 3} were there\.$", errors, flags=re.MULTILINE)


def test_clients_load_datasets_and_models(hub: Served, tmp_path: Path) -> None:
    code = (
        "from datasets import load_dataset\n"
        "from transformers import AutoModelForSequenceClassification as Model\n"
        "import torch\n"
        "rows = load_dataset('seqhub/row_images', 'digits8')\n"
        "model = Model.from_pretrained('seqhub/row_images-digits8-lstm', trust_remote_code=True).eval()\n"
        "test = rows['test']\n"
        "with torch.no_grad():\n"
        "    right = [int(model(input_values=torch.tensor([row['input_values']])).logits.argmax()) == row['label'] "
        "for row in test]\n"
        "from huggingface_hub import HfApi\n"
        "entry, *_ = HfApi().get_dataset_leaderboard('seqhub/row_images')\n"
        "print(len(rows['train']), len(test), sum(right), entry.model_id)\n"
    )
    train, test, right, best = client(hub.url, code, tmp_path)
    record = RunRecord.load(pretrained("row_images-digits8-lstm"))
    metrics = record.evaluation["test"]
    assert (int(test), int(right)) == (metrics["examples"], round(metrics["accuracy"] * metrics["examples"]))
    assert int(train) == 1438
    assert best == "seqhub/row_images-digits8-lstm"


def test_a_model_of_the_hub_agrees_with_its_record(hub: Served, tmp_path: Path) -> None:
    code = (
        "from huggingface_hub import snapshot_download\n"
        "print(snapshot_download('seqhub/row_images-digits8-lstm', local_dir='model'))\n"
    )
    client(hub.url, code, tmp_path)
    published = Published(hub.url, "seqhub/row_images-digits8-lstm", "seqhub/row_images")
    assert [each for each in verify(tmp_path / "model", published=published) if not each.agrees] == []


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ["row_images", "qrsu-easy-lstm"]),
        ("/models", ["seqhub/row_images-digits8-lstm", "seqhub/qrsu-easy-lstm"]),
        ("/datasets", ["seqhub/row_images"]),
        ("/seqhub/row_images-digits8-lstm", ["from_pretrained", "Runs", "0.9721", "/datasets/seqhub/row_images"]),
        ("/seqhub/qrsu-easy-lstm", ["Explorer", "Runs", "history.jsonl" , "model.safetensors"]),
        ("/datasets/seqhub/row_images", ["Viewer", "Leaderboard", "digits28"]),
    ],
)  # fmt: skip
def test_pages_show_the_examples(hub: Served, path: str, shown: list[str]) -> None:
    status, text = hub.page(path)
    assert status == 200
    text += "".join(hub.page(f"{path}/tree/main")[1] for _ in range(path.count("/") > 1))
    assert [each for each in shown if each not in text] == []
    for tab in sorted(set(re.findall(r'href="(/[^"#?]*/-/(?!static)[^"#?]*)', text))):
        status, page = hub.page(tab)
        assert status == 200, tab
        assert "<h1" in page


def test_another_start_adds_nothing(hub: Served) -> None:
    store_root = Path(str(re.search(r"stored in (\S+)\.", hub.errors())[1]))
    with served(store_root) as again:
        assert f"All {len(ALL)} examples are in {store_root}." in again.errors()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_fill_is_completed_by_the_next(tmp_path: Path, number: signal.Signals) -> None:
    """The signal arrives while a large dataset is built; whole repositories remain, and no temporary files."""
    root = tmp_path / "hub"
    missing = [("dataset", "char_completion"), ("dataset", "two_sequence"), ("model", "qrsu-easy-lstm")]
    hub_without(root, missing)
    with started(root) as (process, errors):
        while not list(scratch(root).glob("seqhub-examples-*/datasets/.two_sequence*")):
            assert process.poll() is None, errors()
        process.send_signal(number)
        code = process.wait(SECONDS)
    while list(scratch(root).iterdir()):  # the fill of a killed server notices its end
        pass
    assert code == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert errors().endswith("error: stopped; start again with --examples to add the rest\n")
    assert "Traceback" not in errors()
    assert ("dataset", "two_sequence") not in names(root)
    with served(root):
        assert names(root) == set(ALL)


def test_a_taken_port_is_an_error_before_the_fill(tmp_path: Path, hub: Served) -> None:
    root = tmp_path / "hub"
    with started(root, "--port", str(urlsplit(hub.url).port)) as (process, errors):
        assert process.wait(SECONDS) == 2
    assert "is taken" in errors()
    assert not list(scratch(root).iterdir())
    assert names(root) == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_empty_root_gets_all_examples(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    with served(root) as running:
        assert names(root) == set(ALL)
        assert f"Added {len(ALL)} examples" in running.errors()
        status, text = running.page("/models?sort=downloads")
        assert status == 200
        assert text.count("seqhub/") >= 30
        rows = json.loads(running.page("/datasets-server/size?dataset=seqhub/qrsu")[1])
        assert rows["size"]["dataset"]["num_rows"] == 720_000
    done = subprocess.run([PROGRAM, "hub", "fsck", "--root", root], capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
