"""Silence the progress bars and warnings of transformers and datasets for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing bars for files of a few kilobytes, and from reporting what an error will say.

    Its settings are given back.
    """
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keep `datasets` from drawing a bar for every split and from logging what it raises too.

    Its settings are given back.
    """
    from datasets.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
