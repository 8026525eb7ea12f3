"""Scale of the loss of one process, so that averaged gradients are those of the global batch.

A model takes the mean of its loss over the rows, or over the steps that count, of what it is given. Processes have
unequal numbers of them, and gradients are averaged over processes as if they had equal ones.
"""

from typing import Any, NamedTuple

from accelerate import Accelerator
from torch import Tensor

from seqhub.models.predict import logistic_outputs
from seqhub.tasks.schema import NO_LABEL, TaskSchema


class LossScale(NamedTuple):
    """How a process counts in the loss of one step.

    Attributes:
        arguments: For the forward pass of the model.
        factor: On the loss that it returns.
        learns: False where no row or step of any process counts, so that there is nothing to learn.
    """

    arguments: dict[str, Any]
    factor: float
    learns: bool


_AS_IT_IS = LossScale({}, 1, True)


def loss_scale(
    accelerator: Accelerator, model: Any, schema: TaskSchema, batch: dict[str, Tensor], mine: int, rows: int
) -> LossScale:
    """Return the scale for one batch, or one part of it in steps; every process has to call it.

    Args:
        accelerator: Of the run.
        model: Not wrapped for several processes.
        schema: What the rows hold.
        batch: What the model is given.
        mine: Rows of this process; 0 where `batch` is a `placeholder`.
        rows: Rows of all processes together, 1 or more.
    """
    processes = accelerator.num_processes
    if schema.target == "step_class":  # also alone: the parts of a sequence have unequal numbers of counted steps
        counted = accelerator.reduce((batch["labels"] != NO_LABEL).sum())
        return LossScale({"num_items_in_batch": _part(counted, processes)}, 1, bool(counted))
    if processes == 1:
        return _AS_IT_IS
    if schema.target == "next_symbol":
        if logistic_outputs(model):  # their loss is a mean over sequences
            return LossScale({"num_items_in_batch": rows / processes}, 1 if mine else 0, True)
        counted = accelerator.reduce(_next_symbols(model, batch))
        return LossScale({"num_items_in_batch": _part(counted, processes)}, 1, bool(counted))
    if schema.target == "inputs":
        steps = batch["attention_mask"].sum() if mine else batch["attention_mask"].new_zeros(())
        return LossScale({}, float(steps) * processes / float(accelerator.reduce(steps.clone())), True)
    return LossScale({}, mine * processes / rows, True)


def placeholder(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """One row in the place of none, for a process whose slice of a batch is empty.

    All processes take part in a step, and models refuse a batch without rows. Its steps do not count, and `loss_scale`
    gives its loss the factor 0 where rows count.

    Args:
        batch: As a feed gives it, without rows.
    """
    one = {name: tensor.new_zeros(1, *tensor.shape[1:]) for name, tensor in batch.items()}
    one["attention_mask"].fill_(1)
    if "input_ids" in one:
        one["input_ids"].fill_(1)
    if one["labels"].dim() == 2:  # a class or a symbol per step
        one["labels"].fill_(NO_LABEL)
    return one


def _part(counted: Tensor, processes: int) -> Tensor | float:
    """What one process divides its sum by; a quotient of tensors would have single precision only."""
    return counted if processes == 1 else float(counted) / processes


def _next_symbols(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Count the steps whose next symbol is in the loss of a causal model."""
    labels, mask = batch["labels"][:, 1:], batch["attention_mask"]
    counted = (labels != NO_LABEL) & (mask[:, 1:] != 0) & (mask[:, :-1] != 0)
    if (padding := model.config.pad_token_id) is not None:
        counted &= labels != padding
    return counted.sum()
