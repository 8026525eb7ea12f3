"""Connection to a Hub: checks before a request, and one-line errors after it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError comes from httpx or httpx2, depending on the version
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not in __all__

from seqhub.errors import HubError, InvalidInputError

RepoType = Literal["model", "dataset"]

_OUTDATED = 412  # HTTP status

CONNECT_TIMEOUT = 10.0  # seconds for the first request; huggingface_hub decides on retries of later calls


class OutdatedError(HubError):
    """Commit that is based on an earlier version of the branch, because another commit was first."""


def connect(endpoint: str | None, token: str | bool | None) -> HfApi:
    """Return a client for `endpoint`, HF_ENDPOINT or the public Hub, without sending a request.

    Raises:
        InvalidInputError: The endpoint is not an HTTP or HTTPS URL.
    """
    address = endpoint or constants.ENDPOINT
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # invalid port or IPv6 address
        valid = False
    if not valid:
        raise InvalidInputError(
            f"Hub address {address!r}: must be a URL such as https://huggingface.co or http://127.0.0.1:8080"
        )
    return HfApi(endpoint=address.rstrip("/"), token=token, library_name="seqhub")


def check_repo_id(repo_id: str) -> None:
    """Raise InvalidInputError unless `repo_id` is `namespace/name` in characters that Hubs allow."""
    if repo_id.count("/") != 1:
        raise InvalidInputError(f"repository {repo_id!r}: must be namespace/name")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        rule = _one_line(error).rpartition(": '")[0]  # the remaining text repeats the name
        raise InvalidInputError(f"repository {repo_id!r}: must be namespace/name ({rule})") from None


def is_offline() -> bool:
    """Return whether requests are switched off by HF_HUB_OFFLINE."""
    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def hub_errors(api: HfApi, action: str, advice: str) -> Iterator[None]:
    """Convert errors between client and Hub to a HubError with a one-line message.

    Args:
        api: The client in use.
        action: Description of the action, such as "push to me/qrsu".
        advice: Advice on how to continue, as a sentence without a full stop.
    """
    try:
        yield
    except HubError:  # already has a one-line message
        raise
    except (HTTPError, OSError, RuntimeError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code == _OUTDATED:
            raise OutdatedError(f"cannot {action} at {api.endpoint}: another commit was first; {advice}") from error
        raise HubError(f"cannot {action} at {api.endpoint}: {_reason(error, api)}; {advice}") from error


def _reason(error: BaseException, api: HfApi) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (HF_HUB_OFFLINE)"
    if not isinstance(error, HfHubHTTPError):
        return f"no answer ({_one_line(error)})"
    status = error.response.status_code
    detail = f" ({_one_line(error.server_message)})" if error.server_message else ""
    if isinstance(error, RevisionNotFoundError):
        return f"no such revision{detail}"
    if status == 401:
        token = api.token if api.token is not None else get_token()
        return f"invalid token{detail}" if token else "a token is required: set HF_TOKEN, or run `hf auth login`"
    if status == 403:
        return f"this token does not permit it{detail}"
    if status == 404:
        return f"no such repository, or not visible with this token{detail}"
    return f"HTTP status {status}{detail}"


def _one_line(given: object) -> str:
    return re.sub(r"\s+", " ", str(given)).strip() or type(given).__name__
