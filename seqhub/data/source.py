"""Source of the rows of a run: a task, a built folder or a file that the user supplies."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from seqhub.data.arrow import batch_table, rows_table
from seqhub.data.assignment import ASSIGNMENT_VERSION
from seqhub.data.digest import digest
from seqhub.data.local_files import READERS
from seqhub.data.split_sizes import published_sizes
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import SPLITS, Split

if TYPE_CHECKING:
    from datasets import Dataset


STREAM, PUBLISHED = "stream", "splits"  # sources of training rows that are neither a folder nor a file


class DataSource:
    """Where the rows of an address come from: the task itself, a folder that was built from it, or a file.

    Every stage of a run takes its rows from one source, which reads a file or folder once.

    Args:
        task: Task and config, as in `qrsu/hard`; or, with a file, `char_completion/custom`.
        file: The file with the rows, for the config `own`.
        options: How to read it, see the top of this module: `window`; or `text`, `label`, `unknown`.
        data: Where the training rows of other configs come from: `stream` (drawn without end), `splits` (those
            published) or a folder of `data.parquet`.

    Attributes:
        task: As given.
        kind: `stream`, `splits`, `folder` or `file`.
        name: What a record calls it: `stream`, `splits`, or the name of the folder or file without its path.
        schema: What the rows hold.

    Raises:
        UnknownNameError: No such task, config or option.
        InvalidConfigError: An option of another kind or outside its range.
        InvalidInputError: The file cannot be read as what it should be, or there is one and the address needs none,
            or the other way round. The message names file and position.
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
        if file is not None and not ref.is_custom:
            raise InvalidInputError(f"file {file} for {ref}, which has rows of its own")
        if options and not ref.is_custom:
            raise UnknownNameError.of(f"data option of {ref}", next(iter(options)), ["none"])
        self._file = None if file is None else READERS[ref.definition.custom_format](file, ref, options or {})
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
        """Rows of each split: of a file all that it has, of a task those that are published."""
        if self._file is None:
            return published_sizes(self.task)
        return {name: len(batch) for name, batch in self._file.splits.items()}

    @classmethod
    def of_run(cls, record: RunRecord, file: Path | None = None) -> "DataSource":
        """The source of the rows of a finished run.

        Raises:
            InvalidInputError: The run was trained on a file, and it is not given, or has other rows by now; or the run
                is of another version of the task, or of the rule by which the rows of a file go to splits.
        """
        task = record.task.definition
        version = record.data.get("task_version", task.version)
        if version != task.version:
            raise InvalidInputError(
                f"run on version {version} of {task.name}, whose rows are others than those of version {task.version} "
                "that this seqhub has; train it again"
            )
        if (
            record.task.is_custom
            and file is not None
            and record.data
            and record.data.get("split_rule", 1) != ASSIGNMENT_VERSION
        ):
            raise InvalidInputError(
                f"run on {record.data.get('source')} by an earlier seqhub, which shared out the rows of a file by rule "
                f"{record.data.get('split_rule', 1)}; this one has rule {ASSIGNMENT_VERSION}, with other splits, so train it again"
            )
        source = cls(record.task, file, record.training.get("data_options"))
        if source.kind == "file" and source.identity != record.data.get("identity"):
            raise InvalidInputError(f"{file} has other rows than the {record.data['source']} of this run had")
        return source

    @cached_property
    def identity(self) -> str:
        """SHA-256 that names the content: 64 hexadecimal digits, equal for equal rows wherever they are kept.

        It covers what the rows hold (symbols, classes, sizes), the task with its version and parameters, and the rows:
        of a file those of all splits; of a folder and of published splits those for training, as they were loaded; of a
        stream the first block, whatever its seed.
        """
        task, config = self.task.definition, self.task.config
        schema = self.schema
        vocabulary = schema.vocabulary
        symbols = None if vocabulary is None else [list(vocabulary.symbols), vocabulary.separator, vocabulary.unknown]
        facts: dict[str, Any] = {
            "kind": self.kind,
            "task": task.name,
            "version": task.version,
            "config": None if self.task.is_custom else config.parameters(),
            "layout": [symbols, schema.step_shape, schema.target, schema.labels, schema.tolerance],
        }
        if self.kind == "file":
            facts["rows"] = {name: digest(self.table(name)) for name in SPLITS}
        elif self.kind == "stream":
            facts["rows"] = digest(batch_table(self.first_block, schema))
        else:
            facts["rows"] = self.training_digest
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def first_block(self) -> Batch:
        """The first rows for training at seed 0, 1,024 at most; for what wants to see some before a run."""
        return self.split().blocks(0, 1)

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the rows, computed once by `describe`."""
        from seqhub.data.describe import describe  # it looks at sources

        return describe(self)

    @cached_property
    def training_digest(self) -> str:
        """The digest of all training rows of a source that is not a stream."""
        return digest(self.training_rows)

    @cached_property
    def training_rows(self) -> "Dataset | pa.Table":
        """All training rows of a source that is not a stream, read once.

        Raises:
            FileNotFoundError, UnknownNameError, InvalidInputError, CorruptFileError: See `export.load_folder`.
        """
        if self.kind == "splits":
            from seqhub.data.builder import load_dataset  # not above: it imports `datasets`, which takes a second

            return load_dataset(self.task, split="train")
        if self.kind == "folder":
            from seqhub.data.parquet import load_folder

            rows = load_folder(self._folder, self.task, "train")
            assert self.seed is not None  # read now: the folder may be built anew while a run goes on
            return rows
        return self.table()

    @cached_property
    def seed(self) -> int:
        """The seed of the training rows of a built folder; 0 of a file and of what is published."""
        return DatasetRecord.load(self._folder).seed if self.kind == "folder" else 0

    def table(self, name: str = "train") -> pa.Table:
        """All rows of a split, those published where they are drawn."""
        return rows_table(self.split(name), 0, self.sizes[name])

    def split(self, name: str = "train", seed: int = 0) -> Split:
        """A split, to take rows from."""
        return Split(self.task, name, seed, self._file)
