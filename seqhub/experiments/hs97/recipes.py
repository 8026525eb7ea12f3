"""Networks and training settings of Hochreiter & Schmidhuber (1997): tables 10 and 11, sections 5.1 to 5.6.

The model is `lstm_hs97` with logistic outputs and squared error, trained by plain gradient descent after each sequence.
The recipes of the tasks have settings that solve the same tasks sooner.

`AS_WRITTEN` has the networks as described in the paper, with two differences: for `long_lag/2a-p100` the cell exists
from the start, instead of being added when the error stops decreasing, and the target of the task `long_lag/2b-p100` is
only the last symbol, so its network has 406 weights instead of 10,504. Half of these networks do not learn their tasks
with seqhub. `CHANGED` has changed versions that do: with modern outputs, linear with squared error for a number and
softmax with cross-entropy for a symbol, and with one more change in experiments 1 and 2. Memory cells, truncated
gradient, batch size 1 and plain gradient descent are the same.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from seqhub.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Network:
    """Network and training settings: one row of table 10.

    Args:
        cells: Number of memory cells in all blocks.
        learning_rate: Learning rate for half the squared error of a sequence. The loss of changed networks is the
            squared error, or the cross-entropy, in experiments 1 and 2a as its mean over the steps.
        weights: Number of parameters of the model in seqhub, including biases.
        init_range: Bound of the uniform initial weights.
        options: Further fields of `RecurrentConfig`.
        single_logit: Whether two classes have one output.
        changes: Differences from the paper.
    """

    cells: int
    learning_rate: float
    weights: int
    init_range: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)
    single_logit: bool = False
    changes: str = ""

    def settings(self) -> dict[str, Any]:
        """Return settings of `TrainConfig`."""
        return {
            "model": "lstm_hs97",
            "hidden_size": self.cells,
            "initialization": "hs97",
            "model_options": {"logistic_outputs": True, "init_range": self.init_range, **self.options},
            "single_logit": self.single_logit,
            "optimizer": "sgd",
            "learning_rate": self.learning_rate,
            "batch_size": 1,
            "max_grad_norm": None,
        }


_REBER = Network(
    cells=6,
    learning_rate=0.5,
    weights=276,
    init_range=0.2,
    options={"block_size": 2, "biased_units": "gates", "output_gate_bias": [-1.0, -2.0, -3.0]},
)
_CONNECTED_BELOW = {
    "connectivity": "below",
    "output_gates": False,
    "squash_input": "g1",
    "squash_output": "id",
    "biased_units": "none",
}


def _two_sequence(learning_rate: float, single_logit: bool) -> Network:
    biases = {"input_gate_bias": [-1.0, -3.0, -5.0], "output_gate_bias": [-2.0, -4.0, -6.0]}
    return Network(
        cells=3,
        learning_rate=learning_rate,
        weights=102,
        options={"biased_units": "hidden", **biases},
        single_logit=single_logit,
    )


def _pairs(learning_rate: float, **options: Any) -> Network:
    return Network(cells=4, learning_rate=learning_rate, weights=93, options={"block_size": 2, **options})


AS_WRITTEN: dict[str, Network] = {
    "embedded_reber/hs97": _REBER,
    "long_lag/2a-p100": Network(cells=1, learning_rate=1.0, weights=10_504, init_range=0.2, options=_CONNECTED_BELOW),
    "long_lag/2b-p100": Network(cells=1, learning_rate=1.0, weights=406, init_range=0.2, options=_CONNECTED_BELOW),
    **{
        f"long_lag/2c-q{q}-p{p}": Network(
            cells=2, learning_rate=0.01, weights=weights, init_range=0.2, options={"biased_units": "none"}
        )
        for q, p, weights in (
            (50, 50, 364),
            (100, 100, 664),
            (200, 200, 1_264),
            (500, 500, 3_064),
            (1_000, 1_000, 6_064),
            (1_000, 500, 3_064),
            (1_000, 200, 1_264),
            (1_000, 100, 664),
            (1_000, 50, 364),
        )
    },
    **{
        f"two_sequence/{config}": _two_sequence(1.0, single_logit=True)
        for config in ("3a-t100-n3", "3a-t100-n1", "3a-t1000-n3", "3b-t100-n3", "3b-t100-n1", "3b-t1000-n1")
    },
    **{f"two_sequence/{config}": _two_sequence(0.1, single_logit=False) for config in ("3c-t100-n3", "3c-t100-n1")},
    **{f"adding/hs97-t{steps}": _pairs(0.5, input_gate_bias=[-3.0, -6.0]) for steps in (100, 500, 1_000)},
    "multiplication/hs97-t100": _pairs(0.1),
    "qrsu/hs97": Network(
        cells=4, learning_rate=0.5, weights=156, options={"block_size": 2, "input_gate_bias": [-2.0, -4.0]}
    ),
    "temporal_order_3bit/hard": Network(
        cells=6, learning_rate=0.1, weights=308, options={"block_size": 2, "input_gate_bias": [-2.0, -4.0, -6.0]}
    ),
}
"""By task id: the fastest network of the paper that never failed there."""


def _changed(task: str, changes: str, learning_rate: float, **others: Any) -> Network:
    """Return a network with modern outputs; `cells` and `weights` are its fields, all other keywords model options."""
    as_written = AS_WRITTEN[task]
    fields = {name: others.pop(name) for name in ("cells", "weights") if name in others}
    options = as_written.options | {"logistic_outputs": False} | others
    return replace(as_written, learning_rate=learning_rate, options=options, changes=changes, **fields)


_SOFTMAX, _LINEAR = "softmax with cross-entropy", "a linear output with squared error"
_CLOSED_GATES = {"biased_units": "gates", "input_gate_bias": -5.0, "squash_input": "g2"}
_NEARLY_CLOSED_GATES = {"biased_units": "gates", "input_gate_bias": [-2.0, -4.0]}

CHANGED: dict[str, Network] = {
    "embedded_reber/hs97": _changed(
        "embedded_reber/hs97",
        f"{_SOFTMAX}, eight cells a block instead of two",
        1.0,
        cells=24,
        weights=1_284,
        block_size=8,
    ),
    "long_lag/2a-p100": _changed(
        "long_lag/2a-p100",
        f"{_SOFTMAX}, an input gate of bias -5, g in [-2, 2]",
        100.0,
        weights=10_505,
        **_CLOSED_GATES,
    ),
    "long_lag/2b-p100": _changed(
        "long_lag/2b-p100", f"{_SOFTMAX}, an input gate of bias -5, g in [-2, 2]", 1.0, weights=407, **_CLOSED_GATES
    ),
    **{
        task: _changed(
            task,
            f"{_SOFTMAX}, gates with biases, those of the input -2 and -4",
            0.5,
            weights=as_written.weights + 4,
            **_NEARLY_CLOSED_GATES,
        )
        for task, as_written in AS_WRITTEN.items()
        if task.startswith("long_lag/2c")
    },
    **{f"adding/hs97-t{steps}": _changed(f"adding/hs97-t{steps}", _LINEAR, 0.25) for steps in (100, 500, 1_000)},
    "multiplication/hs97-t100": _changed("multiplication/hs97-t100", _LINEAR, 0.25),
    "temporal_order_3bit/hard": _changed("temporal_order_3bit/hard", _SOFTMAX, 0.1),
}
"""By task id: the changed network, for tasks that the network as written does not learn."""


def network(task: str, *, as_written: bool = False) -> Network:
    """Return the network of the paper for a task.

    Args:
        task: Task id.
        as_written: Return the network as described in the paper, even if it does not learn the task.

    Raises:
        UnknownNameError: The paper has no network for this task.

    >>> network("qrsu/hs97").settings()["learning_rate"]
    0.5
    >>> network("adding/hs97-t100").changes
    'a linear output with squared error'
    """
    if task not in AS_WRITTEN:
        raise UnknownNameError.of("original (1997) network for", task, AS_WRITTEN)
    return AS_WRITTEN[task] if as_written else CHANGED.get(task, AS_WRITTEN[task])
