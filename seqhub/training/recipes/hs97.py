"""The networks of Hochreiter & Schmidhuber (1997) and how they were trained: tables 10 and 11, sections 5.1 to 5.6.

They are cells `lstm_hs97` with logistic outputs, trained by plain gradient descent after each sequence. What solves the
same tasks sooner stands in the recipes of the tasks.

Not as there: for `long_lag/2a-p100` the cell is there from the start, not added once the error stops falling, and the
task `long_lag/2b-p100` asks for the last symbol alone, so its network has 406 weights and not 10,504.
"""

from dataclasses import dataclass, field
from typing import Any

from seqhub.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Network:
    """One row of table 10.

    Args:
        cells: Memory cells, of all blocks.
        learning_rate: For half the squared error of a sequence.
        weights: All of them, biases included, of the model that the task gets here.
        init_range: Bound of the first weights.
        options: Further fields of `RecurrentConfig`.
        single_logit: Whether two classes have one output.
    """

    cells: int
    learning_rate: float
    weights: int
    init_range: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)
    single_logit: bool = False

    def settings(self) -> dict[str, Any]:
        """Settings of `TrainConfig`."""
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
_BELOW = {
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


NETWORKS: dict[str, Network] = {
    "embedded_reber/hs97": _REBER,
    "long_lag/2a-p100": Network(cells=1, learning_rate=1.0, weights=10_504, init_range=0.2, options=_BELOW),
    "long_lag/2b-p100": Network(cells=1, learning_rate=1.0, weights=406, init_range=0.2, options=_BELOW),
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
"""By address: the fastest network of the paper that never failed there."""


def network(address: str) -> Network:
    """The network of the paper for one of its tasks.

    Raises:
        UnknownNameError: The paper has no such task.

    >>> network("qrsu/hs97").settings()["learning_rate"]
    0.5
    """
    if address not in NETWORKS:
        raise UnknownNameError.of("network of 1997 for", address, NETWORKS)
    return NETWORKS[address]
