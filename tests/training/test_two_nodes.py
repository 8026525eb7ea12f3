"""Training on two machines without a shared folder: two network namespaces, each with a folder of its own."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.training_processes import end_group, finish, run, wait_for
from tests.helpers.two_nodes import SECONDS, accelerate, are_possible, torchrun, two_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not are_possible(), reason="needs the permission to make network namespaces"),
]

ARGUMENTS = ("qrsu/easy", "--cpu", "--output-dir", "run", "--quiet", "--learning-rate", "0.001", "--batch-size", "32")
PAGE = (Path(__file__).parents[2] / "docs/several-machines.md").read_text(encoding="utf-8")
CONFIG = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[0]


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_nodes_train_the_weights_of_one(tmp_path: Path, launcher: str) -> None:
    arguments = [*ARGUMENTS, "--max-sequences", "960"]
    (tmp_path / "config.yaml").write_text(CONFIG)
    with two_nodes(tmp_path) as nodes:
        commands = {
            "torchrun": [torchrun(node, arguments) for node in nodes],
            "accelerate": [accelerate(node, tmp_path / "config.yaml", arguments) for node in nodes],
        }[launcher]
        processes = [node.start(*command) for node, command in zip(nodes, commands, strict=True)]
        for process in processes:
            code, _, errors = finish(process, SECONDS)
            assert code == 0, errors
    assert not (nodes[1].folder / "run").exists()
    assert run([*arguments, "--record", "gradients"], folder=tmp_path)[0] == 0  # the same loop, in one process
    found, expected = (load_file(folder / "run/model.safetensors") for folder in (nodes[0].folder, tmp_path))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_lost_node_ends_the_run_which_then_continues(tmp_path: Path) -> None:
    """The checkpoint is on the first node only, and both continue from it."""
    arguments = [*ARGUMENTS, "--max-sequences", "9600", "--checkpoint-every", "320", "--stop-at", "none", "--resume"]
    with two_nodes(tmp_path) as nodes:
        processes = [node.start(*torchrun(node, arguments)) for node in nodes]
        wait_for(nodes[0].folder / "run/checkpoint.safetensors", processes[0])
        end_group(processes[1])
        assert finish(processes[0], SECONDS)[0] != 0
        finish(processes[1])
        assert not (nodes[0].folder / "run/run.json").exists()
        processes = [node.start(*torchrun(node, arguments, port=29513)) for node in nodes]
        for process in processes:
            code, _, errors = finish(process, SECONDS)
            assert code == 0, errors
    assert run([*arguments, "--record", "gradients"], folder=tmp_path)[0] == 0
    found, expected = (load_file(folder / "run/model.safetensors") for folder in (nodes[0].folder, tmp_path))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
