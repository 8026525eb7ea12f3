"""Many small recurrent networks at once, with weights drawn at random and nothing learnt.

Shapes: G networks, N rows, T steps, F inputs, U units, C outputs. The networks come last, so that every step is a few
operations on whole arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqhub.data.collate import Columns
from seqhub.tasks.schema import TaskSchema

UNITS = 2  # recurrent ones, tanh, each with a bias and seeing all
RANGE = 100.0  # of all weights, which are uniform in [-RANGE, RANGE]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of recurrent tanh units and logistic outputs.

    An input is a value of a step, or a symbol of the alphabet, of which one at a time is 1. There is one output for a
    number and for two classes, else one for each class or symbol. A single output has no bias. Several have one each:
    without it no weights of two units tell four classes apart.

    Args:
        into: (F, U, G), from inputs to units.
        across: (U, U, G), from units to units.
        bias: (U, G), of the units.
        out: (C, U, G), from units to outputs.
        out_bias: (C, G), of the outputs.
    """

    into: Numbers
    across: Numbers
    bias: Numbers
    out: Numbers
    out_bias: Numbers

    @classmethod
    def draw(cls, random: np.random.Generator, count: int, schema: TaskSchema) -> "Networks":
        """The next `count` networks of a stream, the same however many are drawn at a time."""
        features = schema.num_features if schema.vocabulary is None else len(schema.vocabulary)
        outputs = num_outputs(schema)
        of_unit = features + UNITS + 1 + outputs
        weights = random.uniform(-RANGE, RANGE, (count, UNITS * of_unit + (outputs if outputs > 1 else 0)))
        of_units, out_bias = np.split(weights, [UNITS * of_unit], axis=1)
        by_end = np.ascontiguousarray(of_units.reshape(count, UNITS, of_unit).transpose(2, 1, 0))
        into, across, bias, out = np.split(by_end, np.cumsum([features, UNITS, 1]))
        return cls(into, across, bias[0], out, out_bias.T if outputs > 1 else np.zeros((1, count)))

    def __len__(self) -> int:
        return int(self.bias.shape[-1])

    def __getitem__(self, chosen: NDArray[np.intp]) -> "Networks":
        """Pick networks by their numbers."""
        parts = (self.into, self.across, self.bias, self.out, self.out_bias)
        return Networks(*(part.take(chosen, axis=-1) for part in parts))  # stays contiguous along the networks

    def states(self, rows: Columns) -> Iterator[Numbers]:
        """The units after each step of the longest row, (N, U, G); those of a row that is over stay as they are."""
        symbols = rows.schema.vocabulary is not None
        into = self.into + self.bias if symbols else np.concatenate([self.into, self.bias[None]])
        state = np.zeros((len(rows), UNITS, len(self)))
        for step in range(int(rows.lengths.max())):
            inputs = rows.inputs[:, step]
            if symbols:
                given = into[inputs.astype(np.intp) - 1]
            else:
                given = np.tensordot(np.column_stack([inputs, np.ones(len(rows))]), into, 1)
            after = np.tanh(given + np.einsum("nug,uvg->nvg", state, self.across))
            state = np.where((step < rows.lengths)[:, None, None], after, state)
            yield state

    def logits(self, state: Numbers) -> Numbers:
        """Outputs before the logistic function, (N, C, G)."""
        logits: Numbers = np.einsum("nug,cug->ncg", state, self.out) + self.out_bias
        return logits


def num_outputs(schema: TaskSchema) -> int:
    """How many outputs a network for these rows has."""
    if schema.target == "next_symbol":
        assert schema.vocabulary is not None, "next symbols are those of texts"
        return len(schema.vocabulary)
    return 1 if schema.target == "number" or len(schema.labels) == 2 else len(schema.labels)
