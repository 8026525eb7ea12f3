"""Released models, whose folders are part of the package: weights, config, tokenizer, history, record and card.

The modelling code is not in the folders: with seqhub installed, the Auto classes use the classes of the package.
`copy_with_code` makes a folder that also loads without seqhub.
"""

import json
import shutil
from pathlib import Path

from seqhub.errors import UnknownNameError

FOLDER = Path(__file__).parent.parent / "pretrained_models"
LICENSE = "apache-2.0"  # of the released models, as of the package


def list_pretrained() -> tuple[str, ...]:
    """Return the names of the released models, sorted.

    >>> list_pretrained()[-1]
    'windows-k8-n16-locally_connected'
    """
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/model.safetensors")))


def pretrained(name: str) -> Path:
    """Return the folder of a released model, for `from_pretrained`. Nothing is downloaded; do not write to the folder.

    Args:
        name: Name of the model, such as `qrsu-hard-lstm`; `seqhub models ls --released` lists all names.

    Raises:
        UnknownNameError: There is no released model of this name; the message has the names most like it.

    >>> pretrained("qrsu-hard-lstm").name
    'qrsu-hard-lstm'
    """
    if name not in list_pretrained():
        raise UnknownNameError.with_near("released model", name, list_pretrained())
    return FOLDER / name


def copy_with_code(name: str, folder: Path) -> None:
    """Copy a released model to a new folder, with the modelling code that `save_pretrained` saves beside the weights.

    Args:
        name: Name of the model.
        folder: The new folder.

    Raises:
        UnknownNameError: There is no released model of this name.
        FileExistsError: The folder exists.
    """
    from transformers.dynamic_module_utils import get_relative_import_files

    from seqhub.models.registry import family_folder

    shutil.copytree(pretrained(name), folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    code = family_folder(config["model_type"])
    for module in {reference.partition(".")[0] for reference in config["auto_map"].values()}:
        for file in (code / f"{module}.py", *map(Path, get_relative_import_files(code / f"{module}.py"))):
            shutil.copyfile(file, folder / file.name)
