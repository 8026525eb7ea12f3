"""Source of the rows of a run: a task, a built folder or a file that the user supplies."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqhub.data.arrow import rows_table
from seqhub.data.assignment import ASSIGNMENT_VERSION
from seqhub.data.digest import digest, digest_batches, split_digest
from seqhub.data.split_sizes import published_sizes
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.ref import FILE, TaskRef
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import SPLITS, FileRows, Split

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


STREAM, PUBLISHED = "stream", "splits"  # sources of training rows that are neither a folder nor a file


def split_rule(task: TaskRef) -> int:
    """Return the version of the rule that assigns the rows of a file to splits."""
    if task.name != FILE:
        return ASSIGNMENT_VERSION
    from seqhub.data.file_splits import SPLIT_RULE  # its libraries are slow to import

    return SPLIT_RULE


class DataSource:
    """Source of the rows of a config: the task itself, a folder that was built from it, or a file.

    All stages of a run use one source, which reads a file or folder once.

    Args:
        task: Task and config, as in `qrsu/hard`; or, with a file, `char_completion/custom`.
        file: File with the rows, for the config `custom`.
        options: Options for reading the file, see `local_files` and, for the task `file`, `file_kinds.FileOptions`.
        data: Source of the training rows of other configs: `stream` (generated without end), `splits` (published
            rows) or a folder of `data.parquet`.

    Attributes:
        task: Task and config as a TaskRef.
        kind: `stream`, `splits`, `folder` or `file`.
        name: Name in records: `stream`, `splits`, or the name of the folder or file without its path.
        schema: Schema of the rows.
        options: Options for reading the file.

    Raises:
        UnknownNameError: No such task, config or option.
        InvalidConfigError: An option with a wrong type or outside its range.
        InvalidInputError: The file has the wrong format, is missing, or is given for another config than `custom`. The
            message has file and position.
    """

    def __init__(
        self,
        task: str | TaskRef,
        file: Path | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        data: str = STREAM,
    ) -> None:
        self.task = ref = TaskRef.parse(task)
        self.options = dict(options or {})
        if file is not None and not ref.is_custom:
            raise InvalidInputError(f"file {file} for {ref}: only the config custom takes a file")
        if options and not ref.is_custom:
            raise UnknownNameError.of(f"data option of {ref}", next(iter(options)), ["none"])
        self._file = None if file is None else _read_file(file, ref, options or {})
        self.schema = self.split().schema
        self.kind: Literal["stream", "splits", "folder", "file"]
        if file is not None:
            self.kind, self.name = "file", file.name
        elif data in (STREAM, PUBLISHED):
            self.kind, self.name = ("stream" if data == STREAM else "splits"), data
        else:
            self.kind, self.name = "folder", Path(data).name
        self._folder = Path(data)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of rows of each split: all rows of a file, or the published rows of a task."""
        if self._file is None:
            return published_sizes(self.task)
        return {name: len(batch) for name, batch in self._file.splits.items()}

    @property
    def file_rows(self) -> FileRows | None:
        """Rows of the file with what was found in it; None for other sources."""
        return self._file

    @classmethod
    def of_run(cls, record: RunRecord, file: Path | None = None, folder: Path | None = None) -> "DataSource":
        """Return the source of the rows of a finished run.

        Args:
            record: Record of the run.
            file: File that it was trained on, if any.
            folder: Model folder, with the tokenizer of the run.

        Raises:
            InvalidInputError: The run was trained on a file, and it is not given or its rows have changed; or the run
                used another version of the task or of the assignment of rows to splits.
        """
        task = record.task.definition
        version = record.data.get("task_version", task.version)
        if version != task.version:
            raise InvalidInputError(
                f"run on version {version} of {task.name}; this seqhub has version {task.version}, with other rows; "
                "train again"
            )
        if (
            record.task.is_custom
            and file is not None
            and record.data
            and record.data.get("split_rule", 1) != split_rule(record.task)
        ):
            raise InvalidInputError(
                f"run on {record.data.get('source')} with split_rule {record.data.get('split_rule', 1)} of an earlier "
                f"seqhub; this one has split_rule {split_rule(record.task)}, with other splits; train again"
            )
        options = dict(record.training.get("data_options", {}))
        if folder is not None and "tokenizer" in record.data.get("reading", {}):
            options["tokens"] = str(folder)
        source = cls(record.task, file, options)
        if source.kind == "file" and source.identity != record.data.get("identity"):
            raise InvalidInputError(f"{file} has other rows than {record.data['source']}, the file of this run")
        return source

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the content: 64 hexadecimal digits, equal for equal rows in any file or folder.

        It covers the schema (symbols, classes, sizes), the task with its version and parameters, and rows: all splits
        of a file; the training rows of a folder or of published splits; the first block of a stream, at seed 0.
        """
        task, config = self.task.definition, self.task.config
        schema = self.schema
        vocabulary = schema.vocabulary
        symbols = None if vocabulary is None else [list(vocabulary.symbols), vocabulary.separator, vocabulary.unknown]
        content: dict[str, Any] = {
            "kind": self.kind,
            "task": task.name,
            "version": task.version,
            "config": None if self.task.is_custom else config.parameters(),
            "layout": [symbols, schema.step_shape, schema.target, schema.labels, schema.tolerance],
        }
        if schema.target_vocabulary is not None:
            target = schema.target_vocabulary
            content["target"] = [list(target.symbols), target.separator, schema.max_target]
        if schema.numbers:
            content["numbers"] = schema.numbers
        if self.kind == "file":
            content["rows"] = {name: split_digest(self.split(name)) for name in SPLITS}
        elif self.kind == "stream":
            content["rows"] = digest_batches([self.first_block], schema)
        else:
            content["rows"] = self.training_digest
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def first_block(self) -> Batch:
        """First training rows at seed 0, 1,024 at most."""
        return self.split().blocks(0, 1)

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the rows, computed once by `describe`."""
        from seqhub.data.describe import describe  # circular import

        return describe(self)

    @cached_property
    def baselines(self) -> dict[str, dict[str, float]]:
        """Results of simple predictions for a file of rows, computed once by `simple_baselines`."""
        from seqhub.data.simple_baselines import simple_baselines  # circular import

        return simple_baselines(self)

    @cached_property
    def training_digest(self) -> str:
        """Digest of all training rows of a source that is not a stream."""
        return split_digest(self.split()) if self.kind == "file" else digest(self.training_rows)

    @cached_property
    def training_rows(self) -> "Dataset | pa.Table":
        """All training rows of a source that is not a stream, read once.

        Raises:
            FileNotFoundError, UnknownNameError, InvalidInputError, CorruptFileError: See `parquet.load_folder`.
        """
        if self.kind == "folder":
            from seqhub.data.parquet import load_folder

            rows = load_folder(self._folder, self.task, "train")
            assert self.seed is not None  # read now, because the folder may be built again during the run
            return rows
        return self.table()

    @cached_property
    def seed(self) -> int:
        """Seed of the training rows of a built folder; 0 for other sources."""
        return DatasetRecord.load(self._folder).seed if self.kind == "folder" else 0

    def table(self, name: str = "train") -> "pa.Table":
        """Return all rows of a split; the published rows if they are generated."""
        return rows_table(self.split(name), 0, self.sizes[name])

    def split(self, name: str = "train", seed: int = 0) -> Split:
        """Return a split of this source."""
        return Split(self.task, name, seed, self._file)


def _read_file(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    from seqhub.data.local_files import READERS  # its libraries are slow to import

    return READERS[task.definition.custom_format](file, task, options)
