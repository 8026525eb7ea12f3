"""Compilers that fail, damaged caches, changes of a cell: results are always those of the cell."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqhub.cells import build
from seqhub.cells.compile import compile_cell
from seqhub.errors import PlainLoopWarning
from seqhub.models.wrapped.recurrent_cell import run_loop


def is_right(cell: nn.Module, *, rows: int = 3) -> None:
    layer, inputs = compile_cell(cell), torch.randn(rows, 5, cell.input_size, dtype=next(cell.parameters()).dtype)
    outputs, _ = layer(inputs)
    torch.testing.assert_close(outputs, run_loop(cell, layer.form(inputs), inputs, None, None)[0])


def libraries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_compiler_missing_or_broken(compiler: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.warns(PlainLoopWarning, match=f"compiler.*{compiler}") as caught:
        is_right(nn.GRUCell(2, 3))
    assert len(caught) == 1
    assert libraries(empty_cache) == []


@pytest.mark.parametrize("script", ["exit 0", "exec sleep 60", ': > "$library"', 'head -c 5000 /dev/zero > "$library"'])
def test_compiler_that_makes_no_library(
    script: str, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/bash\nif [ "$1" = --version ]; then echo 1; exit; fi\n'
        f'while [ "$1" != -o ]; do shift; done; library="$2"\n{script}\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(build, "_SECONDS", 5)
    lines = {"exit 0": "failed: it made no library", "exec sleep 60": "failed: it took more than 5 seconds"}
    line = lines.get(script, "the compiled library cannot be loaded")
    with pytest.warns(PlainLoopWarning, match=line):
        is_right(nn.GRUCell(2, 3))
    is_right(nn.GRUCell(2, 3))  # without another warning
    assert libraries(empty_cache) == []


def test_library_of_another_machine(empty_cache: Path) -> None:
    """A file with the name and digest of a library that this machine cannot load is compiled again."""
    is_right(nn.GRUCell(2, 5))
    (library,) = libraries(empty_cache)
    content = bytearray(library.read_bytes()[: -build._DIGEST_BYTES])
    content[18] ^= 0xFF  # the number of the processor in the header of an ELF file
    library.write_bytes(bytes(content) + hashlib.sha256(content).digest())
    code = (
        "import torch\nfrom torch import nn\nimport seqhub, warnings\nwarnings.simplefilter('error')\n"
        "seqhub.compile_cell(nn.GRUCell(2, 5))(torch.randn(2, 3, 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert library.read_bytes()[18] == content[18] ^ 0xFF


def test_files_of_processes_that_were_ended(empty_cache: Path) -> None:
    empty_cache.mkdir()
    old, new = (empty_cache / f".{'0' * 32}.so.{number}" for number in ("0123456789ab", "ba9876543210"))
    for each in (old, new):
        each.write_bytes(b"a part")
    os.utime(old, (1, 1))
    is_right(nn.RNNCell(2, 3))
    assert not old.exists()
    assert new.exists(), "it may be written at this moment"


def test_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, the tests could write to a read-only folder."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQHUB_CACHE", str(tmp_path / "file"))
    with pytest.warns(PlainLoopWarning, match="folder of compiled cells cannot be used"):
        is_right(nn.GRUCell(2, 3))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_cache_that_is_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQHUB_CACHE", "/proc/self")
    with pytest.warns(PlainLoopWarning, match="folder of compiled cells cannot be used"):
        is_right(nn.GRUCell(2, 3))


def test_full_disk(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(PlainLoopWarning, match="No space left on device"):
        is_right(nn.GRUCell(2, 3))
    assert libraries(empty_cache) == []


@pytest.mark.parametrize("damage", [b"", b"\x7fELF"], ids=["empty", "truncated"])
def test_damaged_library(damage: bytes, empty_cache: Path) -> None:
    is_right(nn.GRUCell(2, 4))
    (library,) = libraries(empty_cache)
    content = library.read_bytes()
    library.unlink()  # this process has loaded the file, and maps its content
    library.write_bytes(damage or content[:-100])
    code = (
        "import torch\nfrom torch import nn\nimport seqhub, warnings\nwarnings.simplefilter('error')\n"
        "seqhub.compile_cell(nn.GRUCell(2, 4))(torch.randn(2, 3, 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(library.read_bytes()) > 1000, "it was compiled again"


def test_a_library_for_each_instruction_set(empty_cache: Path) -> None:
    """A library of another processor in a shared cache is not loaded, since it has another name."""
    from seqhub.cells.check import check_kernel
    from seqhub.cells.kernel import Kernel

    cell = nn.LSTMCell(3, 5).double()
    layer = compile_cell(cell)
    form = layer.form(torch.zeros(1, 1, 3, dtype=torch.float64))

    def loop(cell: nn.Module, inputs: torch.Tensor, states: Any, lengths: Any) -> Any:
        return run_loop(cell, form, inputs, states, lengths)

    known = build.loader.instruction_sets()
    for name in known:
        for dtype in (torch.float32, torch.float64):
            check_kernel(Kernel(cell.to(dtype), form, 3, dtype, instruction_set=name), cell, loop)
    assert len(libraries(empty_cache)) == 2 * len(known)


def test_size_of_the_cache(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_right(nn.RNNCell(2, 3))
    (first,) = libraries(empty_cache)
    os.utime(first, (1, 1))
    monkeypatch.setattr(build, "MAX_BYTES", first.stat().st_size * 3 // 2)
    is_right(nn.RNNCell(2, 4))
    assert len(libraries(empty_cache)) == 1
    assert not first.exists(), "the library that was used longest ago is removed"
    assert build.clear_cache()[0] == 1
    assert libraries(empty_cache) == []


def _compile(folder: str, results: Any) -> None:
    os.environ["SEQHUB_CACHE"] = folder
    torch.manual_seed(0)
    layer = compile_cell(nn.GRUCell(3, 4))
    results.put(float(layer(torch.ones(2, 3, 3))[0].sum()))


def test_two_processes_compile_one_cell(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_compile, args=(str(tmp_path), results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=180) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert found[0] == found[1]
    assert [each.suffix for each in libraries(tmp_path / "cells")] == [".so"]


def test_changes_of_a_cell_are_seen() -> None:
    class Changing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.rate = 3, 0.5
            self.w, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
            self.other.weight = self.w.weight  # tied
            self.scales, self.options = [1.0], {"gain": 1.0}
            self.register_buffer("shift", torch.zeros(3))

        def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
            h = x.new_zeros(x.shape) if h is None else h
            drift = 0.1 if self.training else 0.2
            net = self.w(x) + self.rate * self.other(h) * self.scales[0] + self.shift + drift * self.options["gain"]
            return torch.tanh(net)

    cell = Changing()
    is_right(cell)
    changes: list[Any] = [
        lambda: setattr(cell, "rate", -2.0),
        lambda: cell.scales.__setitem__(0, 3.0),
        lambda: cell.options.__setitem__("gain", 2.0),
        lambda: cell.shift.add_(1.0),
        lambda: setattr(cell, "shift", torch.ones(3)),
        lambda: cell.eval(),
        lambda: nn.init.ones_(cell.w.weight),
        lambda: setattr(cell.other, "weight", nn.Parameter(torch.randn(3, 3))),
        lambda: setattr(cell, "w", nn.Linear(3, 3, bias=False)),
        lambda: cell.w.register_forward_hook(lambda module, args, output: output * 2),
        lambda: cell.double(),
    ]
    for change in changes:
        change()
        is_right(cell)


def test_initial_state_that_is_learnt() -> None:
    class Learnt(nn.RNNCell):
        def __init__(self) -> None:
            super().__init__(3, 4)
            self.start = nn.Parameter(torch.zeros(4))

        def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(x, self.start.expand(len(x), -1) if h is None else h)

    cell = Learnt()
    layer, inputs = compile_cell(cell), torch.randn(2, 5, 3)
    for lengths in (None, torch.tensor([5, 2])):
        outputs, last = layer(inputs, None, lengths)
        plain, ends = run_loop(cell, layer.form(inputs), inputs, None, lengths)
        torch.testing.assert_close((outputs, last[0]), (plain, ends[0]))
        one, two = (torch.autograd.grad(each.square().sum(), list(cell.parameters())) for each in (outputs, plain))
        torch.testing.assert_close(one, two)
        assert one[-1].any()


def test_other_ways_to_run() -> None:
    cell = nn.GRUCell(3, 4)
    layer, inputs = compile_cell(cell), torch.randn(2, 5, 3)
    plain = layer(inputs)[0].detach()
    with torch.inference_mode():
        torch.testing.assert_close(layer(inputs)[0], plain)
    with torch.inference_mode():  # a new kernel
        torch.testing.assert_close(compile_cell(cell)(inputs)[0], plain)
    _, tangent = torch.func.jvp(lambda x: layer(x)[0], (inputs,), (inputs,))
    assert tangent.shape == plain.shape
    exported = torch.export.export(layer, (inputs,))
    torch.testing.assert_close(exported.module()(inputs)[0], plain)
    gradients = torch.autograd.grad(layer(inputs)[0].sum(), list(layer.parameters()), create_graph=True)
    assert all(each.requires_grad for each in gradients)


def test_the_layer_shares_everything_with_the_cell() -> None:
    cell = nn.LSTMCell(3, 4)
    layer = compile_cell(cell)
    assert layer.state_dict().keys() == cell.state_dict().keys()
    assert all(one is two for one, two in zip(layer.parameters(), cell.parameters(), strict=True))
    layer.double().eval()
    assert cell.weight_ih.dtype is torch.float64
    assert not cell.training
    other = compile_cell(nn.LSTMCell(3, 4).double())
    other.load_state_dict(layer.state_dict())
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(other(inputs), layer(inputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3),), r"inputs \(2, 3\) torch.float32: must be \(batch, steps, features\)"),
        ((torch.zeros(2, 0, 3),), "at least one row and step"),
        ((torch.zeros(2, 5, 3), torch.zeros(1, 2, 3)), r"state a tensor \(1, 2, 3\): must be \(1, 2, 4\)"),
        ((torch.zeros(2, 5, 3), None, torch.tensor([6, 1])), "lengths from 1 to 6: must be from 0 to 5"),
        ((torch.zeros(2, 5, 3), None, torch.tensor([1.0, 1])), r"must be \(2,\), whole numbers"),
    ],
)
def test_bad_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_cell(nn.GRUCell(3, 4))(*arguments)


def test_not_a_cell() -> None:
    with pytest.raises(ValueError, match=r"cell of type str: must be a torch\.nn\.Module"):
        compile_cell("cell")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Linear (cannot be called|returned)"):
        compile_cell(nn.Linear(3, 4))(torch.zeros(2, 5, 3))
