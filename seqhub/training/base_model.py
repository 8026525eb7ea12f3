"""Fine-tuning: a run that starts from the weights of a saved model instead of new ones.

The run has the architecture of the base model, its vocabulary and its scaling of series. The outputs are new where
their labels differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.data.tokenizers import tokenizer_vocabulary
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.load import file_digest, head_of, load_model
from seqhub.hub.fetch import fetch
from seqhub.models.ids import ModelId
from seqhub.models.registry import WRAPPED, build_config, config_fields, family_of, preset_of
from seqhub.models.tokenizer import symbols_of
from seqhub.models.user_tokenizers import load_tokenizer
from seqhub.records import RunRecord
from seqhub.records.run import BaseModelRecord
from seqhub.tasks.schema import TaskSchema

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from seqhub.training.config import TrainConfig

WEIGHTS = "model.safetensors"
ARCHITECTURE = (
    "hidden_size",
    "num_hidden_layers",
    "initialization",
    "forget_bias",
    "chrono_max_steps",
    "model_options",
)
"""Settings of a run that the base model determines."""

_OF_ROWS = {"vocab_size", "decoder_vocab_size", "num_features", "num_steps", "inputs"}  # with an error of their own
_LIMITS = {"max_target_length"}  # fields that the rows determine, and on which no parameter depends
_MOST_NAMED = 6  # parameters in a message


@dataclass(frozen=True)
class BaseModel:
    """Saved model from which a run starts.

    Attributes:
        name: Repository id, or name of the folder.
        folder: The folder, downloaded if it is a repository.
        model: The loaded model.
        record: Its record, if it has one.
        model_id: Id of its architecture, without what the rows determine.
        symbols: Symbols of its vocabulary in the order of their ids; for series, those of the texts that it generates,
            or None.
        knows_others: Whether the vocabulary has an id for other symbols.
        reads_series: Whether its inputs are series.
        tokenizer: Folder or repository of the model, if its symbols are the tokens of a tokenizer of transformers.
    """

    name: str
    folder: Path
    model: "PreTrainedModel"
    record: RunRecord | None
    model_id: ModelId
    symbols: tuple[str, ...] | None
    knows_others: bool
    reads_series: bool = False
    tokenizer: str | None = None

    @classmethod
    def load(cls, name: str, *, trust_remote_code: bool = False) -> "BaseModel":
        """Load the model of a folder or a repository.

        Raises:
            InvalidInputError: Neither a folder nor a repository.
            HubError: The Hub does not respond, or has no such repository.
            FileNotFoundError, CorruptFileError, InvalidConfigError: See `evaluation.load.load_model`.
        """
        folder = fetch(name, repo_type="model")
        model = load_model(folder, head_of(folder), trust_remote_code=trust_remote_code)
        record = RunRecord.load(folder) if (folder / RunRecord.FILE_NAME).is_file() else None
        series = model.main_input_name == "input_values" or getattr(model.config, "inputs", None) == "values"
        symbols: tuple[str, ...] | None = None
        others, tokenizer = False, None
        if record is not None and record.data.get("reading", {}).get("tokens") == "tokens":
            symbols, tokenizer = tokenizer_vocabulary(load_tokenizer(name), name).symbols, name
        elif not series or model.config.is_encoder_decoder:
            symbols, others = symbols_of(folder)
        shown = folder.resolve().name if Path(name).is_dir() else name
        return cls(shown, folder, model, record, _model_id(model, record, shown), symbols, others, series, tokenizer)

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a run that the base model determines.

        Args:
            given: Settings that the user gave.

        Raises:
            InvalidConfigError: A given setting of the architecture differs from the base model.
        """
        if given.get("model") is not None:
            wanted = ModelId.parse(given["model"])
            if wanted.name != self.model_id.name:
                raise InvalidConfigError.of("model", given["model"], f"{self.model_id}, as {self._is}, or omitted")
            _require_same({name: value for name, value in wanted.options}, self)
        options = dict(given.get("model_options") or {})
        for name in ARCHITECTURE:
            if name in given and name != "model_options":
                options[name] = given[name]
        _require_same(options, self)
        return {"model": str(self.model_id)}

    @property
    def _is(self) -> str:
        return f"in the base model {self.name}"

    def file_options(self, options: Mapping[str, Any], schema: TaskSchema, file: Path) -> dict[str, Any]:
        """Return the options for reading a file: the vocabulary of the base model, or its filling and scaling, or both.

        Args:
            options: Options that the user gave.
            schema: Schema of the kind of rows.
            file: The file, for messages.

        Raises:
            InvalidInputError: The base model reads series and the file has texts, or the other way round; or only one
                of both has texts to be generated.
            InvalidConfigError: A given option differs from the base model.
        """
        if self.reads_series != (schema.vocabulary is None):
            kinds = ("texts", "series") if self.reads_series else ("series", "texts")
            raise InvalidInputError(f"{file} has {kinds[0]}; the base model {self.name} reads {kinds[1]}")
        writes = bool(self.model.config.is_encoder_decoder)
        if writes != (schema.target == "sequence"):
            what = ("generates texts", "other targets") if writes else ("has other outputs", "texts to be generated")
            raise InvalidInputError(f"the base model {self.name} {what[0]}; the rows of {file} have {what[1]}")
        found = {} if self.symbols is None else self._token_options(options, self.symbols, file)
        reading = self._reading
        if "features" not in reading or any(options.get(name) is not None for name in ("missing", "scale")):
            return found
        return found | {"features": dict(reading["features"])}

    @property
    def _reading(self) -> Mapping[str, Any]:
        return {} if self.record is None else self.record.data.get("reading", {})

    def _token_options(self, options: Mapping[str, Any], symbols: tuple[str, ...], file: Path) -> dict[str, Any]:
        for name in ("max_vocab", "min_count"):
            if options.get(name) is not None:
                rule = f"omitted, as the vocabulary is that of the base model {self.name}"
                raise InvalidConfigError.of(name, options[name], rule, str(file))
        given = options.get("tokens")
        if self.tokenizer is not None:
            known = self._reading["tokenizer"]
            if given not in (None, known, self.tokenizer):
                raise InvalidConfigError.of("tokens", given, f"{known}, as {self._is}", str(file))
            return {"tokens": self.tokenizer}
        tokens = "characters" if all(len(symbol) == 1 for symbol in symbols) else "words"
        tokens = {"characters": "characters"}.get(self._reading.get("tokens", tokens), "words")
        if given not in (None, tokens):
            raise InvalidConfigError.of("tokens", given, f"{tokens}, as {self._is}", str(file))
        return {"tokens": tokens, "vocabulary": list(symbols), "other_symbols": self.knows_others}

    def start(self, model: "PreTrainedModel", config: "TrainConfig", schema: TaskSchema) -> BaseModelRecord:
        """Copy the weights of the base model into a new model, and freeze the parameters that the settings name.

        Raises:
            InvalidConfigError: The architecture, vocabulary or number of values of a step differs, or a pattern of
                `freeze` has no parameter or all of them.
        """
        self._require_fitting(model, config, schema)
        prefix = f"{model.base_model_prefix}."
        same = type(model) is type(self.model) and _outputs(model) == _outputs(self.model)
        source, target = self.model.state_dict(), model.state_dict()
        new = [
            name
            for name, tensor in target.items()
            if not (name.startswith(prefix) or same) or name not in source or source[name].shape != tensor.shape
        ]
        if wrong := [name for name in new if name.startswith(prefix)]:
            raise InvalidConfigError(
                f"base_model={self.name}: its parameter {wrong[0]} has another shape than for {config.task}"
            )
        model.load_state_dict({name: source[name] for name in target if name not in new}, strict=False)
        frozen = freeze(model, config.freeze)
        digest = file_digest(self.folder / WEIGHTS) if (self.folder / WEIGHTS).is_file() else ""
        return {"name": self.name, "weights": digest, "new": new, "frozen": frozen}

    def _require_fitting(self, model: "PreTrainedModel", config: "TrainConfig", schema: TaskSchema) -> None:
        if (schema.vocabulary is None) != self.reads_series:
            kinds = ("texts", "series") if self.reads_series else ("series", "texts")
            raise InvalidConfigError(f"base_model={self.name}: reads {kinds[1]}; {config.task} has {kinds[0]}")
        vocabulary = schema.text_vocabulary
        if vocabulary is not None and self.symbols is not None:
            theirs = (*self.symbols, *([""] if self.knows_others else []))
            ours = (*vocabulary.symbols, *([""] if vocabulary.unknown else []))
            if theirs != ours:
                raise InvalidConfigError(
                    f"base_model={self.name}: has another vocabulary, of {len(self.symbols):,} symbols, than "
                    f"{config.task}, with {len(vocabulary.symbols):,}"
                )
        for name in sorted(config_fields(config.model) - _LIMITS):
            ours, theirs = getattr(model.config, name, None), getattr(self.model.config, name, None)
            if ours != theirs and name in _OF_ROWS:
                raise InvalidConfigError(f"base_model={self.name}: has {name}={theirs}; {config.task} needs {ours}")
            if ours != theirs:
                raise InvalidConfigError.of(name, ours, f"{theirs}, as {self._is}", config.task)


