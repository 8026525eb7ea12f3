"""Comparison of a model with the simple predictions in the record of a run on a file."""

import math
from dataclasses import dataclass

from seqhub.records.run import RunRecord

_ROUNDED = 1e-6  # of the results of baselines in earlier records


@dataclass(frozen=True)
class Comparison:
    """Results of the baselines and of the model on one split.

    Attributes:
        split: `test`, or `validation` if the test split was not evaluated.
        metric: `accuracy`, `micro F1` of several labels, or `root mean squared error` in the unit of the target; of
            several numbers in standard deviations of the training targets.
        values: Result by name of the baseline; the last one is that of the model.
        best: Name of the best baseline.
        is_better: Whether the model is better than the best baseline, by more than rounding.
    """

    split: str
    metric: str
    values: dict[str, float]
    best: str
    is_better: bool

    def shown(self, name: str) -> str:
        """Return a result as text."""
        return f"{self.values[name]:.2%}" if self.metric in ("accuracy", "micro F1") else f"{self.values[name]:.4g}"

    @property
    def sentence(self) -> str:
        """The comparison as one sentence."""
        model = list(self.values)[-1]
        how = "better" if self.is_better else "no better"
        return (
            f"The model is {how} than the baseline {self.best!r} on the {self.split} rows: {self.metric} "
            f"{self.shown(model)} against {self.shown(self.best)}."
        )


def compare_with_baselines(record: RunRecord) -> Comparison | None:
    """Return the comparison of a run on a file of rows; None for other runs and before the evaluation."""
    baselines = record.data.get("baselines")
    split = next((name for name in ("test", "validation") if name in record.evaluation), None)
    if not baselines or split is None:
        return None
    metrics = record.evaluation[split]
    values = {name: measured[split] for name, measured in baselines.items()}
    target = record.task.schema.target
    if target in ("number", "numbers"):
        deviation = record.data.get("reading", {}).get("target_deviation", 1.0) if target == "number" else 1.0
        values = {name: math.sqrt(value) * deviation for name, value in values.items()}
        best, model = min(values, key=values.__getitem__), math.sqrt(metrics["mse"]) * deviation
        unit = "" if target == "number" else " in standard deviations"
        metric, is_better = f"root mean squared error{unit}", model < values[best] * (1 - _ROUNDED)
    else:
        metric = "micro F1" if target == "multi_label" else "accuracy"
        best, model = max(values, key=values.__getitem__), metrics["micro_f1" if metric == "micro F1" else "accuracy"]
        is_better = model > values[best] + _ROUNDED
    return Comparison(split, metric, values | {f"this {record.model}": model}, best, is_better)
