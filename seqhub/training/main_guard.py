"""Guard against scripts that start processes again in each process that imports them."""

import multiprocessing

from seqhub.errors import InvalidConfigError

GUARD_CODE = 87  # of a process that `require_main_guard` ended


class MissingGuardError(InvalidConfigError):
    """A script that starts processes does so again in each of them, as they import it."""

    def __init__(self) -> None:
        super().__init__(
            "a sweep that does not train natively starts processes, and each of them imports the script that called "
            'it; put what the script does under a line `if __name__ == "__main__":`'
        )


def require_main_guard() -> None:
    """End a process that imports the script by which it was started, and would start processes in its turn.

    The process ends with an exit code that `Worker` knows, and the one that started it raises MissingGuardError.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as `multiprocessing.spawn` asks itself
        raise SystemExit(GUARD_CODE)
