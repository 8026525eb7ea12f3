"""Fixtures, helpers and files that the Hub tests of datasets need and that its source release does not contain.

The tests import them from `tests.fixtures.hub` and `tests.utils`, which import this file.
"""

import csv
import os
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import datasets
import pytest
from datasets import config
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from .seqhub_outcomes import exclude, skip_waits

Any_ = TypeVar("Any_")

CI_HUB_USER = "__DUMMY_DATASETS_USER__"
CI_HUB_USER_TOKEN = "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"
CI_HUB_ENDPOINT = os.environ["SEQHUB_SUITE_URL"]
TEXT = "The first line.\nThe second line."

require_pil = pytest.mark.skipif(not config.PIL_AVAILABLE, reason="needs Pillow")
require_torchcodec = pytest.mark.skipif(not config.TORCHCODEC_AVAILABLE, reason="needs torchcodec")


def for_all_test_methods(*decorators: Any) -> Callable[[Any_], Any_]:
    return lambda owner: owner


def xfail_if_500_502_http_error(function: Any_) -> Any_:
    return function  # a 500 is a failure with this server


def require_buckets_support_in_huggingface_hub(function: Any_) -> Any_:
    return function  # these tests are excluded


def pytest_configure(config: pytest.Config) -> None:
    skip_waits()
    if hasattr(config, "workerinput"):
        return
    data = Path(__file__).parent / "features/data"
    data.mkdir(parents=True, exist_ok=True)
    with suppress(ImportError):
        from PIL import Image

        Image.new("RGB", (64, 48), (200, 40, 90)).save(data / "test_image_rgb.jpg")
    with wave.open(str(data / "test_audio_44100.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(44100)
        sound.writeframes(bytes(2 * 44100))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    exclude(items)


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "datasets-cache"
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(config, "DOWNLOADED_DATASETS_PATH", str(cache / "downloads"))
    monkeypatch.setattr(config, "EXTRACTED_DATASETS_PATH", str(cache / "downloads/extracted"))
    monkeypatch.setattr(config, "SAVE_ORIGINAL_SHARD_LENGTHS", True, raising=False)
    monkeypatch.setattr(config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)


@pytest.fixture(autouse=True, scope="session")
def no_bars() -> None:
    datasets.disable_progress_bar()


@pytest.fixture
def ci_hub_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure datasets and its child processes to use the server."""
    monkeypatch.setattr(config, "HF_ENDPOINT", CI_HUB_ENDPOINT)
    monkeypatch.setattr(config, "HUB_DATASETS_URL", CI_HUB_ENDPOINT + "/datasets/{repo_id}/resolve/{revision}/{path}")
    template = CI_HUB_ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_ENDPOINT", CI_HUB_ENDPOINT)


@pytest.fixture
def set_ci_hub_access_token(ci_hub_config: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", CI_HUB_USER_TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")


@pytest.fixture(scope="session")
def hf_api() -> HfApi:
    return HfApi(endpoint=CI_HUB_ENDPOINT)


@pytest.fixture(scope="session")
def hf_token() -> str:
    return CI_HUB_USER_TOKEN


@pytest.fixture
def cleanup_repo(hf_api: HfApi, hf_token: str) -> Callable[[str], None]:
    return lambda repo_id: hf_api.delete_repo(repo_id, token=hf_token, repo_type="dataset", missing_ok=True)


@pytest.fixture
def temporary_repo(cleanup_repo: Callable[[str], None]) -> Any:
    """Name for a repository that is deleted at the end of the block."""

    @contextmanager
    def name(repo_id: str | None = None) -> Iterator[str]:
        chosen = repo_id or f"{CI_HUB_USER}/set-{uuid4().hex[:12]}"
        try:
            yield chosen
        finally:
            cleanup_repo(chosen)

    return name


@pytest.fixture
def temporary_bucket(hf_api: HfApi, hf_token: str) -> Any:
    @contextmanager
    def name(bucket_id: str | None = None) -> Iterator[str]:
        chosen = bucket_id or f"{CI_HUB_USER}/bucket-{uuid4().hex[:12]}"
        yield chosen
        hf_api.delete_bucket(chosen, token=hf_token, missing_ok=True)

    return name


@pytest.fixture(scope="session")
def text_file_content() -> str:
    return TEXT


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "file.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("csv") / "dataset.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["col_1", "col_2"], ["a", 1], ["b", 2]])
    return str(path)


def _repository(api: HfApi, token: str, *, gated: bool) -> Iterator[str]:
    repo_id = f"{CI_HUB_USER}/text-{uuid4().hex[:12]}"
    options = {"repo_type": "dataset", "token": token}
    api.create_repo(repo_id, private=not gated, **options)
    api.upload_file(path_or_fileobj=TEXT.encode(), path_in_repo="data/text_data.txt", repo_id=repo_id, **options)
    if gated:
        api.update_repo_settings(repo_id, gated="auto", **options)
    yield repo_id
    with suppress(HfHubHTTPError):
        api.delete_repo(repo_id, **options)


@pytest.fixture
def hf_gated_dataset_repo_txt_data(hf_api: HfApi, hf_token: str, ci_hub_config: None) -> Iterator[str]:
    yield from _repository(hf_api, hf_token, gated=True)


@pytest.fixture
def hf_private_dataset_repo_txt_data(hf_api: HfApi, hf_token: str, ci_hub_config: None) -> Iterator[str]:
    yield from _repository(hf_api, hf_token, gated=False)
