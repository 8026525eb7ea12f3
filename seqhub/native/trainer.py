"""Native training of recurrent models: many steps of an optimizer in one call.

A step in torch costs hundreds of microseconds for any network; a native step of a small network costs tens. Weights,
losses, gradient clipping and optimizers equal those of the models and of torch, to rounding
(`tests/native/test_trainer.py`).

Shapes: N sequences of T steps, F values at a step, B of them to a step of the optimizer.
"""

import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.native.dispatch import one_hot_columns, weights_of_blocks, weights_of_cells
from seqhub.native.loader import blocks_functions, library, reason
from seqhub.native.operator import CELLS

_CELLS = tuple(CELLS)  # these, the targets and the optimizers are in the order of src/problem.h
_BLOCKS = "lstm_hs97"  # has separate functions
_TARGETS = {
    "class": "ForSequenceClassification",
    "number": "ForSequenceClassification",
    "step_class": "ForTokenClassification",
    "next_symbol": "ForCausalLM",
}
_FAMILIES: dict[str | None, str] = {"seqhub_recurrent": "Recurrent", "seqhub_hs97": "Hs97"}
_OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
_SMOOTHING = 0.99  # of RMSprop, as torch.optim has it
_PADDING = 16  # of the buffers of all parameters
_EVALUATED_AT_ONCE = 256
_WRONG_ID, _WRONG_SPAN, _WRONG_LABEL = 2, 3, 4  # outcomes in src/problem.h
_NO_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Target and loss of the head.

    Args:
        target: One class per sequence, one number per sequence, one class per step, or the next symbol.
        outputs: Outputs of the head: classes or symbols; 1 for a number, or for a single logit of the second of two
            classes.
        logistic: Whether outputs are logistic units, and the loss is half the squared error of all outputs and steps of
            a sequence, as in Hochreiter & Schmidhuber (1997). If not, classes have the cross-entropy, and numbers are
            linear with the squared error.
        tolerance: Largest error of a number that counts as correct.
    """

    target: Literal["class", "number", "step_class", "next_symbol"]
    outputs: int
    logistic: bool = False
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.target not in _TARGETS:
            raise InvalidConfigError(f"target={self.target!r}: known: {', '.join(_TARGETS)}")
        if self.outputs < 1 or (self.target == "number" and self.outputs > 1):
            raise InvalidConfigError(
                f"outputs={self.outputs} with target={self.target!r}: must be 1, or more for classes"
            )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """An optimizer with the definitions and defaults of torch.optim.

    Args:
        name: `adam`, `adamw`, `rmsprop` or `sgd`.
        betas: For Adam and AdamW, each in [0, 1).
        momentum: For RMSprop and SGD, >= 0.
        weight_decay: As in torch.optim, >= 0.
        max_grad_norm: The gradient of all weights is scaled down to this norm; 0 for no limit.
    """

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _OPTIMIZERS:
            raise InvalidConfigError(f"optimizer {self.name!r}: known: {', '.join(_OPTIMIZERS)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InvalidConfigError(f"betas={self.betas}: each must be in [0, 1)")
        if not min(self.momentum, self.weight_decay, self.max_grad_norm) >= 0:
            raise InvalidConfigError(
                f"momentum={self.momentum}, weight_decay={self.weight_decay}, max_grad_norm={self.max_grad_norm}: "
                "each must be at least 0"
            )


@dataclass(frozen=True)
class ErrorRate:
    """A learning rate that falls with the error.

    The rate of each step is multiplied by max(floor, min(1, e / reference)). e is the exponential mean, with rate 0.005
    and initial value 1, of the largest error of any output of any sequence of each step, including the step itself.

    Args:
        reference: Mean error below which the rate falls, > 0.
        floor: Smallest factor of the rate, in [0, 1].
    """

    reference: float
    floor: float

    def __post_init__(self) -> None:
        if not (self.reference > 0 and 0 <= self.floor <= 1):
            raise InvalidConfigError(f"reference={self.reference}, floor={self.floor}: must be above 0 and in [0, 1]")


def unsupported_reason(model: nn.Module, objective: Objective) -> str | None:
    """Return why a model cannot be trained natively; None if it can."""
    if (missing := reason()) is not None:
        return missing
    config: Any = getattr(model, "config", None)
    family = _FAMILIES.get(getattr(config, "model_type", None))
    if family is None:
        return f"{type(model).__name__} is not a recurrent model"
    if type(model).__name__ != f"{family}{_TARGETS[objective.target]}":
        return f"{type(model).__name__} does not learn a {objective.target}"
    if config.logistic_outputs != objective.logistic:
        return f"logistic_outputs={config.logistic_outputs}; the objective has {objective.logistic}"
    if config.cell not in (*CELLS, _BLOCKS):
        return f"cell {config.cell!r} is not among {', '.join((*CELLS, _BLOCKS))}"
    if config.cell == _BLOCKS and (why := _unsupported_blocks(config)) is not None:
        return why
    if config.inputs == "embedding":
        return "embeddings are not trained natively"
    if config.dropout and config.num_hidden_layers > 1:
        return "dropout between layers uses random numbers of torch"
    parameters = list(model.parameters())
    dtypes = {parameter.dtype for parameter in parameters}
    if dtypes not in ({torch.float32}, {torch.float64}) or any(each.device.type != "cpu" for each in parameters):
        return "only weights in float32 or float64 on a CPU are trained natively"
    if not all(each.requires_grad for each in parameters):
        return "some weights are not to be trained"
    if objective.target in ("class", "number") and config.pooling != "last":
        return f"pooling {config.pooling!r}; natively the last state is read"
    weights = _weights(model)
    if weights is None or sorted(map(id, weights)) != sorted(map(id, parameters)):
        return "a module or parameter of the model was replaced, shared or hooked"
    if _head(model).out_features != objective.outputs:
        return f"the head has {_head(model).out_features} outputs, not {objective.outputs}"
    return None


def _unsupported_blocks(config: Any) -> str | None:
    if config.gradient != "truncated":
        return f"gradient {config.gradient!r} of memory cell blocks; natively it is truncated"
    if config.num_hidden_layers > 1 or config.bidirectional:
        return "memory cell blocks are trained natively in one layer and one direction"
    return None


def _head(model: Any) -> nn.Linear:
    head: nn.Linear = model.lm_head if hasattr(model, "lm_head") else model.classifier
    return head


class NativeTrainer:
    """Training of a copy of a model's weights. Only one thread at a time may call it.

    Args:
        model: A `RecurrentFor...` or `Hs97For...`; its weights are copied.
        objective: Target and loss.
        method: The optimizer.
        error_rate: Learning rate that falls with the error; None for constant factors.
        columns: (V,), int32: column of the one-hot vector of each id or character code of the inputs, -1 for the zero
            vector, -2 if it must not occur. By default the columns of the model's ids.
        instruction_set: One of `loader.instruction_sets()`; by default the best.

    Raises:
        InvalidConfigError: See `unsupported_reason`.
        InvalidInputError: Weights are not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        method: OptimizerSettings,
        error_rate: ErrorRate | None = None,
        *,
        columns: NDArray[np.int32] | None = None,
        instruction_set: str | None = None,
    ) -> None:
        if (why := unsupported_reason(model, objective)) is not None:
            raise InvalidConfigError(f"{type(model).__name__} cannot be trained natively: {why}")
        self.objective, self.method, self.error_rate = objective, method, error_rate
        config: Any = model.config
        weights = _weights(model) or []  # not None, as checked above
        self._dtype = np.dtype(np.float64 if weights[0].dtype is torch.float64 else np.float32)
        self._features = config.input_size
        self._columns: NDArray[np.int32] | None = None
        if config.inputs == "one_hot":
            own = one_hot_columns(config.vocab_size, config.pad_token_id).numpy()
            self._columns = np.ascontiguousarray(own if columns is None else columns, dtype=np.int32)
        elif columns is not None:
            raise InvalidInputError("columns are of ids, and the model reads values")
        blocks = config.cell == _BLOCKS
        self._sizes = (
            len(_CELLS) if blocks else _CELLS.index(config.cell),
            int(self._dtype == np.float64), config.num_hidden_layers, 2 if config.bidirectional else 1,
            self._features, config.hidden_size, 0 if self._columns is None else len(self._columns),
            tuple(_TARGETS).index(objective.target), objective.outputs, int(objective.logistic),
            config.vocab_size if objective.target == "next_symbol" else objective.outputs,
            _OPTIMIZERS.index(method.name),
        )  # fmt: skip
        of_blocks = (0,) * 6 if not blocks else (
            config.block_size, config.output_gates, config.squash_input == "g1", config.squash_output == "id",
            {"none": 0, "gates": config.num_gates}.get(config.biased_units, config.hidden_size + config.num_gates),
            config.connectivity == "full",
        )  # fmt: skip
        self._last_sizes = (_head(model).bias is not None, *of_blocks)
        self._shapes = [weight.shape for weight in weights]
        count = sum(weight.numel() for weight in weights)
        # parameters and two moments of each
        self._values = np.zeros((3, -(-count // _PADDING) * _PADDING), self._dtype)
        np.concatenate([weight.detach().numpy().ravel() for weight in weights], out=self._values[0, :count])
        if not np.isfinite(self._values).all():
            raise InvalidInputError("the weights of the model have NaN or infinity; must be finite")
        self._progress = np.ones(3)  # of the error, and of the powers of two betas
        if blocks:
            functions = blocks_functions(instruction_set or "")
            self._scratch_bytes, self._fit = functions["fit_scratch"], functions["fit"]
        else:
            found = library(instruction_set)
            self._scratch_bytes, self._fit = found.fit_scratch, found.fit
        self._scratch = torch.empty(0, dtype=torch.uint8, device="cpu")

    def train(
        self,
        inputs: NDArray[Any],
        lengths: NDArray[np.int64],
        labels: NDArray[Any] | None,
        batch_size: int,
        learning_rates: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Take a step of the optimizer for every `batch_size` sequences, in their order; the last may have fewer.

        A step without any class that counts changes nothing.

        Args:
            inputs: (N, T), uint8 or uint16 ids or character codes; or (N, T, F) values. Padded on the right.
            lengths: (N,), steps before the padding, >= 1.
            labels: (N,) class indices, int64, or numbers, float32; (N, T) class indices, int64, -100 where a step does
                not count; not read for next symbols.
            batch_size: B.
            learning_rates: One for each step, in order.

        Returns:
            (N, 4): worst error, mean error, loss and share of correct answers of each sequence, as in
            `seqhub.metrics.per_example`, with the weights before the step.

        Raises:
            InvalidInputError: A type, shape, length, id or label is not as above; nothing was trained.
            MemoryError: The sizes exceed the memory of the machine.
        """
        rates = np.ascontiguousarray(learning_rates, dtype=np.float64)
        steps = -(-len(inputs) // batch_size) if batch_size > 0 else 0
        if rates.shape != (steps,) or not steps or not np.isfinite(rates).all():
            raise InvalidInputError(
                f"learning_rates {rates.shape} for {len(inputs)} sequences by {batch_size}; need ({steps},), finite, "
                "and a sequence or more for a step"
            )
        return self._run(inputs, lengths, labels, batch_size, rates)

    def evaluate(
        self, inputs: NDArray[Any], lengths: NDArray[np.int64], labels: NDArray[Any] | None
    ) -> NDArray[np.float64]:
        """Return what `train` returns for these rows, without training."""
        return self._run(inputs, lengths, labels, _EVALUATED_AT_ONCE, None)

    def state(self) -> bytes:
        """Return weights, moments and mean error, for `restore`."""
        return self._values.tobytes() + self._progress.tobytes()

    def restore(self, state: bytes) -> None:
        """Continue from a state that `state` returned.

        Raises:
            InvalidInputError: A state of a model of another size.
        """
        at = self._values.nbytes
        if len(state) != at + self._progress.nbytes:
            raise InvalidInputError(f"a state of {len(state)} bytes; this model's has {at + self._progress.nbytes}")
        self._values[:] = np.frombuffer(state[:at], self._dtype).reshape(self._values.shape)
        self._progress[:] = np.frombuffer(state[at:])

    @torch.no_grad()
    def write_to(self, model: nn.Module) -> None:
        """Copy the present weights into a model.

        Raises:
            InvalidInputError: A model whose weights have other shapes.
        """
        weights = _weights(model)
        if weights is None or [weight.shape for weight in weights] != self._shapes:
            raise InvalidInputError("the model to write to has weights of other shapes than the one that was read")
        flat = torch.from_numpy(self._values[0])
        for weight in weights:
            weight.copy_(flat[: weight.numel()].view(weight.shape))
            flat = flat[weight.numel() :]

    def _run(
        self,
        inputs: NDArray[Any],
        lengths: NDArray[np.int64],
        labels: NDArray[Any] | None,
        batch_size: int,
        rates: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        inputs = self._checked_inputs(inputs)
        count, steps = inputs.shape[:2]
        lengths = _checked(lengths, "lengths", np.dtype(np.int64), (count,))
        wanted = self._checked_labels(labels, count, steps)
        rows = np.zeros((count, 4))
        method, error = self.method, self.error_rate
        first, second = method.betas if method.name in ("adam", "adamw") else (method.momentum, _SMOOTHING)
        numbers = [
            *self._sizes, rates is not None,
            first, second, method.weight_decay, method.max_grad_norm,
            *((0.0, 0.0) if error is None else (error.reference, error.floor)), self.objective.tolerance,
            batch_size, count, steps, inputs.itemsize,
        ]  # fmt: skip
        form = "13q7d4q12q7q"
        size = self._scratch_bytes(struct.pack(form, *numbers, *(0,) * 12, *self._last_sizes))
        if size < 0:
            raise MemoryError(f"training on {count} x {steps} steps by {batch_size} does not fit")
        if size > self._scratch.numel():
            self._scratch = torch.empty(size, dtype=torch.uint8, device="cpu")
        arrays = (inputs, self._columns, lengths, wanted, rates, *self._values, self._progress, rows)
        addresses = [0 if array is None else array.ctypes.data for array in arrays]
        addresses += [self._scratch.data_ptr(), size]
        outcome = self._fit(struct.pack(form, *numbers, *addresses, *self._last_sizes))
        if outcome:
            self._raise_for(outcome, inputs, lengths, wanted)
        return rows

    def _checked_inputs(self, inputs: NDArray[Any]) -> NDArray[Any]:
        if self._columns is None:
            if inputs.ndim != 3 or inputs.shape[2] != self._features or not inputs.size or inputs.dtype.kind != "f":
                what = f"float values (sequences, steps, {self._features})"
                raise InvalidInputError(f"inputs {inputs.shape} {inputs.dtype}; need {what}, no size of zero")
            return np.ascontiguousarray(inputs, dtype=self._dtype)
        if inputs.ndim != 2 or not inputs.size or inputs.dtype not in (np.uint8, np.uint16):
            what = "ids (sequences, steps), uint8 or uint16"
            raise InvalidInputError(f"inputs {inputs.shape} {inputs.dtype}; need {what}, no size of zero")
        return np.ascontiguousarray(inputs)

    def _checked_labels(self, labels: NDArray[Any] | None, count: int, steps: int) -> NDArray[Any] | None:
        target = self.objective.target
        if target == "next_symbol":
            return None
        shape = (count, steps) if target == "step_class" else (count,)
        if labels is None:
            raise InvalidInputError(f"no labels; need {shape} of target {target!r}")
        if target == "number":
            if not np.isfinite(labels).all():
                raise InvalidInputError("labels hold NaN or infinity; need finite numbers")
            return _checked(labels.astype(self._dtype), "labels", self._dtype, shape)
        return _checked(labels, "labels", np.dtype(np.int64), shape)

    def _raise_for(
        self, outcome: int, inputs: NDArray[Any], lengths: NDArray[np.int64], labels: NDArray[Any] | None
    ) -> None:
        kind, row = outcome & 0xFF, outcome >> 8
        if kind == _WRONG_SPAN:
            raise InvalidInputError(f"row {row} has {lengths[row]} steps; need at least 1, within {inputs.shape[1]}")
        if kind == _WRONG_ID and self._columns is not None:
            known = np.flatnonzero(self._columns != -2)
            ids = inputs[row, : lengths[row]]
            at = int(np.flatnonzero(~np.isin(ids, known))[0])
            raise InvalidInputError(f"row {row} has id {ids[at]} at step {at}; need one that columns know")
        if kind == _WRONG_LABEL and labels is not None:
            classes = max(self.objective.outputs, 2)
            given = np.atleast_1d(labels[row])[: lengths[row]]
            wrong = given[((given < 0) | (given >= classes)) & ((given != _NO_LABEL) | (labels.ndim == 1))]
            raise InvalidInputError(f"row {row} has label {wrong[0]}; need one in [0, {classes})")
        raise InvalidInputError("columns name a column that weight_ih does not have")


def _weights(model: Any) -> list[Tensor] | None:
    """Return the weights of layers, directions and head in the order of src/problem.h; None if modules were changed."""
    modules = [
        module
        for layer in model.model.layers
        for module in (layer.recurrence, layer.recurrence_reverse)
        if module is not None
    ]
    cell, head = model.config.cell, _head(model)
    weights = weights_of_blocks(modules) if cell == _BLOCKS else weights_of_cells(modules, cell)
    if weights is None or type(head) is not nn.Linear or not vars(head).keys().isdisjoint(("weight", "forward")):
        return None
    return [weight for weight in (*weights, head.weight, head.bias) if weight is not None]


def _checked(array: NDArray[Any], name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape or array.dtype != dtype:
        raise InvalidInputError(f"{name} {array.shape} {array.dtype}; need {shape} {dtype}")
    return np.ascontiguousarray(array)
