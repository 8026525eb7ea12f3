"""How this package talks to a Hub: checks before, and one clear line where it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of httpx or httpx2, by version
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not in __all__

from seqhub.errors import HubError, InvalidInputError

Kind = Literal["model", "dataset"]

PATIENCE = 10.0  # seconds for the first answer; later calls are retried by huggingface_hub as it sees fit


def connect(endpoint: str | None, token: str | bool | None) -> HfApi:
    """A client for `endpoint`, or for HF_ENDPOINT, or for the public Hub; nothing is sent yet.

    Raises:
        InvalidInputError: That is no address.
    """
    address = endpoint or constants.ENDPOINT
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        valid = False
    if not valid:
        raise InvalidInputError(
            f"Hub address {address!r}; need one like https://huggingface.co or http://127.0.0.1:8080"
        )
    return HfApi(endpoint=address.rstrip("/"), token=token, library_name="seqhub")


def check_repo_id(repo_id: str) -> None:
    """Raise InvalidInputError unless `repo_id` is `namespace/name` in the letters that Hubs allow."""
    if repo_id.count("/") != 1:
        raise InvalidInputError(f"repository {repo_id!r}; need namespace/name")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        rule = _one_line(error).rpartition(": '")[0]  # what follows is the name once more
        raise InvalidInputError(f"repository {repo_id!r}; need namespace/name ({rule})") from None


@contextmanager
def hub_errors(api: HfApi, action: str, advice: str) -> Iterator[None]:
    """Turn whatever goes wrong between client and Hub into a HubError of one line.

    Args:
        api: The client in use.
        action: What is being done, as in "push to me/qrsu".
        advice: What is left and what to do, as a sentence without its full stop.
    """
    try:
        yield
    except HubError:  # already one line
        raise
    except (HTTPError, OSError, RuntimeError) as error:
        raise HubError(f"cannot {action} at {api.endpoint}: {_reason(error, api)}; {advice}") from error


def _reason(error: BaseException, api: HfApi) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (HF_HUB_OFFLINE)"
    if not isinstance(error, HfHubHTTPError):
        return f"no answer ({_one_line(error)})"
    status = error.response.status_code
    said = f" ({_one_line(error.server_message)})" if error.server_message else ""
    if isinstance(error, RevisionNotFoundError):
        return f"no such revision{said}"
    if status == 401:
        known = api.token if api.token is not None else get_token()
        return (
            f"it does not accept this token{said}" if known else "it wants a token: set HF_TOKEN, or run hf auth login"
        )
    if status == 403:
        return f"it does not allow this token to{said}"
    if status == 404:
        return f"no such repository, or not for this token{said}"
    return f"it answered {status}{said}"


def _one_line(given: object) -> str:
    return re.sub(r"\s+", " ", str(given)).strip() or type(given).__name__
