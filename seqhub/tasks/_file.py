"""Rows of a file that the user supplies, of any kind; the configs are the kinds of rows."""

from dataclasses import dataclass
from typing import Any

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.schema import CUSTOM, Target, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

NUMBER_TOLERANCE = 0.5  # largest error of a correct number, in standard deviations of the training targets


@dataclass(frozen=True, kw_only=True)
class FileConfig(TaskConfig):
    """Kind of rows: texts or series of real values, and their target."""

    texts: bool
    target: Target


class FileTask(Task[FileConfig]):
    """Rows of a file; symbols, classes and sizes are those of the file and not in the schema of the config."""

    name = "file"
    version = 1
    title = "Rows of a file"
    description = "The rows are those of a file that the user supplies."
    source = ""
    custom_format = "table"
    configs = (
        FileConfig(name="text-class", length=CUSTOM.length, texts=True, target="class"),
        FileConfig(name="text-number", length=CUSTOM.length, texts=True, target="number"),
        FileConfig(name="text-multi-label", length=CUSTOM.length, texts=True, target="multi_label"),
        FileConfig(name="text-numbers", length=CUSTOM.length, texts=True, target="numbers"),
        FileConfig(name="text-step-class", length=CUSTOM.length, texts=True, target="step_class"),
        FileConfig(name="text-next-symbol", length=CUSTOM.length, texts=True, target="next_symbol"),
        FileConfig(name="text-sequence", length=CUSTOM.length, texts=True, target="sequence"),
        FileConfig(name="series-class", length=CUSTOM.length, texts=False, target="class"),
        FileConfig(name="series-number", length=CUSTOM.length, texts=False, target="number"),
        FileConfig(name="series-multi-label", length=CUSTOM.length, texts=False, target="multi_label"),
        FileConfig(name="series-numbers", length=CUSTOM.length, texts=False, target="numbers"),
        FileConfig(name="series-step-class", length=CUSTOM.length, texts=False, target="step_class"),
        FileConfig(name="series-sequence", length=CUSTOM.length, texts=False, target="sequence"),
    )

    def schema(self, config: FileConfig) -> TaskSchema:
        vocabulary = Vocabulary("?", name="a file")
        writes = config.target == "sequence"
        return TaskSchema(
            vocabulary=vocabulary if config.texts else None,
            step_shape=() if config.texts else (1,),
            target=config.target,
            labels=("?",) if config.target in ("class", "step_class", "multi_label") else (),
            tolerance=NUMBER_TOLERANCE if config.target in ("number", "numbers") else 0.0,
            numbers=("0", "1") if config.target == "numbers" else (),
            target_vocabulary=vocabulary if writes else None,
            max_target=1 if writes else 0,
        )

    def solve(self, sequence: Any) -> Any:
        raise InvalidInputError("the targets of a file have no definition")


TASK = FileTask()
