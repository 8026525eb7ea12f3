"""Model ids: one string for any model, such as `lstm?hidden_size=64` or `transformers:mamba`.

| id | model |
| --- | --- |
| `lstm` | preset of a family of seqhub or of an installed package |
| `path/to/family:PRESET` | preset of a family in a folder |
| `transformers:TYPE` | model type of transformers, with small defaults |
| `fla:TYPE` | model type of flash-linear-attention; needs a GPU |
| `torchrecurrent:NAME` | recurrent layer of torchrecurrent |
| `hub:OWNER/NAME`, `hub:OWNER/NAME@REVISION` | config of a repository on a Hub, with new weights |
| `path/to/file.py:NAME` | class or function in a file |
| `package.module:NAME` | class or function of an installed package |

Each may be followed by options: `?NAME=VALUE&NAME=VALUE`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from seqhub.errors import InvalidConfigError

Scheme = Literal["preset", "family", "transformers", "fla", "torchrecurrent", "hub", "file", "module"]

_PREFIXES: tuple[Scheme, ...] = ("transformers", "fla", "torchrecurrent", "hub")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PYTHON = {"True": True, "False": False, "None": None}


@dataclass(frozen=True)
class ModelId:
    """A model and its options, parsed from a model id.

    Attributes:
        name: The id without options.
        options: Names and values of the options, sorted by name.

    >>> model = ModelId.parse("transformers:mamba?num_hidden_layers=2&hidden_size=64")
    >>> model.name, model.scheme, dict(model.options)
    ('transformers:mamba', 'transformers', {'hidden_size': 64, 'num_hidden_layers': 2})
    >>> str(model)
    'transformers:mamba?hidden_size=64&num_hidden_layers=2'
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: "str | ModelId") -> "ModelId":
        """Parse a model id; whether the model exists is not checked.

        Raises:
            InvalidConfigError: An option is not NAME=VALUE or is given twice, or the name is empty.
        """
        if isinstance(text, ModelId):
            return text
        name, mark, rest = text.partition("?")
        if not name or name.endswith(":") or name.startswith(":"):
            raise InvalidConfigError(f"model {text!r}: must be an id such as lstm, transformers:mamba or file.py:Class")
        options: dict[str, Any] = {}
        for part in rest.split("&") if mark else ():
            key, equals, value = part.partition("=")
            if not key.isidentifier() or not equals:
                raise InvalidConfigError(f"model {text!r}: option {part!r} must be NAME=VALUE, as in hidden_size=64")
            if key in options:
                raise InvalidConfigError(f"model {text!r}: option {key} is given twice")
            options[key] = _value(unquote(value))
        return cls.of(name, options)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> "ModelId":
        """Return the id of a name and options."""
        return cls(name, tuple(sorted(options.items())))

    @property
    def scheme(self) -> Scheme:
        """Kind of the id, see the table of the module."""
        place, colon, _ = self.name.partition(":")
        if not colon:
            return "preset"
        if place in _PREFIXES:
            return place
        place = self.name.rpartition(":")[0]
        if place.endswith(".py"):
            return "file"
        return "module" if _MODULE.fullmatch(place) and not Path(place).is_dir() else "family"

    @property
    def is_wrapped(self) -> bool:
        """True if the model belongs to the family `wrapped`, False for presets."""
        return self.scheme not in ("preset", "family")

    @property
    def place(self) -> str:
        """Part before the last colon: a scheme, folder, file or module; empty for a preset."""
        return self.name.rpartition(":")[0] if self.scheme != "hub" else "hub"

    @property
    def target(self) -> str:
        """Part after the place: a preset, type, class or repository."""
        return self.name.removeprefix("hub:") if self.scheme == "hub" else self.name.rpartition(":")[2]

    @property
    def short(self) -> str:
        """Name for folders and repositories.

        >>> [ModelId.parse(each).short for each in ("lstm", "transformers:mamba", "a/b.py:Net", "hub:me/net@v1")]
        ['lstm', 'mamba', 'Net', 'net']
        """
        return self.target.partition("@")[0].rpartition("/")[2]

    @property
    def code(self) -> Path | None:
        """File or folder of the model's code, if the id is a path."""
        return Path(self.place) if self.scheme in ("file", "family") else None

    def with_options(self, **options: Any) -> "ModelId":
        """Return the same model with other or further options."""
        return ModelId.of(self.name, dict(self.options) | options)

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}?{'&'.join(f'{name}={_text(value)}' for name, value in self.options)}"


def _value(text: str) -> Any:
    """Return the value of an option: JSON if possible, else a text."""
    if text in _PYTHON:
        return _PYTHON[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    """Return the text of a value, which `_value` converts back."""
    plain = isinstance(value, str) and _value(value) == value
    text = value if plain else json.dumps(value, separators=(",", ":"), sort_keys=True)
    return str(text).replace("%", "%25").replace("&", "%26")
