"""Fixtures and files that the tests of huggingface_hub need and that its source release does not contain."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, RepoUrl, constants
from huggingface_hub.cli import _output
from huggingface_hub.inference._providers import hf_inference
from huggingface_hub.utils import _auth, _detect_agent

from .seqhub_outcomes import exclude, exclusions, skip_waits
from .testing_constants import ENDPOINT_PRODUCTION, ENDPOINT_STAGING, TOKEN, USER
from .testing_utils import repo_name

RepoFactory = Callable[..., RepoUrl]  # the tests import the name

METADATA = """\
language: {language}
license: mit
library_name: {library}
tags: [pytorch, image-classification]
datasets: [beans]
metrics: [{metric}]
"""
INDEX = """\
model-index:
- name: classifier
  results:
  - task: {{type: image-classification}}
    {dataset}metrics:
    - {{type: accuracy, value: 0.5}}
"""
MODEL = METADATA.format(language="[en]", library="pytorch-lightning", metric="acc")
TIMM = METADATA.format(language="en", library="timm", metric="accuracy")
DATASET = """\
language: [en]
license: [bsd-3-clause]
annotations_creators: [crowdsourced, expert-generated]
language_creators: [found]
multilinguality: [monolingual]
size_categories: [n<1K]
task_categories: [image-segmentation]
task_ids: [semantic-segmentation]
pretty_name: Sample Segmentation
"""
CARDS = {
    "sample_simple.md": f"---\n{MODEL}---\n\n# my-cool-model\n\nText.\n",
    "sample_template.md": "---\n{{card_data}}\n---\n\n# Card\n\n{{ some_data }}",
    "sample_no_metadata.md": "# Card\n\nText alone.\n",
    "sample_invalid_card_data.md": "---\n[]\n---\n\n# Card\n",
    "sample_invalid_model_index.md": f"---\n{TIMM}{INDEX.format(dataset='')}---\n\n# Card\n",
    "sample_simple_model_index.md": (
        f"---\n{TIMM}{INDEX.format(dataset='dataset: {type: beans, name: Beans}' + chr(10) + '    ')}---\n\n# Card\n"
    ),
    "sample_windows_line_breaks.md": "---\r\nlicense: mit\r\nlanguage: eo\r\n---\r\n\r\n# Card\r\n",
    "sample_datasetcard_simple.md": f"---\n{DATASET}---\n\n# Dataset Card for Sample Segmentation\n",
    "sample_datasetcard_template.md": "---\n{{card_data}}\n---\n\n# {{ pretty_name }}\n\n{{ some_data }}\n",
}


def pytest_configure(config: pytest.Config) -> None:
    skip_waits()
    if hasattr(config, "workerinput"):
        return
    cards = Path(__file__).parent / "fixtures/cards"
    cards.mkdir(parents=True, exist_ok=True)
    for name, text in CARDS.items():
        (cards / name).write_bytes(text.encode())


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return collection_path.name in exclusions() or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    exclude(items)


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    return {"ignore_localhost": True, "path_transformer": lambda path: f"{path}.yaml"}


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a separate home of the client for each test."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        places = {
            "HF_HOME": home,
            "HF_HUB_CACHE": home / "hub",
            "HUGGINGFACE_HUB_CACHE": home / "hub",
            "HF_XET_CACHE": home / "xet",
            "HF_ASSETS_CACHE": home / "assets",
            "HF_TOKEN_PATH": home / "token",
            "HF_STORED_TOKENS_PATH": home / "stored_tokens",
        }
        for constant, place in places.items():
            monkeypatch.setattr(constants, constant, str(place))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_EXPERIMENTAL_WARNING", True)
        yield


@pytest.fixture(autouse=True)
def nothing_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset state that the client keeps in the process."""
    monkeypatch.setattr(_auth, "_OAUTH_REFRESH_CACHE", None, raising=False)
    monkeypatch.setattr(_auth, "_OAUTH_REFRESH_WARNED", False, raising=False)
    if hasattr(_detect_agent, "_EMPTY_REGISTRY"):
        monkeypatch.setattr(_detect_agent, "_registry", _detect_agent._EMPTY_REGISTRY)
    hf_inference._check_supported_task.cache_clear()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    _output.out.set_mode()
    if hasattr(_output.out, "set_no_truncate"):
        _output.out.set_no_truncate(False)


@pytest.fixture(autouse=True)
def as_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Apply the marks of tests: method of upload, and expected warnings.

    As in the conftest of the suite, tests with the mark `xet` use Xet in every mode; the table shows their number.
    Tests of copies have this mark because huggingface.co copies Xet files only. This server copies any file, so these
    tests use the mode of the run.
    """
    about_xet = request.node.get_closest_marker("xet") is not None and request.node.path.name != "test_copy_files.py"
    wanted = about_xet or os.environ["SEQHUB_SUITE_MODE"] == "xet"
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not wanted)  # a test of the suite does not restore it
    if about_xet:
        monkeypatch.delenv("HF_HUB_DISABLE_XET", raising=False)
        request.node.user_properties.append(("about", "xet"))
    if request.node.get_closest_marker("no_xet") and wanted:
        pytest.skip("excluded: tests LFS only, but Xet is enabled in this mode")
    if request.node.get_closest_marker("git_lfs"):
        pytest.skip("excluded: needs git-lfs")
    with ExitStack() as stack:
        for name in (name for mark in request.node.iter_markers("deprecated") for name in mark.args):
            stack.enter_context(pytest.warns(FutureWarning, match=f".*'{name}'.*"))
        yield


@pytest.fixture(scope="session")
def api() -> HfApi:
    return HfApi(endpoint=ENDPOINT_STAGING, token=TOKEN)


@pytest.fixture(scope="session")
def api_prod() -> HfApi:
    return HfApi(endpoint=ENDPOINT_PRODUCTION)


@pytest.fixture
def repo_factory(api: HfApi) -> Iterator[RepoFactory]:
    """Create repositories that are deleted at the end of the test."""
    with ExitStack() as made:

        def make(repo_type: str = "model", repo_id: str | None = None, token: str = TOKEN, **options: Any) -> RepoUrl:
            if repo_type == "space":
                options.setdefault("space_sdk", "gradio")
            name = repo_id or repo_name(prefix=repo_type)
            url = api.create_repo(name, repo_type=repo_type, token=token, **options)
            made.callback(remove, url.repo_id, repo_type, token)
            return url

        def remove(repo_id: str, repo_type: str, token: str) -> None:
            with suppress(Exception):  # the test may have deleted it
                api.delete_repo(repo_id, repo_type=repo_type, token=token)

        yield make


@pytest.fixture
def new_repo_id(api: HfApi) -> Iterator[str]:
    """Name for a repository that is deleted at the end of the test."""
    repo_id = f"{USER}/{repo_name()}"
    yield repo_id
    api.delete_repo(repo_id, missing_ok=True)
