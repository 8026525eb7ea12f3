"""Native training of recurrent models, with many optimizer steps in one call.

An optimizer step in torch takes hundreds of microseconds for any network; a native step of a small network takes tens.
Weights, losses, gradient clipping and optimizers equal those of the models and of torch, to rounding
(`tests/native/test_trainer.py`).

Shapes: N sequences of T steps, F values per step, B sequences per optimizer step.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.native.loader import CELLS, compiled_cell_functions, library, memory_block_functions, reason
from seqhub.native.model import NativeModel, one_hot_columns

if TYPE_CHECKING:
    from torch import nn

_CELLS = tuple(CELLS)  # in the order of src/problem.h, like the targets and optimizers
_BLOCKS = "lstm_hs97"  # with separate functions
_TARGETS = ("class", "number", "step_class", "next_symbol")
_HEADS = {"class": "sequence", "number": "sequence", "step_class": "token", "next_symbol": "causal"}
_CLASSES = {"sequence": "ForSequenceClassification", "token": "ForTokenClassification", "causal": "ForCausalLM"}
_FAMILIES: dict[str | None, str] = {"seqhub_recurrent": "Recurrent", "seqhub_hs97": "Hs97"}
_OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
_SMOOTHING = 0.99  # default of torch.optim.RMSprop
_ALIGNMENT = 64  # bytes of a vector
_PADDING = 16  # the buffer of all parameters is padded to a multiple
_EVALUATION_BATCH_SIZE = 256
_INVALID_ID, _INVALID_SPAN, _INVALID_LABEL = 2, 3, 4  # outcomes in src/problem.h
_NO_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Target and loss of the head.

    Args:
        target: `class` or `number` for one per sequence, `step_class` for one class per step, or `next_symbol`.
        outputs: Number of outputs of the head: classes or symbols; 1 for a number, or for a single logit of the second
            of two classes.
        logistic: Whether outputs are logistic units, with half the squared error of all outputs and steps of a sequence
            as the loss, as in Hochreiter & Schmidhuber (1997). Otherwise, the loss is the cross-entropy for classes and
            the squared error for numbers.
        tolerance: Largest error of a number that counts as correct.
    """

    target: Literal["class", "number", "step_class", "next_symbol"]
    outputs: int
    logistic: bool = False
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.target not in _TARGETS:
            raise InvalidConfigError(f"target={self.target!r}: must be one of {', '.join(_TARGETS)}")
        if self.outputs < 1 or (self.target == "number" and self.outputs > 1):
            raise InvalidConfigError(
                f"outputs={self.outputs} with target={self.target!r}: must be 1, or more for classes"
            )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Optimizer settings, with the definitions and defaults of torch.optim.

    Args:
        name: `adam`, `adamw`, `rmsprop` or `sgd`.
        betas: For Adam and AdamW, each in [0, 1).
        momentum: For RMSprop and SGD, >= 0.
        weight_decay: As in torch.optim, >= 0.
        max_grad_norm: Norm to which larger gradients of all weights are scaled down; 0 for no limit.
    """

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _OPTIMIZERS:
            raise InvalidConfigError(f"optimizer={self.name!r}: must be one of {', '.join(_OPTIMIZERS)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InvalidConfigError(f"betas={self.betas}: each must be in [0, 1)")
        if not min(self.momentum, self.weight_decay, self.max_grad_norm) >= 0:
            raise InvalidConfigError(
                f"momentum={self.momentum}, weight_decay={self.weight_decay}, max_grad_norm={self.max_grad_norm}: "
                "each must be at least 0"
            )


@dataclass(frozen=True)
class ErrorRate:
    """Learning-rate schedule that depends on the error.

    The rate of each step is multiplied by max(floor, min(1, e / reference)). e is the exponential mean, with rate 0.005
    and initial value 1, of the largest error of any output of any sequence in each step, including the current step.

    Args:
        reference: Mean error below which the rate decreases, > 0.
        floor: Smallest factor of the rate, in [0, 1].
    """

    reference: float
    floor: float

    def __post_init__(self) -> None:
        if not (self.reference > 0 and 0 <= self.floor <= 1):
            raise InvalidConfigError(f"reference={self.reference}, floor={self.floor}: must be above 0 and in [0, 1]")


def unsupported_reason(model: "nn.Module | NativeModel", objective: Objective) -> str | None:
    """Return the reason why a model cannot be trained natively; None if it can."""
    if (missing := reason()) is not None:
        return missing
    config: Any = getattr(model, "config", None)
    if isinstance(model, NativeModel) and model.cells is not None:
        if model.head != _HEADS[objective.target]:
            return f"the head {model.head!r} does not have the target {objective.target!r}"
        outputs = model.num_outputs
        return None if outputs == objective.outputs else f"the head has {outputs} outputs, not {objective.outputs}"
    family = _FAMILIES.get(getattr(config, "model_type", None))
    if family is None:
        return f"{type(model).__name__} is not a recurrent model"
    name = f"{family}{_CLASSES[model.head]}" if isinstance(model, NativeModel) else type(model).__name__
    if name != f"{family}{_CLASSES[_HEADS[objective.target]]}":
        return f"{name} does not have the target {objective.target!r}"
    if (unsupported := unsupported_settings(config, objective)) is not None:
        return unsupported
    if isinstance(model, NativeModel):
        outputs = model.num_outputs
    else:
        from seqhub.native.torch_model import head_of, unsupported_module

        if (unsupported := unsupported_module(model)) is not None:
            return unsupported
        outputs = head_of(model).out_features
    return None if outputs == objective.outputs else f"the head has {outputs} outputs, not {objective.outputs}"


def unsupported_settings(config: Any, objective: Objective) -> str | None:
    """Return the reason why models with a config cannot be trained natively."""
    if config.logistic_outputs != objective.logistic:
        return f"logistic_outputs={config.logistic_outputs}; the objective has {objective.logistic}"
    if config.cell not in (*CELLS, _BLOCKS):
        return f"cell {config.cell!r} is not among {', '.join((*CELLS, _BLOCKS))}"
    if config.cell == _BLOCKS and config.gradient != "truncated":
        return f"gradient={config.gradient!r} of memory cell blocks is not supported natively, only 'truncated'"
    if config.cell == _BLOCKS and (config.num_hidden_layers > 1 or config.bidirectional):
        return "memory cell blocks are supported natively with one layer in one direction only"
    if config.inputs == "embedding":
        return "embeddings are not supported natively"
    if config.dropout and config.num_hidden_layers > 1:
        return "dropout between layers is not supported natively"
    if objective.target in ("class", "number") and config.pooling != "last":
        return f"pooling={config.pooling!r} is not supported natively, only 'last'"
    return None


class NativeTrainer:
    """Native trainer for a copy of the weights of a model. It is not thread-safe.

    Args:
        model: A `RecurrentFor...` or `Hs97For...`, or a `NativeModel`; its weights are copied.
        objective: Target and loss.
        method: The optimizer.
        error_rate: Learning-rate schedule that depends on the error; by default none.
        columns: (V,), int32: column of the one-hot vector of each id or character code of the inputs, -1 for the zero
            vector, -2 for ids that are not allowed. By default the columns of the ids of the model.
        instruction_set: One of `loader.instruction_sets()`; by default the best.

    Raises:
        InvalidConfigError: See `unsupported_reason`.
        InvalidInputError: Some weights are not finite.
    """

    def __init__(
        self,
        model: "nn.Module | NativeModel",
        objective: Objective,
        method: OptimizerSettings,
        error_rate: ErrorRate | None = None,
        *,
        columns: NDArray[np.int32] | None = None,
        instruction_set: str | None = None,
    ) -> None:
        if (unsupported := unsupported_reason(model, objective)) is not None:
            raise InvalidConfigError(f"{type(model).__name__} cannot be trained natively: {unsupported}")
        self.objective, self.method, self.error_rate = objective, method, error_rate
        config: Any = model.config
        weights = _weights(model)
        self._dtype = weights[0].dtype
        cells = model.cells if isinstance(model, NativeModel) else None
        takes_ids = config.inputs in ("one_hot", "ids")
        features = config.input_size if cells is None else config.vocab_size if takes_ids else config.num_features
        self._features: int = features
        self._columns: NDArray[np.int32] | None = None
        if takes_ids:
            if columns is None:
                columns = one_hot_columns(config.vocab_size, config.pad_token_id)
            self._columns = np.ascontiguousarray(columns, dtype=np.int32)
        elif columns is not None:
            raise InvalidInputError("columns are only for models with ids, got a model with inputs='values'")
        blocks = cells is None and config.cell == _BLOCKS
        form = (len(_CELLS), 1, 1, 0) if cells is not None else (
            len(_CELLS) if blocks else _CELLS.index(config.cell),
            config.num_hidden_layers, 2 if config.bidirectional else 1, config.hidden_size,
        )  # fmt: skip
        cell, layers, directions, hidden = form
        self._sizes = (
            cell, int(self._dtype == np.float64), layers, directions,
            self._features, hidden, 0 if self._columns is None else len(self._columns),
            _TARGETS.index(objective.target), objective.outputs, int(objective.logistic),
            config.vocab_size if objective.target == "next_symbol" else objective.outputs,
            _OPTIMIZERS.index(method.name),
        )  # fmt: skip
        block_settings = (0,) * 6 if not blocks else (
            config.block_size, config.output_gates, config.squash_input == "g1", config.squash_output == "id",
            {"none": 0, "gates": config.num_gates}.get(config.biased_units, config.hidden_size + config.num_gates),
            config.connectivity == "full",
        )  # fmt: skip
        self._last_sizes = (weights[-1].ndim == 1, *block_settings)  # the last one may be the bias of the head
        self._shapes = [weight.shape for weight in weights]
        count = sum(weight.size for weight in weights)
        # Parameters, first moments and second moments
        self._values = np.zeros((3, -(-count // _PADDING) * _PADDING), self._dtype)
        np.concatenate([weight.ravel() for weight in weights], out=self._values[0, :count])
        if not np.isfinite(self._values).all():
            raise InvalidInputError("the weights of the model have NaN or infinity; must be finite")
        self._progress = np.ones(3)  # mean error, and powers of the two betas
        self._scratch_bytes, self._train = self._functions(model, blocks, instruction_set)
        self._scratch = np.empty(0, np.uint8)

    @staticmethod
    def _functions(
        model: "nn.Module | NativeModel", blocks: bool, instruction_set: str | None
    ) -> tuple[Callable[[bytes], int], Callable[[bytes], int]]:
        """Return the functions of the library that compute the size of the memory of a call, and run it."""
        if isinstance(model, NativeModel) and model.cells is not None:
            packed = model.cells.pack(model.weights)
            both = compiled_cell_functions(instruction_set or "")

            def with_cells(name: str) -> Callable[[bytes], int]:
                return lambda problem: both[name](problem, packed.content)

            return with_cells("train_scratch"), with_cells("train")
        if blocks:
            of_blocks = memory_block_functions(instruction_set or "")
            return of_blocks["train_scratch"], of_blocks["train"]
        functions = library(instruction_set)
        return functions.train_scratch, functions.train

    def train(
        self,
        inputs: NDArray[Any],
        lengths: NDArray[np.int64],
        labels: NDArray[Any] | None,
        batch_size: int,
        learning_rates: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Train on the sequences in order, with an optimizer step for every `batch_size` of them.

        The last step may have fewer sequences. A step without any target class does not change the weights.

        Args:
            inputs: (N, T), uint8 or uint16 ids or character codes; or (N, T, F) values. Padded on the right.
            lengths: (N,), number of steps before the padding, >= 1.
            labels: (N,) class indices, int64, or numbers, float32; (N, T) class indices, int64, -100 for steps without
                a target; ignored for next symbols.
            batch_size: B.
            learning_rates: Learning rate of each optimizer step.

        Returns:
            (N, 4): largest error, mean error, loss and share of correct answers of each sequence, as in
            `seqhub.metrics.per_example`, with the weights before the optimizer step.

        Raises:
            InvalidInputError: A type, shape, length, id or label is invalid; no step was taken.
            MemoryError: The sizes exceed the memory of the machine.
        """
        rates = np.ascontiguousarray(learning_rates, dtype=np.float64)
        steps = -(-len(inputs) // batch_size) if batch_size > 0 else 0
        if rates.shape != (steps,) or not steps or not np.isfinite(rates).all():
            raise InvalidInputError(
                f"learning_rates {rates.shape}, {len(inputs)} sequences, batch_size={batch_size}: must be ({steps},) "
                "finite rates, at least one sequence and batch_size at least 1"
            )
        return self._run(inputs, lengths, labels, batch_size, rates)

    def evaluate(
        self,
        inputs: NDArray[Any],
        lengths: NDArray[np.int64],
        labels: NDArray[Any] | None,
        logits: NDArray[Any] | None = None,
    ) -> NDArray[np.float64]:
        """Return the same metrics as `train`, without training.

        Args:
            inputs: As in `train`.
            lengths: As in `train`.
            labels: As in `train`.
            logits: Array of `logits_shape` for the outputs of the head; padded steps remain unchanged.
        """
        if logits is not None:
            _check_array(logits, "logits", self._dtype, self.logits_shape(*inputs.shape[:2]))
        return self._run(inputs, lengths, labels, _EVALUATION_BATCH_SIZE, None, logits)

    def logits(self, inputs: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Return the outputs of the head, zero at padded steps, in the form of `logits_shape`."""
        count, steps = inputs.shape[:2]
        shape = (count, steps) if self.objective.target == "step_class" else (count,)
        labels = np.zeros(shape, self._dtype if self.objective.target == "number" else np.int64)
        found = np.zeros(self.logits_shape(count, steps), self._dtype)
        self.evaluate(inputs, lengths, labels, found)
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights and outputs."""
        return self._dtype

    def logits_shape(self, count: int, steps: int) -> tuple[int, ...]:
        """Return the shape of the outputs of the head for N sequences of T steps.

        (N, outputs); with targets of steps (N, T, outputs), in the order of the columns for next symbols.
        """
        by_step = self.objective.target in ("step_class", "next_symbol")
        return (count, steps, self.objective.outputs) if by_step else (count, self.objective.outputs)

    def state(self) -> bytes:
        """Return weights, moments and mean error as bytes, for `restore`."""
        return self._values.tobytes() + self._progress.tobytes()

    def restore(self, state: bytes) -> None:
        """Load a state that `state` returned.

        Raises:
            InvalidInputError: The state is of a model of another size.
        """
        split = self._values.nbytes
        if len(state) != split + self._progress.nbytes:
            raise InvalidInputError(f"a state of {len(state)} bytes: must have {split + self._progress.nbytes}")
        self._values[:] = np.frombuffer(state[:split], self._dtype).reshape(self._values.shape)
        self._progress[:] = np.frombuffer(state[split:])

    def write_to(self, model: "nn.Module | NativeModel") -> None:
        """Copy the current weights into a model.

        Raises:
            InvalidInputError: The weights of the model have other shapes.
        """
        weights = _weights(model)
        if [weight.shape for weight in weights] != self._shapes:
            raise InvalidInputError("the weights of the model have other shapes than those that were trained")
        flat = self._values[0]
        if isinstance(model, NativeModel) and model.cells is not None:
            model.cells.write(flat, model.weights)
            return
        for weight in weights:
            weight[...] = flat[: weight.size].reshape(weight.shape)
            flat = flat[weight.size :]
        if not isinstance(model, NativeModel):
            from seqhub.native.torch_model import mark_changed

            mark_changed(model)

    def _run(
        self,
        inputs: NDArray[Any],
        lengths: NDArray[np.int64],
        labels: NDArray[Any] | None,
        batch_size: int,
        rates: NDArray[np.float64] | None,
        logits: NDArray[Any] | None = None,
    ) -> NDArray[np.float64]:
        inputs = self._check_inputs(inputs)
        count, steps = inputs.shape[:2]
        lengths = _check_array(lengths, "lengths", np.dtype(np.int64), (count,))
        targets = self._check_labels(labels, count, steps)
        rows = np.zeros((count, 4))
        method, error = self.method, self.error_rate
        first, second = method.betas if method.name in ("adam", "adamw") else (method.momentum, _SMOOTHING)
        numbers = [
            *self._sizes, rates is not None,
            first, second, method.weight_decay, method.max_grad_norm,
            *((0.0, 0.0) if error is None else (error.reference, error.floor)), self.objective.tolerance,
            batch_size, count, steps, inputs.itemsize,
        ]  # fmt: skip
        form = "13q7d4q12q7qq"
        size = self._scratch_bytes(struct.pack(form, *numbers, *(0,) * 12, *self._last_sizes, 0))
        if size < 0:
            raise MemoryError(
                f"training on {count} x {steps} steps with batch_size={batch_size} does not fit into memory"
            )
        if size > len(self._scratch) - _ALIGNMENT:
            self._scratch = np.empty(size + _ALIGNMENT, np.uint8)
        arrays = (inputs, self._columns, lengths, targets, rates, *self._values, self._progress, rows)
        addresses = [0 if array is None else array.ctypes.data for array in arrays]
        addresses += [-(-self._scratch.ctypes.data // _ALIGNMENT) * _ALIGNMENT, size]
        written = 0 if logits is None else logits.ctypes.data
        outcome = self._train(struct.pack(form, *numbers, *addresses, *self._last_sizes, written))
        if outcome:
            self._raise_for(outcome, inputs, lengths, targets)
        return rows

    def _check_inputs(self, inputs: NDArray[Any]) -> NDArray[Any]:
        if self._columns is None:
            if inputs.ndim != 3 or inputs.shape[2] != self._features or not inputs.size or inputs.dtype.kind != "f":
                allowed = f"float values (sequences, steps, {self._features})"
                raise InvalidInputError(f"inputs {inputs.shape} {inputs.dtype}; need {allowed}, all sizes at least 1")
            return np.ascontiguousarray(inputs, dtype=self._dtype)
        if inputs.ndim != 2 or not inputs.size or inputs.dtype not in (np.uint8, np.uint16):
            allowed = "ids (sequences, steps), uint8 or uint16"
            raise InvalidInputError(f"inputs {inputs.shape} {inputs.dtype}; need {allowed}, all sizes at least 1")
        return np.ascontiguousarray(inputs)

    def _check_labels(self, labels: NDArray[Any] | None, count: int, steps: int) -> NDArray[Any] | None:
        target = self.objective.target
        if target == "next_symbol":
            return None
        shape = (count, steps) if target == "step_class" else (count,)
        if labels is None:
            raise InvalidInputError(f"labels=None: must be {shape} for target {target!r}")
        if target == "number":
            if not np.isfinite(labels).all():
                raise InvalidInputError("labels have NaN or infinity; must be finite")
            return _check_array(labels.astype(self._dtype), "labels", self._dtype, shape)
        return _check_array(labels, "labels", np.dtype(np.int64), shape)

    def _raise_for(
        self, outcome: int, inputs: NDArray[Any], lengths: NDArray[np.int64], labels: NDArray[Any] | None
    ) -> None:
        kind, row = outcome & 0xFF, outcome >> 8
        if kind == _INVALID_SPAN:
            raise InvalidInputError(f"row {row} has {lengths[row]} steps; must be in [1, {inputs.shape[1]}]")
        if kind == _INVALID_ID and self._columns is not None:
            allowed = np.flatnonzero(self._columns != -2)
            ids = inputs[row, : lengths[row]]
            step = int(np.flatnonzero(~np.isin(ids, allowed))[0])
            raise InvalidInputError(f"row {row} has id {ids[step]} at step {step}; must be an id with a column")
        if kind == _INVALID_LABEL and labels is not None:
            classes = max(self.objective.outputs, 2)
            given = np.atleast_1d(labels[row])[: lengths[row]]
            invalid = given[((given < 0) | (given >= classes)) & ((given != _NO_LABEL) | (labels.ndim == 1))]
            raise InvalidInputError(f"row {row} has label {invalid[0]}; must be in [0, {classes})")
        raise InvalidInputError(f"columns: must be at least -2 and below {self._features}, the columns of weight_ih")


def _weights(model: "nn.Module | NativeModel") -> list[NDArray[Any]]:
    """Return the weights of layers, directions and head in the order of src/problem.h."""
    if isinstance(model, NativeModel):
        return list(model.weights.values()) if model.cells is None else model.cells.read(model.weights)
    from seqhub.native.torch_model import weights_of

    return [weight.detach().numpy() for weight in weights_of(model) or ()]


def _check_array(array: NDArray[Any], name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape or array.dtype != dtype:
        raise InvalidInputError(f"{name} {array.shape} {array.dtype}; need {shape} {dtype}")
    return np.ascontiguousarray(array)
