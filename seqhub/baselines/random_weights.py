"""Batches of small recurrent networks with random weights, without training.

Shapes: G networks, N rows, T steps, F inputs, U units, C outputs. The networks are the last axis, so that every step is
a few operations on whole arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqhub.data.collate import CollatedArrays
from seqhub.tasks.schema import TaskSchema

UNITS = 2  # fully connected recurrent tanh units with biases
RANGE = 100.0  # weights are uniform in [-RANGE, RANGE]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of recurrent tanh units and logistic outputs.

    The inputs are the values of a step, or a one-hot vector over the vocabulary. There is one output for a number and
    for two classes, otherwise one for each class or symbol. A single output has no bias. Several outputs have biases:
    without them, two units cannot separate four classes.

    Args:
        weight_ih: (F, U, G), input weights of the units.
        weight_hh: (U, U, G), recurrent weights.
        bias: (U, G), biases of the units.
        weight_out: (C, U, G), weights of the outputs.
        bias_out: (C, G), biases of the outputs.
    """

    weight_ih: Numbers
    weight_hh: Numbers
    bias: Numbers
    weight_out: Numbers
    bias_out: Numbers

    @classmethod
    def sample(cls, random: np.random.Generator, count: int, schema: TaskSchema) -> "Networks":
        """Return the next `count` networks of a stream, which does not depend on the number sampled at a time."""
        features = schema.num_features if schema.vocabulary is None else len(schema.vocabulary)
        outputs = num_outputs(schema)
        per_unit = features + UNITS + 1 + outputs
        weights = random.uniform(-RANGE, RANGE, (count, UNITS * per_unit + (outputs if outputs > 1 else 0)))
        unit_weights, bias_out = np.split(weights, [UNITS * per_unit], axis=1)
        networks_last = np.ascontiguousarray(unit_weights.reshape(count, UNITS, per_unit).transpose(2, 1, 0))
        weight_ih, weight_hh, bias, weight_out = np.split(networks_last, np.cumsum([features, UNITS, 1]))
        return cls(weight_ih, weight_hh, bias[0], weight_out, bias_out.T if outputs > 1 else np.zeros((1, count)))

    def __len__(self) -> int:
        return int(self.bias.shape[-1])

    def __getitem__(self, indices: NDArray[np.intp]) -> "Networks":
        """Return the networks at these indices."""
        parts = (self.weight_ih, self.weight_hh, self.bias, self.weight_out, self.bias_out)
        return Networks(*(part.take(indices, axis=-1) for part in parts))  # keeps the networks contiguous

    def states(self, rows: CollatedArrays) -> Iterator[Numbers]:
        """Yield the units after each step of the longest row, (N, U, G); after its end, the state of a row is kept."""
        symbols = rows.schema.vocabulary is not None
        weights = self.weight_ih + self.bias if symbols else np.concatenate([self.weight_ih, self.bias[None]])
        state = np.zeros((len(rows), UNITS, len(self)))
        for step in range(int(rows.lengths.max())):
            inputs = rows.inputs[:, step]
            if symbols:
                projected = weights[inputs.astype(np.intp) - 1]
            else:
                projected = np.tensordot(np.column_stack([inputs, np.ones(len(rows))]), weights, 1)
            updated = np.tanh(projected + np.einsum("nug,uvg->nvg", state, self.weight_hh))
            state = np.where((step < rows.lengths)[:, None, None], updated, state)
            yield state

    def logits(self, state: Numbers) -> Numbers:
        """Return the outputs before the logistic function, (N, C, G)."""
        logits: Numbers = np.einsum("nug,cug->ncg", state, self.weight_out) + self.bias_out
        return logits


def num_outputs(schema: TaskSchema) -> int:
    """Return the number of outputs of a network for these rows."""
    if schema.target == "next_symbol":
        assert schema.vocabulary is not None, "the target next_symbol needs texts"
        return len(schema.vocabulary)
    return 1 if schema.target == "number" or len(schema.labels) == 2 else len(schema.labels)