def freeze(model: "PreTrainedModel", patterns: tuple[str, ...]) -> list[str]:
    """Exclude the parameters that match a pattern from training, and return their names.

    Args:
        model: The model.
        patterns: Patterns of names as in a shell: `*` for any characters.

    Raises:
        InvalidConfigError: A pattern without a parameter, or no parameter left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
            raise InvalidConfigError.of("freeze", repr(pattern), f"a pattern of parameters, which are {shown}")
    frozen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if frozen == names:
        raise InvalidConfigError.of("freeze", ", ".join(patterns), "patterns that leave a parameter to train")
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return frozen


def base_model(config: "TrainConfig") -> BaseModel | None:
    """Return the model from which a run starts, loaded; None for new weights."""
    if config.base_model is None:
        return None
    return BaseModel.load(config.base_model, trust_remote_code=config.trust_remote_code)


def _require_same(options: Mapping[str, Any], base: BaseModel) -> None:
    for name, value in options.items():
        theirs = getattr(base.model.config, name, None)
        if value is not None and value != theirs:
            raise InvalidConfigError.of(name, value, f"{theirs}, as in the base model {base.name}, or omitted")


def _outputs(model: "PreTrainedModel") -> tuple[Any, ...]:
    config: Any = model.config
    return dict(config.id2label), config.problem_type, getattr(config, "logistic_outputs", None)


def _model_id(model: "PreTrainedModel", record: RunRecord | None, name: str) -> ModelId:
    """Return the id of the architecture of a model: that of its record, else its preset and what differs from it."""
    if record is not None and record.model_id is not None:
        return ModelId.parse(record.model_id)
    preset = preset_of(model.config)
    if preset is None or family_of(preset) == WRAPPED:
        raise InvalidInputError(f"base model {name}: is not of a family of seqhub and has no record (run.json)")
    plain = build_config(preset)
    changed = {
        each: value
        for each in config_fields(preset) - _OF_ROWS - _LIMITS
        if (value := getattr(model.config, each)) != getattr(plain, each)
    }
    if getattr(model.config, "inputs", None) == "embedding":
        changed["inputs"] = "embedding"
    return ModelId.of(preset, changed)
