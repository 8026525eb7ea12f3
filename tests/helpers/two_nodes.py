"""Two network namespaces that a virtual cable connects, as two machines of one cluster."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

SECONDS = 300
ADDRESSES = ("10.9.8.1", "10.9.8.2")


class Node:
    """One of the two machines, with a folder that the other one does not use.

    Args:
        number: 0 or 1.
        folder: Working directory of its programs.
        process_id: Process whose network it has.
    """

    def __init__(self, number: int, folder: Path, process_id: int) -> None:
        self.number, self.folder = number, folder
        self._prefix = ["nsenter", f"--net=/proc/{process_id}/ns/net", "--"]

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program in its folder, in a process group of its own."""
        environment = os.environ | {"GLOO_SOCKET_IFNAME": f"n{self.number}"}
        return subprocess.Popen(
            [*self._prefix, *command], cwd=self.folder, env=environment,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> None:
        subprocess.run([*self._prefix, *command.split()], check=True, timeout=SECONDS)


def are_possible() -> bool:
    """Return whether this process may create network namespaces."""
    tools = all(map(shutil.which, ("unshare", "nsenter", "ip")))
    return tools and subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=SECONDS).returncode == 0


@contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[Node, Node]]:
    """Create both namespaces and the cable; they exist until the end of the block."""
    with ExitStack() as stack:
        holders = [stack.enter_context(_namespace()) for _ in ADDRESSES]
        nodes = [Node(number, folder / f"node{number}", holder.pid) for number, holder in enumerate(holders)]
        nodes[0].run(f"ip link add n0 type veth peer name n1 netns {holders[1].pid}")
        for node, address in zip(nodes, ADDRESSES, strict=True):
            node.folder.mkdir()
            node.run("ip link set lo up")
            node.run(f"ip address add {address}/24 dev n{node.number}")
            node.run(f"ip link set n{node.number} up")
        yield nodes[0], nodes[1]


def torchrun(node: Node, arguments: Sequence[str], *, port: int = 29511) -> list[str]:
    """Return the command of torchrun for a node."""
    launcher = ["--nnodes=2", "--nproc_per_node=1", f"--node_rank={node.number}"]
    address = [f"--master_addr={ADDRESSES[0]}", f"--master_port={port}"]
    return [sys.executable, "-m", "torch.distributed.run", *launcher, *address, "-m", "seqhub.training", *arguments]


def accelerate(node: Node, config: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command of `accelerate launch` with a config file for a node."""
    launcher = ["accelerate.commands.launch", f"--config_file={config}", f"--machine_rank={node.number}"]
    return [sys.executable, "-m", *launcher, "-m", "seqhub.training", *arguments]


@contextmanager
def _namespace() -> "Iterator[subprocess.Popen[bytes]]":
    """Start a process with a network of its own, which waits for the end of the block."""
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()  # it has its network
        try:
            yield holder
        finally:
            holder.kill()
