"""Images of a Hub dataset as sequences of pixel rows, for `row_images/custom`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqhub.data.vectors import VectorRow
from seqhub.errors import InvalidInputError
from seqhub.hub.fetch import fetch

if TYPE_CHECKING:
    from datasets import DatasetDict, Features

_SPLIT_OF = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"}  # at most 8 bits per channel
_WHITE = np.float32(255)


class Images:
    """Labelled images of a dataset repository or folder.

    Args:
        source: `namespace/name` on a Hub, or a folder.
        config: Config of the dataset; optional if there is only one.
        image: Column with the images; optional if there is only one.
        label: Column with the labels; optional if there is only one of class labels.
        endpoint: URL of the Hub; None for HF_ENDPOINT or the public Hub.

    Attributes:
        ignored_splits: Splits with names other than `train`, `validation` (`valid`, `val`) and `test`.

    Raises:
        HubError: The Hub cannot be reached, the repository does not exist, or access is denied.
        InvalidInputError: `datasets` cannot load the dataset, or the columns do not exist; the message lists the
            columns of the dataset.
    """

    def __init__(
        self,
        source: str,
        config: str | None = None,
        image: str | None = None,
        label: str | None = None,
        *,
        endpoint: str | None = None,
    ) -> None:
        from datasets import ClassLabel, Image

        self.source = source
        splits = _load(fetch(source, endpoint=endpoint, repo_type="dataset"), config, source)
        self._splits = {split: splits[split] for split in splits if split in _SPLIT_OF}
        self.ignored_splits = sorted(set(splits) - set(self._splits))
        if not self._splits:
            raise InvalidInputError(f"splits {', '.join(splits)} of {source}; need train, validation or test")
        features = next(iter(self._splits.values())).features
        self._image = _column(features, image, Image, f"image column of {source}")
        self._label = _column(features, label, ClassLabel, f"label column of {source}")
        self._names = getattr(features[self._label], "names", None)

    def rows(self) -> Iterator[VectorRow]:
        """Yield all images of all splits: (height, width) grey values from 0 to 1; colours are converted to luma.

        Raises:
            InvalidInputError: A missing image or label, an image with a size other than the first, or an image with
                more than 8 bits per channel. The message has the row.
        """
        size = None
        for split, rows in self._splits.items():
            for number, row in enumerate(rows):
                where = f"row {number} of {split} of {self.source}"
                image, label = row[self._image], row[self._label]
                if image is None or label is None:
                    raise InvalidInputError(f"no {'label' if image is not None else 'image'} in {where}")
                if image.mode not in _MODES:
                    raise InvalidInputError(f"an image of mode {image.mode} in {where}; need 8 bits per channel")
                size = size or image.size
                if image.size != size:
                    given, need = ("{} x {}".format(*each) for each in (image.size, size))
                    raise InvalidInputError(
                        f"an image of {given} pixels in {where}; need {need}, the size of the first"
                    )
                values = np.asarray(image.convert("L")).astype(np.float32) / _WHITE
                yield VectorRow(values, str(self._names[label] if self._names else label), _SPLIT_OF[split])


def _load(folder: Path, config: str | None, source: str) -> "DatasetDict":
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        splits: DatasetDict = load_dataset(str(folder), config)
    except (DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError(f"{source} cannot be loaded as a dataset: {reason}") from error
    return splits


def _column(features: "Features", given: str | None, kind: Any, what: str) -> str:
    fitting: list[str] = [name for name, feature in features.items() if isinstance(feature, kind)]
    if given is not None and given in features and (given in fitting or what.startswith("label")):
        return given
    if given is None and len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
    chosen = f"no {what} {given!r}" if given is not None else f"{len(fitting) or 'no'} candidates for the {what}"
    raise InvalidInputError(f"{chosen}; it has {known}")
