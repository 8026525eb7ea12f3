"""HTTP errors of the server: status, code for `X-Error-Code`, and a one-line message."""

from collections.abc import Mapping
from typing import Final

from seqhub.errors import SeqhubError

CODES: Final[Mapping[int, str]] = {  # default `X-Error-Code` by status, for use by programs
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "TooSlow",
    409: "Conflict",
    410: "Gone",
    412: "Outdated",
    413: "TooLarge",
    415: "UnsupportedType",
    416: "RangeNotSatisfiable",
    421: "ForeignHost",
    422: "Unprocessable",
    429: "TooManyRequests",
    431: "HeadersTooLarge",
    500: "InternalError",
    501: "NotImplemented",
    503: "Unavailable",
    507: "NoSpace",
}


class HubHTTPError(SeqhubError):
    """Raised for ordinary 4xx responses, and for 501, 503 and 507.

    Args:
        status: HTTP status.
        message: One line with the given value and the allowed ones.
        code: Value of `X-Error-Code`; None for the default of the status in `CODES`. Clients choose their exceptions by
            RepoNotFound, RevisionNotFound, EntryNotFound and GatedRepo.
        headers: Additional headers of the response.
        body: Additional fields of the JSON body, besides `error`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}
        self.body = body or {}


def repo_not_found() -> HubHTTPError:
    """Return the error for a repository that does not exist or is private; both have the same text.

    Clients print the message if it adds anything to their own; the tests of huggingface_hub compare the whole text.
    """
    return HubHTTPError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(revision: str) -> HubHTTPError:
    """Return the error for a revision that does not exist."""
    return HubHTTPError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(path: str, revision: str) -> HubHTTPError:
    """Return the error for a path that does not exist at a revision."""
    return HubHTTPError(404, f"Entry not found: {path} at {revision}", code="EntryNotFound")


def branch_was_updated() -> HubHTTPError:
    """Return the error for a branch that another commit has changed, in the wording that clients search for."""
    return HubHTTPError(412, "The branch was updated since you opened this page. Please refresh and try again.")


def branch_is_busy() -> HubHTTPError:
    """Return the error for a branch that other commits change repeatedly."""
    return HubHTTPError(503, "other commits keep moving this branch: try again", headers={"Retry-After": "1"})
