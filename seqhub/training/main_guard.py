"""Check for a main guard in scripts that start processes."""

import sys

from seqhub.errors import InvalidConfigError

GUARD_CODE = 87  # exit code of `require_main_guard`


class MissingGuardError(InvalidConfigError):
    """Script without a main guard, which would start processes again in each process that imports it."""

    def __init__(self) -> None:
        super().__init__(
            "a sweep that does not train natively starts processes, and each of them imports the calling script; put "
            'the statements of the script under a line `if __name__ == "__main__":`'
        )


def require_main_guard() -> None:
    """End a worker process that imports its calling script, before it starts processes itself.

    The exit code makes `Worker` raise MissingGuardError in the process that started it.
    """
    module = sys.modules.get("multiprocessing.process")  # a worker process has imported it
    if module is not None and getattr(module.current_process(), "_inheriting", False):  # the test of `spawn`
        raise SystemExit(GUARD_CODE)
