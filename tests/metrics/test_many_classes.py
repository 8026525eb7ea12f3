"""Metrics of targets with many classes, whose confusion matrix would have a square of counts."""

import math

import pytest
import torch

from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.tasks.schema import Target, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary


@pytest.mark.parametrize(("classes", "has_table"), [(100, True), (101, False)])
@pytest.mark.parametrize("target", ["class", "step_class"])
def test_many_classes_have_no_confusion_matrix(target: Target, classes: int, has_table: bool) -> None:
    schema = TaskSchema(vocabulary=Vocabulary("ab"), target=target, labels=tuple(map(str, range(classes))))
    assert schema.has_class_table == has_table
    accumulator = MetricAccumulator(schema, 2)
    steps = () if target == "class" else (3,)
    labels = torch.arange(2 * math.prod(steps)).view(2, *steps) % classes
    accumulator.add(torch.nn.functional.one_hot(labels, classes).float(), labels, torch.ones(2, 3))
    metrics = accumulator.metrics()
    assert metrics["accuracy"] == 1
    assert ("confusion" in metrics, "per_class" in metrics) == (has_table, has_table)
