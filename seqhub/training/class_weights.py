"""Loss with a weight for each class."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError
from seqhub.models.predict import logistic_outputs
from seqhub.tasks.schema import NO_LABEL
from seqhub.training.config import TrainConfig
from seqhub.training.loss_scale import LossScale

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def class_weights(
    config: TrainConfig, source: DataSource, model: "PreTrainedModel"
) -> Callable[[Tensor, Tensor, LossScale], Tensor]:
    """Return a function of logits, labels and scale that computes the weighted cross-entropy.

    The weight of a class is the number of training rows, or labelled steps, divided by the number of classes and by the
    number of rows of the class. So the mean weight over the rows is 1, and all classes have the same influence.

    Raises:
        InvalidConfigError: The model has logistic outputs, whose loss is not a cross-entropy.
    """
    if logistic_outputs(model):
        rule = f"False for the model {config.model}, whose outputs are logistic"
        raise InvalidConfigError.of("class_weights", True, rule, config.task)
    counts = torch.tensor(list(source.statistics["classes"].values()), dtype=torch.float64)
    weights = (counts.sum() / (len(counts) * counts.clamp(min=1))).float().to(model.device)

    def loss(logits: Tensor, labels: Tensor, scale: LossScale) -> Tensor:
        flat, wanted = logits.flatten(0, -2).float(), labels.flatten()
        losses = cross_entropy(flat, wanted, reduction="none", ignore_index=NO_LABEL)
        total = (losses * weights[wanted.clamp(min=0)]).sum()
        mean: Tensor = total / scale.arguments.get("num_items_in_batch", max(1, len(wanted)))
        return mean

    return loss
