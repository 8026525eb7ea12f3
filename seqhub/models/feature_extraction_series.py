"""Feature extractor of raw series: missing values and scaling. This file is saved with the weights.

It imports torch and transformers only, so that `AutoFeatureExtractor` loads it where seqhub is not installed.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from transformers import BatchFeature, FeatureExtractionMixin

MISSING = ("refuse", "mask", "last", "mean", "zero")
SCALES = ("standard", "robust", "none")


class SeriesFeatureExtractor(FeatureExtractionMixin):
    """Preparation of raw series for a model: missing values are filled, and channels scaled.

    A value x of a channel becomes (x - center) / spread. Missing values (NaN) are filled before that:

        refuse   they are an error
        mask     by the mean of the training rows; for each channel there is one more, 1 where its value is missing
        last     by the last value of the channel in the sequence, or the mean before the first one
        mean     by the mean of the training rows
        zero     by 0

    Args:
        missing: Treatment of missing values, see above.
        scale: Method by which `center` and `spread` were computed, for information: mean and standard deviation,
            median and interquartile range, or none (0 and 1).
        mean: (C,), mean of each channel.
        center: (C,)
        spread: (C,), above 0.

    >>> extractor = SeriesFeatureExtractor(missing="last", mean=[2.0], center=[2.0], spread=[0.5])
    >>> extractor([[[1.0], [float("nan")]], [[3.0]]])["input_values"].tolist()
    [[[-2.0], [-2.0]], [[2.0], [0.0]]]
    """

    model_input_names = ["input_values", "attention_mask"]  # noqa: RUF012  as in transformers
    _auto_class = "AutoFeatureExtractor"

    def __init__(
        self,
        missing: Literal["refuse", "mask", "last", "mean", "zero"] = "refuse",
        scale: Literal["standard", "robust", "none"] = "standard",
        mean: Sequence[float] = (0.0,),
        center: Sequence[float] = (0.0,),
        spread: Sequence[float] = (1.0,),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.missing = missing
        self.scale = scale
        self.mean = list(mean)
        self.center = list(center)
        self.spread = list(spread)

    @property
    def num_channels(self) -> int:
        """Number of values of a step of a raw series."""
        return len(self.center)

    @property
    def num_features(self) -> int:
        """Number of values of a step for the model."""
        return self.num_channels * (2 if self.missing == "mask" else 1)

    def transform(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the steps of several series for the model.

        Args:
            values: (M, C), float64, the concatenated steps of all series, NaN for missing values.
            lengths: (N,), number of steps of each series, M in total.

        Returns:
            (M, F), float32.

        Raises:
            ValueError: A missing value with `missing="refuse"`, an infinite value, or another number of channels.
        """
        if values.dim() != 2 or values.size(1) != self.num_channels:
            raise ValueError(f"steps of shape {tuple(values.shape[1:])}: must be ({self.num_channels},)")
        lacking = values.isnan()
        if values.isinf().any() or (self.missing == "refuse" and bool(lacking.any())):
            wrong = values.isinf() | (lacking if self.missing == "refuse" else torch.zeros_like(lacking))
            step, channel = (int(each) for each in wrong.nonzero()[0])
            row = int(torch.searchsorted(lengths.cumsum(0), step, right=True))
            start = int(lengths[:row].sum())
            given = "no value" if lacking[step, channel] else f"{float(values[step, channel])}"
            raise ValueError(f"{given} at step {step - start} of channel {channel} in row {row}")
        mean, center, spread = (
            torch.tensor(each, dtype=torch.float64) for each in (self.mean, self.center, self.spread)
        )
        filling = torch.zeros_like(mean) if self.missing == "zero" else mean
        filled = torch.where(lacking, filling, values)
        if self.missing == "last" and bool(lacking.any()):
            steps = torch.arange(len(values))[:, None].expand_as(values)
            starts = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)[:, None]
            latest = torch.where(lacking, -1, steps).cummax(0).values
            known = values.gather(0, latest.clamp(min=0))
            filled = torch.where(latest >= starts, known, filled)
        scaled = ((filled - center) / spread).float()
        if self.missing == "mask":
            scaled = torch.cat([scaled, lacking.float()], dim=1)
        return scaled

    def __call__(self, rows: Sequence[Any], **_: Any) -> BatchFeature:
        """Return one padded batch of raw series.

        Args:
            rows: B arrays, tensors or nested lists (steps, channels), with NaN or None for missing values; for a single
                channel also (steps,).

        Returns:
            `input_values` (B, T, F), float32, and `attention_mask` (B, T), both 0 at padded steps.

        Raises:
            ValueError: See `transform`; or a row without steps.
        """
        tensors = [self._steps(row, number) for number, row in enumerate(rows)]
        lengths = torch.tensor([len(each) for each in tensors])
        parts = self.transform(torch.cat(tensors), lengths).split(lengths.tolist())
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        values = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
        return BatchFeature({"input_values": values, "attention_mask": mask.long()})

    def _steps(self, row: Any, number: int) -> torch.Tensor:
        """Return one row as (steps, channels), float64."""
        if isinstance(row, (list, tuple)):
            row = [
                [float("nan") if value is None else value for value in step]
                if isinstance(step, (list, tuple))
                else step
                for step in (float("nan") if step is None else step for step in row)
            ]
        values = torch.as_tensor(row, dtype=torch.float64).cpu()
        if values.dim() == 1 and self.num_channels == 1:
            values = values[:, None]
        if values.dim() != 2 or not len(values) or values.size(1) != self.num_channels:
            raise ValueError(f"row {number} has shape {tuple(values.shape)}: must be (steps, {self.num_channels})")
        return values
