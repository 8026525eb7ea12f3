"""Loading of model folders."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub._logging import quiet_transformers
from seqhub.errors import CorruptFileError, InvalidConfigError, SeqhubError
from seqhub.models.ids import ModelId
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.models.registry import family_of
from seqhub.models.sources import load_source
from seqhub.records import RunRecord

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_HEADS = {  # end of a class -> head
    "TokenClassification": "token",
    "CausalLM": "causal",
    "Seq2SeqLM": "seq2seq",
    "ConditionalGeneration": "seq2seq",
}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(folder: Path, record: RunRecord) -> None:
    """Raise CorruptFileError if a file that the record lists is missing or has another SHA-256."""
    for name, digest in record.files.items():
        path = folder / name
        if not path.is_file():
            raise CorruptFileError(f"{path} is missing, but listed in {RunRecord.FILE_NAME}")
        if file_digest(path) != digest:
            raise CorruptFileError(f"{path} is truncated or was changed: its SHA-256 is not the one in its record")


def load_model(folder: Path, head: str = "sequence", *, trust_remote_code: bool = False) -> "PreTrainedModel":
    """Load a model in evaluation mode, with the classes of seqhub and without remote code.

    The code of a wrapped module is imported from the file that the record names, if its content is that of the copy in
    the folder, and with consent from the copy.

    Args:
        folder: Model folder; if it has a record, the task determines the head.
        head: Head for a folder without a record, see `models.registry.HEADS`.
        trust_remote_code: Consent to run the code in the folder, or of the installed package that its config names.

    Raises:
        FileNotFoundError: There is no such folder, or no config.json in it.
        CorruptFileError: The files differ from the record, cannot be read or do not fit together, as for truncated
            weights or the config.json of another family.
    """
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    from seqhub.native.transformers_kernels import use_native_scans

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder}: it has no config.json")
    if (folder / RunRecord.FILE_NAME).is_file():
        record = RunRecord.load(folder)
        check_files(folder, record)
        if ModelId.parse(record.model).scheme == "family":
            family_of(record.model)  # import the family from its folder, and register it
        task, config = record.task.definition, record.task.config
        head = task.schema(config).head
    try:
        with quiet_transformers():
            model, info = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(
                folder,
                config=_config_with_code(folder, trust_remote_code),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=trust_remote_code,
            )
    except SeqhubError:
        raise
    except (SafetensorError, StrictDataclassError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptFileError(f"the model in {folder} cannot be loaded: {reason[:200]}") from error
    problems = {kind: names for kind, names in info.items() if names and kind != "error_msgs"}
    if problems:
        details = "; ".join(
            f"{kind.replace('_', ' ')}: {sorted(map(str, names))[0]}" for kind, names in problems.items()
        )
        raise CorruptFileError(f"weights and config.json of {folder} do not fit together ({details})")
    use_native_scans(model)
    model.eval()
    loaded: PreTrainedModel = model
    return loaded


def _config_with_code(folder: Path, trusted: bool) -> Any:
    """Return the config of a folder; that of a wrapped module with its class or function, unless it is in the folder.

    Raises:
        InvalidConfigError: The code of the module is only in the folder, and it is not trusted.
    """
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type != "seqhub_wrapped" or config.inner is not None or trusted:
        return config
    model = ModelId.parse(config.source)
    if model.scheme == "torchrecurrent":  # no other package runs without consent
        config.use(*load_source(model))
        return config
    if (folder / RunRecord.FILE_NAME).is_file() and config.code is not None:
        named = ModelId.parse(RunRecord.load(folder).model)
        file = named.code
        is_own = file is not None and file.is_file() and not file.resolve().is_relative_to(folder.resolve())
        if file is not None and is_own and file_digest(file) == config.code_sha256:
            config.use(*load_source(named))
            return config
    place = f"the file {config.code} in {folder}" if config.code else f"the package {model.place}"
    if model.scheme == "hub":
        place = f"the repository {model.target}"
    raise InvalidConfigError(f"{folder}: the model runs code of {place}; consent with --trust-remote-code")


def head_of(folder: Path) -> str:
    """Return the head of a model without a record, by the name of its class; see `models.registry.HEADS`."""
    try:
        names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    except (OSError, ValueError):  # `load_model` raises the error
        names = [""]
    return next((head for end, head in _HEADS.items() if str(names[0]).endswith(end)), "sequence")
