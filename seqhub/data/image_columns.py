"""Images in tables of rows: files beside a table, or columns of the type `Image` of `datasets`.

An image becomes a sequence of its columns of pixels from left to right, each with one value from 0 to 1 for each pixel
from top to bottom. So all images need the same height, and may have any width. Colours are converted to luma.

A table has images if a column with a name that ends with `file_name` has paths of images, relative to the folder of the
table, or if the values of a column have the bytes or the path of an image. A folder with a table `metadata.csv`,
`metadata.jsonl` or `metadata.parquet` is a table, too, as for `datasets.load_dataset("imagefolder")`.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.data.file_names import IMAGE_TABLES
from seqhub.errors import InvalidInputError

_FILE_NAME = "file_name"  # end of the name of a column with paths
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"}  # at most 8 bits per channel
_WHITE = np.float32(255)


def table_of(path: Path) -> Path:
    """Return the table of a folder of images; other paths are returned unchanged.

    Raises:
        InvalidInputError: A folder without a table.
    """
    if not path.is_dir():
        return path
    found = next((path / name for name in IMAGE_TABLES if (path / name).is_file()), None)
    if found is None:
        raise InvalidInputError(f"{path} is a folder; need a file, or a folder with one of {', '.join(IMAGE_TABLES)}")
    return found


def image_columns(columns: pa.Table) -> list[str]:
    """Return the names of the columns with images."""
    return [name for name in columns.column_names if _has_paths(name, columns) or _has_images(columns.column(name))]


def decode_columns(
    columns: pa.Table, names: list[str], file: Path, lines: NDArray[np.int64] | None, heights: dict[str, int]
) -> pa.Table:
    """Return a table whose images are lists of steps.

    Args:
        columns: Columns of a file or of a part of it.
        names: Columns with images.
        file: The file, for paths and for error messages.
        lines: Line of each row in the file, counted from 1; None for formats without lines.
        heights: Column -> height of its first image, which is added if it is not known from earlier parts of the file.

    Raises:
        InvalidInputError: A missing image, one that cannot be read, has another height than the first one, or more than
            8 bits per channel; the message has the position.
    """
    for name in names:
        steps: list[NDArray[np.float32]] = []
        for row, value in enumerate(columns.column(name).to_pylist()):
            where = f"row {row} of {file}" if lines is None else f"line {lines[row]} of {file}"
            pixels = _pixels(value, file.parent, where)
            height = heights.setdefault(name, pixels.shape[1])
            if pixels.shape[1] != height:
                raise InvalidInputError(
                    f"an image of {pixels.shape[0]} x {pixels.shape[1]} pixels in {where}; need a height of {height}, "
                    "that of the first image"
                )
            steps.append(pixels)
        columns = columns.set_column(columns.column_names.index(name), name, _column(steps))
    return columns


def _has_paths(name: str, columns: pa.Table) -> bool:
    column = columns.column(name)
    if not name.strip().lower().endswith(_FILE_NAME) or not (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ):
        return False
    first = next((value for value in column.to_pylist() if value), "")
    return Path(first.strip()).suffix.lower() in _SUFFIXES


def _has_images(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def _pixels(value: Any, folder: Path, where: str) -> NDArray[np.float32]:
    """Return the pixels of an image, (width, height)."""
    from datasets import Image  # the import takes a second

    given, path = (None, value) if value is None or isinstance(value, str) else (value["bytes"], value["path"])
    if given is None and not (path or "").strip():
        raise InvalidInputError(f"no image in {where}; need one in every row")
    file = folder / (path or "").strip()
    shown = f"image {file}" if given is None else "an image"
    try:
        content = file.read_bytes() if given is None else given
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about large and about truncated images
            image = Image().decode_example({"bytes": content, "path": None})
            if image.mode not in _MODES:
                raise InvalidInputError(f"{shown} of mode {image.mode} in {where}; need 8 bits per channel")
            pixels = np.asarray(image.convert("L"), dtype=np.float32) / _WHITE
    except ImportError:
        raise InvalidInputError(f"{shown} in {where}: images need Pillow; pip install pillow") from None
    except FileNotFoundError:
        raise InvalidInputError(f"{shown} in {where}: no such file") from None
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises these for damaged files
        reason = "it is not an image in a known format" if "BytesIO" in str(error) else str(error).partition("\n")[0]
        raise InvalidInputError(f"{shown} in {where} cannot be read: {reason}") from None
    return np.ascontiguousarray(pixels.T)


def _column(steps: list[NDArray[np.float32]]) -> pa.ChunkedArray:
    """Return a column of lists of steps."""
    height = steps[0].shape[1] if steps else 1
    values = np.concatenate(steps).reshape(-1) if steps else np.empty(0, np.float32)
    ends = np.cumsum([0, *(len(each) for each in steps)])
    inner = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float64)), height)
    return pa.chunked_array([pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), inner)])
