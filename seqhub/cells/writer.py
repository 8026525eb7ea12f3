"""Generation of the C++ source of a kernel: the functions of one step, for the loops in native/src/cell.h."""

import bisect
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqhub.cells.cpp import address, indented, number
from seqhub.cells.graph import Node, Row
from seqhub.cells.lowering import Lowering
from seqhub.cells.schedule import Loop, Place, Product, Reduction, Schedule
from seqhub.cells.step import Step
from seqhub.cells.weight_sums import sum_weight_gradients

_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_FUNCTIONS = {
    "tanh": "hyperbolic_tangent",
    "sigmoid": "sigmoid",
    "relu": "rectified",
    "exp": "exponential",
    "expm1": "exp_minus_one",
    "log": "logarithm",
    "log1p": "log_one_plus",
    "softplus": "softplus",
    "sqrt": "square_root<S>",
    "norm": "square_root<S>",
    "abs": "absolute",
    "sin": "sine",
    "cos": "cosine",
    "erf": "error_function",
    "floor": "rounded_down",
    "ceil": "rounded_up",
    "trunc": "truncated",
    "sign": "signum",
    "max": "largest",
    "min": "smallest",
    "clamp": "limited",
    "hard_clamp": "limited",
    "where": "select",
    "round": "rounded",
    "tan": "tangent",
    "asin": "arc_sine",
    "acos": "arc_cosine",
    "atan": "arc_tangent",
    "sinh": "hyperbolic_sine",
    "cosh": "hyperbolic_cosine",
    "asinh": "area_sine",
    "acosh": "area_cosine",
    "atanh": "area_tangent",
    "erfc": "error_complement",
    "pow": "power",
    "atan2": "angle",
    "remainder": "remainder_of",
}
_ROWS = 8  # as in native/src/cell.h
_VECTOR_BYTES = 64
_CHUNK_BYTES = 1 << 19  # of the arrays that sums of weight gradients read at once; they should stay in the cache
_CHUNKS = (8, 32)  # smallest and largest number of steps
_SUFFIX = "units"  # of the names of arrays
_CONST = ("x", "state", "after", "d_next")  # buffers that are only read


@dataclass(frozen=True)
class Source:
    """Source of a kernel.

    Attributes:
        text: C++ source.
        features: Width of the input.
        widths: Width of each state.
        output: Width of the output.
    """

    text: str
    features: int
    widths: tuple[int, ...]
    output: int


