"""Sums of the gradients of weights over steps and sequences."""

from dataclasses import dataclass, field
from typing import TypeVar

from seqhub.cells.cpp import address, number
from seqhub.cells.graph import Matrix, Row
from seqhub.cells.schedule import Place
from seqhub.cells.step import Step

_View = TypeVar("_View")


@dataclass
class Sums:
    """Lines that sum the gradients of weights, lines that add the sums to the gradients, and sizes of the sums."""

    adding: list[str] = field(default_factory=list)
    unpacking: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    end: str = "0"

    def begin(self, size: str) -> str:
        """Return the name of the offset of further sums."""
        name = f"SUM_{len(self.sizes)}"
        self.sizes.append(f"{name} = {self.end}")
        self.end = f"{name} + {size}"
        return name


def sum_weight_gradients(step: Step) -> Sums:
    places = {number: each[0] for number, each in step.backward.places.items()}
    distances = {"record": step.record, "d_record": step.d_record}
    products: dict[tuple[Place, int], list[tuple[int, int, Matrix]]] = {}
    rows: list[tuple[int, int, Row]] = []
    for each in step.weight_gradients:
        place = places[each.gradient.number]
        assert place.buffer == "d_record"
        if isinstance(each.view, Row):
            rows.append((place.offset, each.gradient.width, each.view))
        else:
            assert each.operand is not None
            operand = places[each.operand.number]
            products.setdefault((operand, each.view.columns), []).append((place.offset, each.view.rows, each.view))
    found = Sums()
    for (operand, columns), entries in products.items():
        for first, count, run in _runs(entries):
            name = found.begin(f"sums_size({count}, {columns})")
            found.adding.append(
                f"add_products<{distances[operand.buffer]}, {step.d_record}, {columns}>(sums + {name}, "
                f"d_record + {first}, {operand.buffer} + {operand.offset}, panel, steps, {count}, lanes);"
            )
            found.unpacking += [
                f"unpack({address('d_weights', view.weight, view.offset)}, sums + {name}, {columns}, {offset - first}, "
                f"{height}, {view.row_stride}, {view.column_stride}, {number(view.scale)}, lanes);"
                for offset, height, view in run
            ]
    for first, count, of_rows in _runs(rows):
        name = found.begin(str(count))
        found.adding.append(f"add_rows<{step.d_record}>(sums + {name}, d_record + {first}, steps, {count}, lanes);")
        found.unpacking += [
            f"unpack_row({address('d_weights', view.weight, view.offset)}, sums + {name} + {offset - first}, {width}, "
            f"{view.stride});"
            for offset, width, view in of_rows
        ]
    found.sizes.append(f"SUMS = {found.end}")
    return found


def _runs(entries: list[tuple[int, int, _View]]) -> list[tuple[int, int, list[tuple[int, int, _View]]]]:
    """Return entries (offset, size, view) grouped into runs without gaps, each with its offset and size."""
    runs: list[tuple[int, int, list[tuple[int, int, _View]]]] = []
    for offset, size, view in sorted(entries, key=lambda entry: entry[:2]):
        if runs and offset <= runs[-1][0] + runs[-1][1]:
            first, count, run = runs.pop()
            runs.append((first, max(count, offset + size - first), [*run, (offset, size, view)]))
        else:
            runs.append((offset, size, [(offset, size, view)]))
    return runs
