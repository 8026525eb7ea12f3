"""A model folder back into a model, or one clear line why not."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from seqhub._logging import quiet_transformers
from seqhub.errors import CorruptFileError
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.records import RunRecord

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(folder: Path, record: RunRecord) -> None:
    """Raise CorruptFileError unless every file that the record lists is there, byte for byte."""
    for name, digest in record.files.items():
        path = folder / name
        if not path.is_file():
            raise CorruptFileError(f"{path} is missing; {RunRecord.FILE_NAME} lists it")
        if file_digest(path) != digest:
            raise CorruptFileError(f"{path} is truncated or was changed: its SHA-256 is not the one in its record")


def load_model(folder: Path, head: str = "sequence") -> "PreTrainedModel":
    """Load the model of a folder for evaluation, with the classes of this package and without remote code.

    Args:
        folder: Model folder; the task in its record, if it has one, decides the head.
        head: Head without a record, see `models.registry.HEADS`.

    Raises:
        FileNotFoundError: No such folder, or no config.json in it.
        CorruptFileError: The files are not those of the record beside them, cannot be read, or do not fit together:
            truncated or tampered weights, the config.json of another family.
    """
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder}: it has no config.json")
    if (folder / RunRecord.FILE_NAME).is_file():
        record = RunRecord.load(folder)
        check_files(folder, record)
        task, config = record.task.definition, record.task.config
        head = task.schema(config).head
    try:
        with quiet_transformers():
            model, info = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, trust_remote_code=False
            )
    except (SafetensorError, StrictDataclassError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptFileError(f"{folder} holds no model that can be loaded: {reason[:200]}") from error
    wrong = {kind: names for kind, names in info.items() if names and kind != "error_msgs"}
    if wrong:
        what = "; ".join(f"{kind.replace('_', ' ')}: {sorted(map(str, names))[0]}" for kind, names in wrong.items())
        raise CorruptFileError(f"weights and config.json of {folder} do not fit together ({what})")
    model.eval()
    loaded: PreTrainedModel = model
    return loaded