def write_source(low: Lowering, name: str) -> Source:
    """Return the C++ source of the kernel of a step.

    Args:
        low: The step; nodes for the backward pass are added to its graph.
        name: Name of the cell, for the comment at the top.
    """
    step = Step(low)
    forward = _FunctionWriter(step.forward).write(
        "step", "const S* packed, const V* x, const V* state, V* record, V* scratch, V* next, int lanes"
    )
    backward = _FunctionWriter(step.backward).write(
        "step_backward",
        "const S* packed, const V* record, const V* after, V* d_record, V* scratch, const V* d_next, V* d_before, "
        "V* d_x, int lanes",
    )
    sums = sum_weight_gradients(step)
    steps = _CHUNK_BYTES // ((step.record + step.d_record) * _VECTOR_BYTES)
    sizes = {
        "FEATURES": step.features,
        "OUTPUT": step.output.width,
        "OUTPUT_OFFSET": step.output_offset,
        "STATES": len(step.widths),
        "STATE_UNITS": sum(step.widths),
        "NEXT": step.next_size,
        "RECORD": step.record,
        "KEPT": step.kept_size,
        "AFTER": step.kept_size if step.reads_after else 0,
        "SCRATCH": step.forward.sizes["scratch"],
        "PACKED": forward.packed,
        "D_RECORD": step.d_record,
        "D_SCRATCH": step.backward.sizes["scratch"],
        "D_PACKED": backward.packed,
        "CHUNK": min(max(steps, _CHUNKS[0]), _CHUNKS[1]),
    }
    scalar = "float" if low.dtype.itemsize == 4 else "double"
    text = f"""\
// {name}: {step.features} features, states of {", ".join(map(str, step.widths))} units, {scalar}
#define SCALAR {scalar}
#include "cell.h"
#include "cell_units.h"

namespace {{

struct Cell {{
  // numbers of units: KEPT of inputs and states in a record, AFTER of those if the next record is read, too; of PACKED
  // and D_PACKED numbers of weights, of CHUNK steps
  static constexpr int64_t {", ".join(f"{key} = {size}" for key, size in sizes.items())};
  static constexpr int64_t {", ".join(sums.sizes)};
  static int offset(int state) {{
    constexpr int OFFSETS[] = {{{", ".join(map(str, step.next_offsets))}}};
    return OFFSETS[state];
  }}
  static int width(int state) {{
    constexpr int WIDTHS[] = {{{", ".join(map(str, step.widths))}}};
    return WIDTHS[state];
  }}

  static void pack_forward(S* packed, S* const* weights) {{
{indented(forward.packing, 4)}
  }}
  static void pack_backward(S* packed, S* const* weights) {{
{indented(backward.packing, 4)}
  }}

  static INLINE void keep(V* record, const V* x, const V* state) {{
{indented(_keeping(step), 4)}
  }}

{forward.text}

{backward.text}

  static INLINE void add_gradients(S* sums, const V* record, const V* d_record, V* panel, int steps, int lanes) {{
{indented(sums.adding, 4)}
  }}
  static void unpack_gradients(const S* sums, S* const* weights, int lanes) {{
    S* const* d_weights = weights + {len(low.weights)};
{indented(_clearing(low), 4)}
{indented(sums.unpacking, 4)}
  }}
}};

}}  // namespace

EXPORTED int64_t saved_size(int64_t batch, int64_t steps) {{ return saved_bytes<Cell>(batch, steps); }}
EXPORTED int64_t forward_scratch() {{ return forward_scratch_bytes<Cell>(); }}
EXPORTED int64_t backward_scratch() {{ return backward_scratch_bytes<Cell>(); }}
EXPORTED void forward(const int64_t* arguments) {{ run_forward<Cell>(arguments); }}
EXPORTED void backward(const int64_t* arguments) {{ run_backward<Cell>(arguments); }}
"""
    return Source(text, step.features, tuple(step.widths), step.output.width)


@dataclass
class _Function:
    """Text of a function, the lines that pack its weights, and the size of the packed weights."""

    text: str
    packing: list[str]
    packed: int


