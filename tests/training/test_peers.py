"""Real processes of which one fails: all end within seconds, with one message."""

import os
import time
from pathlib import Path

import pytest

from tests.helpers import forked_process
from tests.helpers.training_processes import end_group, finish, free_port
from tests.training.test_resume import arguments

# The command of a run, in which process 1 fails in its second validation
FAILING = """
import os, signal, sys
from seqhub.errors import InvalidConfigError
from seqhub.training import train as module

how, sys.argv = sys.argv[1], ["seqhub", *sys.argv[2:]]
validate, calls = module.validate, []

def failing(*given):
    calls.append(1)
    if os.environ["RANK"] == "1" and len(calls) == 2:
        if how == "error":
            raise InvalidConfigError("planted in process 1")
        if how == "fault":
            raise AssertionError("planted in process 1")
        os.kill(os.getpid(), signal.SIGKILL)
    return validate(*given)

module.validate = failing
import runpy
runpy.run_module("seqhub.training", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("how", "processes"),
    [("error", 2), *(pytest.param(how, 3, marks=pytest.mark.slow) for how in ("error", "fault", "kill"))],
)
def test_a_process_that_fails_ends_all_with_one_message(tmp_path: Path, how: str, processes: int) -> None:
    size = str(processes)
    place = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = ["-c", FAILING, how, *arguments("run", max_sequences=100_000), "--cpu"]
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
        assert time.monotonic() - began < 30  # seconds; a collective operation would wait for half an hour
    finally:
        for each in started:
            end_group(each)
    assert all(code != 0 for code, _, _ in ended)
    texts = [errors for _, _, errors in ended]
    said = [line for text in texts for line in text.splitlines() if line.startswith("error: ")]
    if how == "error":
        assert said == ["error: planted in process 1"]
    elif how == "fault":
        assert said == []
        assert [text.count("AssertionError: planted in process 1") for text in texts] == [0, 1, 0]
    else:
        assert len(said) == 1
        assert said[0].startswith("error: a process of this run ended without a message (")
    assert sum("Traceback" in text for text in texts) == (how == "fault")
