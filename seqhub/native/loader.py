"""Loading of the native library and selection of the instruction set.

`setup.py` builds the library with the package if there is a C++ compiler. It contains the same code for several
instruction sets and does not use Python or torch: a call takes the address of a `Problem` or a `TrainProblem`
(src/problem.h).
"""

import ctypes
import os
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from seqhub.errors import UnknownNameError

PATH = Path(__file__).parent / "recurrence.so"
ABI_VERSION = 5  # as in src/problem.h; a library of another version has other structs or functions
CELLS = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
"""Number of gates of each cell, in the order of src/problem.h."""
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")  # best first; the library has the ones that the compiler supports


class LibraryMissingError(OSError):
    """Raised if the native library does not exist or cannot be loaded."""


@dataclass(frozen=True, eq=False)
class Library:
    """Functions of one instruction set. They release the GIL and take the bytes of a struct in src/problem.h."""

    instruction_set: str
    saved_bytes: "ctypes._NamedFuncPointer"
    forward_scratch: "ctypes._NamedFuncPointer"
    backward_scratch: "ctypes._NamedFuncPointer"
    forward: "ctypes._NamedFuncPointer"
    backward: "ctypes._NamedFuncPointer"
    train_scratch: "ctypes._NamedFuncPointer"
    train: "ctypes._NamedFuncPointer"


def reason() -> str | None:
    """Return the reason why recurrences do not run natively; None if they do.

    SEQHUB_KERNELS=0 in the environment turns the library off at any time.
    """
    return "turned off by SEQHUB_KERNELS=0" if os.environ.get("SEQHUB_KERNELS") == "0" else _load_error()


@cache
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that both the library and this machine support, best first.

    Raises:
        LibraryMissingError: The library is not available.
    """
    native = _native()
    native.seqhub_has.argtypes = [ctypes.c_char_p]
    return tuple(
        name
        for name in INSTRUCTION_SETS
        if native.seqhub_has(name.encode()) and hasattr(native, f"seqhub_forward_{name}")
    )


@cache
def library(instruction_set: str | None = None) -> Library:
    """Return the library for an instruction set, by default the best one.

    Raises:
        LibraryMissingError: The library is not available.
        UnknownNameError: The machine or the library does not support the instruction set.
    """
    known = instruction_sets()
    chosen = known[0] if instruction_set is None else instruction_set
    if chosen not in known:
        raise UnknownNameError.of("instruction set", chosen, known)
    functions = {}
    for name in (field.name for field in fields(Library) if field.name != "instruction_set"):
        function = getattr(_native(), f"seqhub_{name}_{chosen}")
        function.argtypes = [ctypes.c_char_p]
        function.restype = ctypes.c_int64
        functions[name] = function
    return Library(chosen, **functions)


@cache
def memory_block_functions(instruction_set: str = "") -> "dict[str, ctypes._NamedFuncPointer]":
    """Return the functions of src/memory_blocks.cpp for an instruction set, by default the best.

    Raises:
        LibraryMissingError: The library is not available.
        UnknownNameError: As `library`.
    """
    chosen = library(instruction_set or None).instruction_set
    functions = {}
    for name in ("forward", "backward", "train_scratch", "train"):
        function = getattr(_native(), f"seqhub_blocks_{name}_{chosen}")
        function.argtypes = [ctypes.c_char_p]
        function.restype = ctypes.c_int64
        functions[name] = function
    return functions


@cache
def scan_functions(instruction_set: str = "") -> "dict[str, ctypes._NamedFuncPointer]":
    """Return the functions of src/scans.cpp for an instruction set, by default the best.

    Raises:
        LibraryMissingError: The library is not available.
        UnknownNameError: As `library`.
    """
    chosen = library(instruction_set or None).instruction_set
    functions = {}
    for name in ("scratch", "forward", "backward"):
        function = getattr(_native(), f"seqhub_scan_{name}_{chosen}")
        function.argtypes = [ctypes.c_char_p]
        function.restype = ctypes.c_int64
        functions[name] = function
    return functions


@cache
def compiled_cell_functions(instruction_set: str = "") -> "dict[str, ctypes._NamedFuncPointer]":
    """Return the functions of src/compiled_cells.cpp for an instruction set, by default the best.

    Raises:
        LibraryMissingError: The library is not available.
        UnknownNameError: As `library`.
    """
    chosen = library(instruction_set or None).instruction_set
    functions = {}
    for name in ("train_scratch", "train"):
        function = getattr(_native(), f"seqhub_compiled_{name}_{chosen}")
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        function.restype = ctypes.c_int64
        functions[name] = function
    return functions


@cache
def mask_spans_function() -> "ctypes._NamedFuncPointer":
    """Return the function `seqhub_mask_spans` of src/mask_spans.cpp.

    Raises:
        LibraryMissingError: The library is not available.
    """
    function = _native().seqhub_mask_spans
    function.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    function.restype = ctypes.c_int64
    return function


@cache
def _load_error() -> str | None:
    """Return the reason why the library is not available; None if it is."""
    try:
        instruction_sets()
    except LibraryMissingError as error:
        return str(error)
    return None


@cache
def _native() -> ctypes.CDLL:
    if not PATH.is_file():
        raise LibraryMissingError("not built: there was no C++ compiler when seqhub was installed, or it failed")
    try:
        native = ctypes.CDLL(str(PATH))
    except OSError as error:
        raise LibraryMissingError(f"cannot be loaded: {error}") from error
    if not hasattr(native, "seqhub_abi_version") or native.seqhub_abi_version() != ABI_VERSION:
        raise LibraryMissingError("built from another version of seqhub; install seqhub again")
    return native
