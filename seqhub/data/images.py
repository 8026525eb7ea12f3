"""Images of a Hub dataset as sequences of their rows, for `row_images/custom`: the way from MNIST to a run."""

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
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"}  # 8 bits a pixel or fewer
_WHITE = np.float32(255)


class Images:
    """The labelled images of a dataset repository or folder.

    Args:
        source: `namespace/name` on a Hub, or a folder.
        config: Which config of it; may be left out where there is one.
        image: Column with the images; may be left out where there is one.
        label: Column with the labels; may be left out where there is one of class labels.
        endpoint: Address of the Hub; HF_ENDPOINT or the public Hub where None.

    Attributes:
        ignored_splits: Splits with other names than `train`, `validation` (`valid`, `val`) and `test`, which are not read.

    Raises:
        HubError: No Hub there, no such repository, or it refuses.
        InvalidInputError: It is no dataset that `datasets` can load, or lacks such columns; the message lists those.
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
        """Every image, split after split: (height, width) shares of white from 0 to 1, of colours their luma.

        Raises:
            InvalidInputError: An image of another size than the first, of more than 8 bits a pixel, or none; or no
                label. The message names the row.
        """
        size = None
        for split, rows in self._splits.items():
            for number, row in enumerate(rows):
                where = f"row {number} of {split} of {self.source}"
                image, label = row[self._image], row[self._label]
                if image is None or label is None:
                    raise InvalidInputError(f"no {'label' if image is not None else 'image'} in {where}")
                if image.mode not in _MODES:
                    raise InvalidInputError(f"an image of mode {image.mode} in {where}; need 8 bits a pixel")
                size = size or image.size
                if image.size != size:
                    given, need = ("{} x {}".format(*each) for each in (image.size, size))
                    raise InvalidInputError(f"an image of {given} pixels in {where}; need {need}, as the first has")
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
