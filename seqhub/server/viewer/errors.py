"""Errors of the dataset viewer, with the codes of the public dataset viewer where it has the same error."""


class ViewerError(Exception):
    """Raised for a query or a dataset that the viewer cannot answer.

    Args:
        status: HTTP status.
        code: Value of `X-Error-Code`.
        message: One line with the given value and the allowed ones.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def invalid_parameter(name: str, problem: str) -> ViewerError:
    """Return the error for a query parameter."""
    return ViewerError(422, "InvalidParameterError", f"Parameter '{name}' {problem}")