class _FunctionWriter:
    """Writer of the function of a schedule."""

    def __init__(self, plan: Schedule) -> None:
        self.plan = plan
        self.packing: list[str] = []
        self.packed = 0
        self.lines: list[str] = []
        self.pointers: dict[str, str] = {}  # name -> declaration
        self.names: dict[int, str] = {}
        self.rows: dict[int, str] = {}
        self.taken: set[str] = set()

    def write(self, name: str, arguments: str) -> _Function:
        """Return the function."""
        guarded = False
        for item in self.plan.items:
            if item.only_input != guarded:
                self.lines.append("if (d_x) {" if item.only_input else "}")
                guarded = item.only_input
            if isinstance(item, Product):
                self._product(item)
            elif isinstance(item, Reduction):
                self._reduction(item)
            else:
                self._loop(item)
        if guarded:
            self.lines.append("}")
        body = indented([*self.pointers.values(), *self.lines], 4)
        return _Function(f"  static INLINE void {name}({arguments}) {{\n{body}\n  }}", self.packing, self.packed)

    def _name(self, node: Node) -> str:
        """Return the name of the variable of a node."""
        if node.number not in self.names:
            if node.op == "leaf":
                source, offset = node.attributes
                base = source if isinstance(source, str) else f"{source[0]}_{source[1]}"
                base += f"_{offset}" if offset else ""
            else:
                base = re.sub(r"\W", "_", node.name, flags=re.ASCII) or f"v{node.number}"
            # no name of cell.h or keyword of C++ ends in an underscore
            name = base = f"{base}_"
            number = 2
            while name in self.taken:
                name, number = f"{base}{number}_", number + 1
            self.taken.add(name)
            self.names[node.number] = name
        return self.names[node.number]

    def _array(self, node: Node, place: Place | None = None) -> str:
        """Return the name of the pointer to an array, and declare it."""
        place = place or self.plan.places[node.number][0]
        again = f"{place.buffer}_{place.offset}" if place != self.plan.places[node.number][0] else ""
        name = f"{self._name(node)}{again}{_SUFFIX}"
        is_const = place.buffer in _CONST or (self._is_backward and place.buffer == "record")
        constant = "const " if is_const else ""
        self.pointers.setdefault(name, f"{constant}V* const {name} = {place.buffer} + {place.offset};")
        return name

    @property
    def _is_backward(self) -> bool:
        return "d_record" in self.plan.sizes

    def _row(self, node: Node) -> str:
        """Return the name of the pointer to the packed numbers of a row."""
        if node.number not in self.rows:
            view: Row = node.attributes[0]
            name = self.rows[node.number] = f"row_{len(self.rows)}"
            self.packing.append(
                f"pack_row(packed + {self.packed}, {address('weights', view.weight, view.offset)}, {node.width}, "
                f"{view.stride});"
            )
            self.pointers[name] = f"const S* const {name} = packed + {self.packed};"
            self.packed += node.width
        return self.rows[node.number]

    def _product(self, item: Product) -> None:
        first = item.sums[0]
        operands = list(dict.fromkeys(first.args))  # several matrices of one operand are added
        columns_of, columns = {}, 0
        for each in operands:
            columns_of[each] = columns
            columns += each.width
        rows = sum(each.width for each in item.sums)
        matrix, bias = self.packed, self.packed + -(-rows // _ROWS) * _ROWS * columns
        self.packed = bias + rows
        row = 0
        for each in item.sums:
            matrices, of_rows = each.attributes
            for operand, view in zip(each.args, matrices, strict=True):
                self.packing.append(
                    f"pack(packed + {matrix}, {columns}, {row}, {columns_of[operand]}, "
                    f"{address('weights', view.weight, view.offset)}, {view.rows}, {view.columns}, {view.row_stride}, "
                    f"{view.column_stride}, {number(view.scale)});"
                )
            for view in of_rows:
                self.packing.append(
                    f"pack_row(packed + {bias + row}, {address('weights', view.weight, view.offset)}, {each.width}, "
                    f"{view.stride});"
                )
            row += each.width
            self._array(each)  # declared, since the results are side by side
        text = ", ".join(f"Operand<{each.width}>{{{self._array(each)}}}" for each in operands)
        self._comment(item.sums)
        self.lines.append(f"product<{rows}>({self._array(first)}, packed + {matrix}, packed + {bias}, lanes, {text});")

    def _reduction(self, item: Reduction) -> None:
        node, operands = item.node, [self._array(each) for each in item.node.args]
        own = self._array(node)
        self._comment([node])
        if node.op == "gather":
            self.lines += _gathering(node, own, operands)
        elif node.op == "contract":
            *sizes, first, second = node.attributes
            numbers = ", ".join(map(str, (*sizes, *(str(each).lower() for each in (first, second)))))
            self.lines.append(f"contract<{numbers}>({own}, {operands[0]}, {operands[1]});")
        elif node.op == "first_max":
            self.lines.append(f"first_maxima<{node.attributes[0]}, {node.width}>({own}, {operands[0]});")
        elif node.width > 1:
            self.lines.append(f"maxima<{node.width}, {node.args[0].width}>({own}, {operands[0]});")
        else:
            function = "total" if node.op == "reduce_sum" else "maximum"
            self.lines.append(f"*{own} = {function}<{node.args[0].width}>({operands[0]});")

    def _loop(self, item: Loop) -> None:
        inside = {each.number for each in item.nodes}
        read: dict[int, str] = {}  # values of other loops
        before, body = [], []
        for node in item.nodes:
            for each in node.args:
                if each.number in inside or each.number in read or each.op in ("const", "row"):
                    continue
                if each.width < item.width:
                    read[each.number] = f"{self._name(each)}0"
                    before.append(f"const V {read[each.number]} = {self._array(each)}[0];")
                else:
                    read[each.number] = f"{self._array(each)}[u]"
            body.append(f"const V {self._name(node)} = {self._expression(node, read)};")
            body += [f"{self._array(node, place)}[u] = {self._name(node)};" for place in self._stored(node)]
        self._comment(item.nodes)
        loop = [f"for (int u = 0; u < {item.width}; u++) {{", *(f"  {line}" for line in body), "}"]
        self.lines += ["{", *(f"  {line}" for line in (*before, *loop)), "}"] if before else loop

    def _stored(self, node: Node) -> Sequence[Place]:
        return self.plan.places.get(node.number, ())

    def _expression(self, node: Node, read: dict[int, str]) -> str:
        args = []
        for each in node.args:
            if each.op == "const":
                args.append(f"all({number(each.attributes[0])})")
            elif each.op == "row":
                args.append(f"splat<S>({self._row(each)}[{'u' if each.width > 1 else 0}])")
            else:
                args.append(read.get(each.number) or self._name(each))
        if node.op in _OPERATORS:
            return f" {_OPERATORS[node.op]} ".join(args)
        if node.op in _COMPARISONS:
            return f"truth({f' {_COMPARISONS[node.op]} '.join(args)})"
        if node.op == "neg":
            return f"-{args[0]}"
        if node.op in ("copy", "detach"):
            return args[0]
        if node.op == "rsqrt":
            return f"all(1) / square_root<S>({args[0]})"
        return f"{_FUNCTIONS[node.op]}({', '.join(args)})"

    def _comment(self, nodes: Sequence[Node]) -> None:
        """Add the source lines of nodes as comments."""
        if not self._is_backward:
            for line in dict.fromkeys(each.line.replace("\\", "/") for each in nodes if each.line):
                self.lines.append(f"// {line}")


def _keeping(step: Step) -> list[str]:
    """Return the lines that write inputs and states into the record."""
    return [
        f"for (int u = 0; u < {size}; u++) record[{offset} + u] = {place.buffer}[{place.offset} + u];"
        for place, offset, size in step.kept
    ]


def _clearing(low: Lowering) -> list[str]:
    """Return the lines that set the gradients of all weights to zero."""
    sizes = [low.trace.values[index].numel() for index in low.weights]
    return [f"clear(d_weights[{number}], {size});" for number, size in enumerate(sizes)]


def _gathering(node: Node, own: str, operands: list[str]) -> list[str]:
    """Return the lines that compute sums of units of operands side by side."""
    (table,) = node.attributes
    starts = [0, *itertools.accumulate(each.width for each in node.args)]
    sources = [bisect.bisect_right(starts, unit) - 1 for units in table for unit in units]
    units = [unit for each in table for unit in each]
    inner = [unit - starts[source] for unit, source in zip(units, sources, strict=True)]
    ends = list(itertools.accumulate(map(len, table)))
    lists = [("ENDS", ends), ("SOURCES", sources), ("UNITS", inner)]
    return [
        "{",
        *(f"  static constexpr int {name}[] = {{{', '.join(map(str, values))}}};" for name, values in lists),
        f"  const V* const operands[] = {{{', '.join(operands)}}};",
        f"  gather({own}, {node.width}, ENDS, SOURCES, UNITS, operands);",
        "}",
    ]
