"""Scale of the loss in each process, so that averaged gradients equal the gradients of the global batch.

The loss of a model is a mean over its rows, or over their counted steps. Processes have unequal numbers of these, but
gradients are averaged over processes with equal weights.
"""

import itertools
from typing import Any, NamedTuple

from accelerate import Accelerator
from torch import Tensor

from seqhub.models.predict import logistic_outputs
from seqhub.tasks.schema import NO_LABEL, TaskSchema


class LossScale(NamedTuple):
    """Scale of the loss of a process in one step.

    Attributes:
        arguments: Additional arguments of the forward pass.
        factor: Factor on the returned loss.
        learns: False if no row or step of any process counts, so that the step has no gradient.
    """

    arguments: dict[str, Any]
    factor: float
    learns: bool

    def of_share(self, weight: float) -> float:
        """Return the factor for a part of the batch, see `shares_of`; with arguments, the loss is a part of the sum."""
        return self.factor if self.arguments else self.factor * weight


_UNSCALED = LossScale({}, 1, True)


def loss_scale(
    accelerator: Accelerator,
    model: Any,
    schema: TaskSchema,
    batch: dict[str, Tensor],
    local_rows: int,
    rows: int,
    *,
    divided: bool = False,
) -> LossScale:
    """Return the scale for a batch or a segment of its steps; must be called by every process.

    Args:
        accelerator: Accelerator of the run.
        model: Model without the wrapper for several processes.
        schema: Schema of the rows.
        batch: Inputs and labels for the model.
        local_rows: Number of rows of this process; 0 if `batch` is a `placeholder`.
        rows: Number of rows of all processes, at least 1.
        divided: Whether the model gets the batch in `shares_of` it.
    """
    processes = accelerator.num_processes
    if schema.target == "step_class":  # with one process too: segments have unequal numbers of counted steps
        counted = accelerator.reduce((batch["labels"] != NO_LABEL).sum())
        return LossScale({"num_items_in_batch": _per_process(counted, processes)}, 1, bool(counted))
    if processes == 1 and not divided:
        return _UNSCALED
    if schema.target == "next_symbol":
        if logistic_outputs(model):  # the loss is a mean over sequences
            return LossScale({"num_items_in_batch": rows / processes}, 1 if local_rows else 0, True)
        counted = accelerator.reduce(_next_symbols(model, batch))
        return LossScale({"num_items_in_batch": _per_process(counted, processes)}, 1, bool(counted))
    if schema.target == "sequence":
        counted = accelerator.reduce((batch["labels"] != NO_LABEL).sum())
        return LossScale({"num_items_in_batch": _per_process(counted, processes)}, 1, bool(counted))
    if schema.target == "inputs":
        steps = batch["attention_mask"].sum() if local_rows else batch["attention_mask"].new_zeros(())
        return LossScale({}, float(steps) * processes / float(accelerator.reduce(steps.clone())), True)
    return LossScale({}, local_rows * processes / rows, True)


def shares_of(batch: dict[str, Tensor], schema: TaskSchema, shares: int) -> list[tuple[dict[str, Tensor], float]]:
    """Return a batch in contiguous parts of its rows, each with its weight in a mean over the batch.

    Args:
        batch: Batch of a data loader, with at least one row.
        schema: Schema of the rows.
        shares: Number of parts, fewer if the batch has fewer rows.

    >>> import torch
    >>> batch = {"labels": torch.arange(5), "attention_mask": torch.ones(5, 2)}
    >>> schema = TaskSchema(step_shape=(1,), target="class", labels=("a", "b"))
    >>> [(part["labels"].tolist(), weight) for part, weight in shares_of(batch, schema, 2)]
    [([0, 1], 0.4), ([2, 3, 4], 0.6)]
    """
    rows = len(batch["labels"])
    count = min(shares, rows)
    ends = [rows * number // count for number in range(count + 1)]
    mask = batch["attention_mask"]
    found = []
    for start, end in itertools.pairwise(ends):
        part = {name: tensor[start:end] for name, tensor in batch.items()}
        weight = (end - start) / rows
        if schema.target == "inputs":  # the loss is a mean over steps
            weight = float(mask[start:end].sum()) / float(mask.sum())
        found.append((part, weight))
    return found


def placeholder(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch of one row for a process with an empty slice of a batch.

    All processes take part in a step, and models do not accept a batch without rows. The steps of the row do not count,
    and if rows count, `loss_scale` returns the factor 0.

    Args:
        batch: Batch of a data loader, without rows.
    """
    one = {name: tensor.new_zeros(1, *tensor.shape[1:]) for name, tensor in batch.items()}
    one["attention_mask"].fill_(1)
    if "input_ids" in one:
        one["input_ids"].fill_(1)
    if one["labels"].dim() == 2 and not one["labels"].is_floating_point():  # a class or a symbol per step
        one["labels"].fill_(NO_LABEL)
    return one


def _per_process(counted: Tensor, processes: int) -> Tensor | float:
    """Return the divisor for the sum of one process, as a float because a tensor would have single precision."""
    return counted if processes == 1 else float(counted) / processes


def _next_symbols(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Return the number of steps with a next symbol in the loss of a causal model."""
    labels, mask = batch["labels"][:, 1:], batch["attention_mask"]
    counted = (labels != NO_LABEL) & (mask[:, 1:] != 0) & (mask[:, :-1] != 0)
    if (padding := model.config.pad_token_id) is not None:
        counted &= labels != padding
    return counted.sum()
