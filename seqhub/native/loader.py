"""Loading of the native library and choice of its instruction set.

`setup.py` builds it with the package if there is a C++ compiler. It has the same code compiled for several instruction
sets, and uses neither Python nor torch: a call gets the address of a `Problem` or a `FitProblem` (src/problem.h).
"""

import ctypes
import os
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from seqhub.errors import UnknownNameError

PATH = Path(__file__).parent / "recurrence.so"
LAYOUT = 1  # as in src/problem.h: a library with another layout would misread these structs
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")  # best first; the library has those that the compiler supports


class LibraryMissingError(OSError):
    """There is no native library, or it cannot be loaded."""


@dataclass(frozen=True, eq=False)
class Library:
    """Functions of one instruction set. They release the GIL and take the bytes of a struct of src/problem.h."""

    instruction_set: str
    saved_bytes: "ctypes._NamedFuncPointer"
    forward_scratch: "ctypes._NamedFuncPointer"
    backward_scratch: "ctypes._NamedFuncPointer"
    forward: "ctypes._NamedFuncPointer"
    backward: "ctypes._NamedFuncPointer"
    fit_scratch: "ctypes._NamedFuncPointer"
    fit: "ctypes._NamedFuncPointer"


def reason() -> str | None:
    """Return why recurrences do not run natively; None if they do.

    SEQHUB_KERNELS=0 in the environment turns the library off at any time.
    """
    return "turned off by SEQHUB_KERNELS=0" if os.environ.get("SEQHUB_KERNELS") == "0" else _missing()


@cache
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that the library and this machine have, best first.

    Raises:
        LibraryMissingError: There is no library.
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
        LibraryMissingError: There is no library.
        UnknownNameError: The machine or the library does not have that instruction set.
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
def blocks_functions(instruction_set: str = "") -> "dict[str, ctypes._NamedFuncPointer]":
    """Return the functions of src/memory_blocks.cpp for an instruction set, by default the best.

    Raises:
        LibraryMissingError: There is no library.
        UnknownNameError: As `library`.
    """
    chosen = library(instruction_set or None).instruction_set
    functions = {}
    for name in ("forward", "backward", "fit_scratch", "fit"):
        function = getattr(_native(), f"seqhub_blocks_{name}_{chosen}")
        function.argtypes = [ctypes.c_char_p]
        function.restype = ctypes.c_int64
        functions[name] = function
    return functions


@cache
def spans_function() -> "ctypes._NamedFuncPointer":
    """Return the function `seqhub_spans` of src/mask_spans.cpp.

    Raises:
        LibraryMissingError: There is no library.
    """
    function = _native().seqhub_spans
    function.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    function.restype = ctypes.c_int64
    return function


@cache
def _missing() -> str | None:
    try:
        instruction_sets()
    except LibraryMissingError as error:
        return str(error)
    return None


@cache
def _native() -> ctypes.CDLL:
    if not PATH.is_file():
        raise LibraryMissingError("not built: no C++ compiler, or one that failed, when seqhub was installed")
    try:
        native = ctypes.CDLL(str(PATH))
    except OSError as error:
        raise LibraryMissingError(f"cannot be loaded: {error}") from error
    if not hasattr(native, "seqhub_layout") or native.seqhub_layout() != LAYOUT:
        raise LibraryMissingError("built from another version of its source; install seqhub again")
    return native
