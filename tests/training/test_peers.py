"""Failure of one of several processes: all end within seconds, with one message."""

import os
import time
from pathlib import Path

import pytest

from tests.helpers import forked_process
from tests.helpers.training_processes import end_group, finish, free_port
from tests.training.test_resume import arguments

# Program of a run in which process 1 fails in its second validation
FAILING = """
import os, signal, sys
from seqhub.errors import InvalidConfigError
from seqhub.training import torch_loop as module

failure, sys.argv = sys.argv[1], ["seqhub", *sys.argv[2:]]
validate, calls = module.validate, []

def failing(*given):
    calls.append(1)
    if os.environ["RANK"] == "1" and len(calls) == 2:
        if failure == "error":
            raise InvalidConfigError("error in process 1")
        if failure == "fault":
            raise AssertionError("error in process 1")
        os.kill(os.getpid(), signal.SIGKILL)
    return validate(*given)

module.validate = failing
import runpy
runpy.run_module("seqhub.training", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("failure", "processes"),
    [("error", 2), *(pytest.param(failure, 3, marks=pytest.mark.slow) for failure in ("error", "fault", "kill"))],
)
def test_a_process_that_fails_ends_all_with_one_message(tmp_path: Path, failure: str, processes: int) -> None:
    size = str(processes)
    place = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = ["-c", FAILING, failure, *arguments("run", max_sequences=100_000), "--cpu"]
    started = [
        forked_process.Process(
            command, cwd=tmp_path, env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(processes)
    ]
    try:
        finish(started[1])
        began = time.monotonic()
        ended = [finish(each) for each in started]
        assert time.monotonic() - began < 30  # seconds; the timeout of collective operations is half an hour
    finally:
        for each in started:
            end_group(each)
    assert all(code != 0 for code, _, _ in ended)
    texts = [errors for _, _, errors in ended]
    messages = [line for text in texts for line in text.splitlines() if line.startswith("error: ")]
    if failure == "error":
        assert messages == ["error: error in process 1"]
    elif failure == "fault":
        assert messages == []
        assert [text.count("AssertionError: error in process 1") for text in texts] == [0, 1, 0]
    else:
        assert len(messages) == 1
        assert messages[0].startswith("error: a process of this run ended without a message (")
    assert sum("Traceback" in text for text in texts) == (failure == "fault")
