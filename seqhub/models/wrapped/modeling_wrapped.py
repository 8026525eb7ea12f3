"""Wrapped models: any module from inputs to hidden states, with heads for sequences, steps and next symbols.

This file and the others of this folder are saved with the weights, so they import only torch, transformers,
huggingface_hub and each other.

Padding: the real steps of every row are moved to its front, the module runs without a mask, and the states are moved
back. A causal module then cannot read padding, on whichever side it is, also if it ignores masks.

Shapes: B sequences, T steps, H the width of the hidden states of the module.
"""

import copy
import hashlib
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.utils.generic import ModelOutput, can_return_tuple
from transformers.utils.hub import cached_file

from .configuration_wrapped import WrappedConfig
from .recurrent_cell import CellLayer, CellStack
from .tracing import is_recording, real_steps_order

__all__ = [
    "WrappedConfig",
    "WrappedForCausalLM",
    "WrappedForSequenceClassification",
    "WrappedForTokenClassification",
    "WrappedModel",
    "WrappedOutput",
    "WrappedPreTrainedModel",
    "WrappedState",
    "make_module",
]

WIDTHS = ("hidden_size", "d_model", "dim", "embed_dim", "units")  # names of the width of a module's inputs and states
STACK_OPTIONS: dict[str, Any] = {"bidirectional": False, "dropout": 0.0}  # of cells, besides the number of layers
DEPTHS_OF_CELLS = "num_layers"
DEPTHS = ("num_hidden_layers", "num_layers", "n_layers", "depth")
STATES = ("past_key_values", "cache_params", "state")  # of models of transformers
_NOISE = 0.1  # standard deviation added to the weights of a measured copy, since some modules start as the identity
_CLOSE = 1e-4  # largest difference of float32 outputs that counts as rounding


@dataclass
class WrappedState:
    """State of the wrapped module after its last step, the initial state for the next steps of the same sequences.

    Args:
        inner: The state as the module returned it.
        steps: Number of steps so far.
    """

    inner: Any
    steps: int = 0

    def detach(self) -> "WrappedState":
        """Return the same state detached from the graph, for truncated backpropagation through time."""
        return WrappedState(map_tensors(self.inner, Tensor.detach), self.steps)


@dataclass
class WrappedOutput(ModelOutput):
    """Output of a wrapped model.

    Args:
        loss: Scalar, if labels were given.
        logits: (B, num_labels); with a label per step (B, T, num_labels); for next ids (B, T, vocab_size).
        last_hidden_state: (B, T, H), without a head; zero at padded steps.
        pooler_output: (B, H), the state after the last real step, without a head.
        past_key_values: State after the last step; with `use_cache`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    past_key_values: WrappedState | None = None


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of a value with a function applied to every tensor in its containers and attributes."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(each, function) for each in value))
    if isinstance(value, (tuple, list)):
        return type(value)(map_tensors(each, function) for each in value)
    if isinstance(value, dict):
        copied = copy.copy(value)
        for key, each in value.items():
            copied[key] = map_tensors(each, function)
        return copied
    if hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module)) and not callable(value):
        copied = copy.copy(value)
        for name, each in vars(value).items():
            setattr(copied, name, map_tensors(each, function))
        return copied
    return value


class Readout(nn.Linear):
    """Linear layer of a head or of real-valued inputs, whose weights this file initialises."""


class InputEmbedding(nn.Embedding):
    """Embedding of ids for a module that reads vectors, whose weights this file initialises."""


def parameters_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters by which a class or function is called, without `self`.

    Raises:
        ValueError: The parameters are not known, as for some built-in functions.
    """
    if isinstance(factory, type) and issubclass(factory, nn.RNNBase) and "__init__" not in vars(factory):
        factory = factory.__mro__[1]
    if factory in (nn.RNN, nn.GRU, nn.LSTM):  # their own parameters are *args and **kwargs
        found = dict(inspect.signature(nn.RNNBase).parameters)
        return {name: each for name, each in found.items() if name != "mode"}
    if isinstance(factory, type) and issubclass(factory, PreTrainedModel):
        factory = factory.config_class  # type: ignore[assignment]
    return dict(inspect.signature(factory).parameters)


def make_module(config: WrappedConfig) -> nn.Module:
    """Return the newly made module of a config; a cell, by the end of its name, as layers that run it over time.

    Raises:
        ValueError: The class or function was not imported, does not accept the options, or returns something else.
    """
    if config.inner is not None:
        settings = copy.deepcopy(config.inner)
        attention = settings.pop("attn_implementation", None)
        inner = AutoConfig.for_model(**settings)
        module: nn.Module = AutoModel.from_config(inner, **({"attn_implementation": attention} if attention else {}))
        return module
    factory = config.factory
    if factory is None:
        where = f"the file {config.code}" if config.code else "an installed package"
        raise ValueError(
            f"{config.source} is defined by {where}; load the model with from_pretrained(..., trust_remote_code=True)"
        )
    known = parameters_of(factory)
    arguments = {
        "vocab_size": config.vocab_size if config.inputs == "ids" else None,
        "num_features": config.num_features,
        "input_size": config.num_features if config.inputs == "values" else config.hidden_size,
        "batch_first": True,
        **dict.fromkeys(WIDTHS, config.hidden_size),
        **dict.fromkeys(DEPTHS, config.num_hidden_layers),
    }
    given = {name: value for name, value in arguments.items() if name in known and value is not None}
    given |= config.options or {}
    stack: dict[str, Any] = {name: given.pop(name) for name in STACK_OPTIONS if name in given and name not in known}
    made: Any
    if isinstance(factory, type) and issubclass(factory, PreTrainedModel):
        settings_class: Any = factory.config_class
        made = factory(settings_class(**given))
    else:
        made = factory(**given)
    if not isinstance(made, nn.Module):
        raise ValueError(f"{config.source} returned {type(made).__name__}; expected a torch.nn.Module")
    if not type(made).__name__.endswith("Cell"):
        return made
    layers = config.num_hidden_layers or 1 if not known.keys() & set(DEPTHS) else 1
    if layers == 1 and not any(stack.values()):
        return CellLayer(made)
    if layers > 1 and "input_size" not in known:
        raise ValueError(f"num_layers={layers}: {config.source} has no argument input_size")
    width = given.get("input_size", config.hidden_size)

    def make(input_size: int) -> nn.Module:
        own = given | {"input_size": input_size} if "input_size" in known else given
        return factory(**own)  # type: ignore[no-any-return]

    return CellStack(make, width, layers, **stack)


def reads_ids(config: WrappedConfig) -> bool:
    """Return whether the module reads ids itself, with an embedding of its own."""
    if config.inner is not None:
        return config.inputs == "ids"
    return config.factory is not None and "vocab_size" in parameters_of(config.factory)


def reads_features(config: WrappedConfig) -> bool:
    """Return whether the module reads real values without a linear layer before it."""
    if config.inner is not None or config.factory is None or config.inputs == "ids":
        return False
    return bool({"num_features", "input_size"} & parameters_of(config.factory).keys())


class WrappedPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving.

    The module has initialised its own weights when it was made; only those of the head and of the inputs are
    initialised here.
    """

    config_class = WrappedConfig
    config: WrappedConfig
    base_model_prefix = "model"
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012 (typed by its base)
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @classmethod
    def get_init_context(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the contexts in which a saved model is made, without the meta device.

        A module may compute tensors when it is made that are not in its `state_dict`, which would have no values.
        """
        contexts = super().get_init_context(*args, **kwargs)
        return [each for each in contexts if each != torch.device("meta")]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a saved model; see `PreTrainedModel.from_pretrained`.

        Args:
            pretrained_model_name_or_path: Folder, or name of a repository.
            *args: Passed on.
            **kwargs: Passed on. With `trust_remote_code=True` the code of the module is imported: the file that was
                saved with the weights, or the installed package.

        Raises:
            ValueError: The code of the module is needed and was neither imported before nor is trusted, or the file is
                not the one with which the model was saved.
        """
        config = kwargs.get("config")
        if not isinstance(config, WrappedConfig):
            hub = {name: kwargs[name] for name in _HUB_ARGUMENTS if name in kwargs}
            config = WrappedConfig.from_pretrained(pretrained_model_name_or_path, **hub)
        if config.inner is None and config.factory is None and kwargs.get("trust_remote_code"):
            hub = {name: kwargs[name] for name in _HUB_ARGUMENTS if name in kwargs}
            config.use(*import_factory(config, pretrained_model_name_or_path, **hub))
        kwargs["config"] = config
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if not next(model.parameters()).is_meta:
            body: Any = getattr(model, model.base_model_prefix, model)
            restore_buffers(body.inner, config)
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> Any:
        """Save config and weights with the code of the module; see `PreTrainedModel.save_pretrained`."""
        code = self.config.source_code  # not the file itself, which may have been changed since it was imported
        if self.config.code is not None and code is not None and kwargs.get("is_main_process", True):
            Path(save_directory).mkdir(parents=True, exist_ok=True)
            (Path(save_directory) / self.config.code).write_bytes(code)
        return super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Readout):
            bound = 1 / math.sqrt(module.in_features)
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, InputEmbedding):
            init.normal_(module.weight)


_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


def import_factory(config: WrappedConfig, folder: Any, **hub: Any) -> tuple[Callable[..., Any], bytes | None]:
    """Import the class or function of a saved model: from the file in its folder or repository, or from a package.

    Returns:
        The class or function, and the content of its file; None for a package.

    Raises:
        ValueError: The file is not the one with which the model was saved, and is not imported.
        ImportError: The package is not installed.
    """
    if config.source.startswith("hub:"):
        return class_of_repository(config.source), None
    place, _, name = config.source.rpartition(":")
    if config.code is None:
        module = __import__(place, fromlist=[name])
        factory: Callable[..., Any] = getattr(module, name)
        return factory, None
    hub.pop("subfolder", None)
    content = Path(cached_file(folder, config.code, **hub)).read_bytes()  # type: ignore[arg-type]
    if hashlib.sha256(content).hexdigest() != config.code_sha256:
        raise ValueError(f"{config.code}: its SHA-256 is not the one in config.json, so it was changed after saving")
    return get_class_from_dynamic_module(f"{Path(config.code).stem}.{name}", folder, **hub), content


def class_of_repository(source: str) -> type[PreTrainedModel]:
    """Import the model class of a repository with code of its own, `hub:OWNER/NAME@REVISION`; needs consent."""
    repo, _, revision = source.removeprefix("hub:").partition("@")
    config = AutoConfig.from_pretrained(repo, revision=revision or None, trust_remote_code=True)
    reference = getattr(config, "auto_map", {}).get("AutoModel")
    if reference is None:
        raise ValueError(f"{source}: config.json has no AutoModel in auto_map")
    found: type[PreTrainedModel] = get_class_from_dynamic_module(reference, repo, revision=revision or None)
    return found


@torch.no_grad()
def restore_buffers(module: nn.Module, config: WrappedConfig) -> None:
    """Copy the buffers that are not saved, such as tables of positions, from a newly made module.

    `from_pretrained` leaves them without values.
    """
    with torch.random.fork_rng(devices=[]):
        made = make_module(config)
    for name, each in made.named_modules():
        for buffer in each._non_persistent_buffers_set:
            value = getattr(each, buffer)
            if isinstance(value, Tensor):
                getattr(module.get_submodule(name), buffer).copy_(value)


class WrappedModel(WrappedPreTrainedModel):
    """The wrapped module without a head."""

    _auto_class = "AutoModel"

    def __init__(self, config: WrappedConfig) -> None:
        super().__init__(config)
        self.reads_ids, by_features = reads_ids(config), reads_features(config)
        if config.inputs == "values" and self.reads_ids:
            raise ValueError(f"{config.source} reads ids, as it has an argument vocab_size; the task has real values")
        self.inner = make_module(config)
        if config.inputs == "values":
            self.main_input_name = "input_values"
            if not by_features:
                self.projection = Readout(config.num_features, self._input_width())  # type: ignore[arg-type]
            if config.inner is not None:  # its embedding has no gradient
                self.inner.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
        elif not self.reads_ids:
            self.embed_tokens = InputEmbedding(config.vocab_size, config.hidden_size)
        self.state_argument, self.takes_mask = _state_argument(self.inner), _takes(self.inner, "attention_mask")
        if config.output_size is None:
            config.output_size, config.time_first, config.causal = self._measure()
        self.post_init()  # type: ignore[no-untyped-call]

    def _input_width(self) -> int:
        """Return the width of the vectors that the module reads."""
        if self.config.inner is None:
            return self.config.hidden_size
        embedding: nn.Embedding = self.inner.get_input_embeddings()  # type: ignore[operator]
        return embedding.embedding_dim

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: WrappedState | None = None,
        use_cache: bool = False,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> WrappedOutput | tuple[Any, ...]:
        """Run the module, from its initial state or from the state after previous steps of the same sequences.

        Args:
            input_ids: (B, T), ids in [0, vocab_size).
            attention_mask: (B, T), 0 at padded steps; with `past_key_values` it may also cover all steps so far. If
                None, steps with `pad_token_id` in `input_ids` are padded, and with other inputs none.
            input_values: (B, T, num_features), for a model with `inputs="values"`.
            inputs_embeds: (B, T, width), vectors in place of the embedded ids or of the projected values.
            past_key_values: State returned by a previous call; None for the initial state.
            use_cache: Whether to return the state at the end. Rows then end at the same step, unless all that follows
                is padding.
            return_dict: Whether to return a `WrappedOutput` instead of a tuple; by default as in the config.
            **extra: Other arguments of transformers; ignored.

        Raises:
            ValueError: If not exactly one suitable input is given, a row has no real step, or the module returns
                something else than hidden states.
        """
        given = self._vectors(input_ids, input_values, inputs_embeds)
        carries = use_cache or past_key_values is not None
        mask = self.resolve_mask(input_ids, attention_mask)
        if mask is not None:
            mask = mask[:, -given.size(1) :] != 0
        if mask is not None and not is_recording() and bool(mask.all()):
            mask = None
        order = back = None
        if mask is not None:
            if not is_recording() and not carries and not bool(mask.any(1).all()):
                raise ValueError(
                    f"row {int((~mask.any(1)).nonzero()[0])} has no real step; every row needs at least one"
                )
            if is_recording() or bool((mask[:, 1:] & ~mask[:, :-1]).any()):
                order, back = real_steps_order(mask)
                given = gather_steps(given, order)
                if carries:
                    raise ValueError("padding before a real step: must be on the right if a state is carried")
        compact = mask if mask is None or order is None else gather_steps(mask, order)

        states, state = self._run(given, compact, past_key_values, use_cache)
        if compact is None:
            last = states[:, -1]
        else:
            rows = torch.arange(len(states), device=states.device)
            last = states[rows, compact.sum(1).clamp(min=1) - 1]
        if isinstance(self.inner, CellStack):
            last = self.inner.pool(states, last)
        if back is not None:
            states = gather_steps(states, back)
        if mask is not None:
            states = states.masked_fill(~mask.unsqueeze(-1), 0)
        output = WrappedOutput(last_hidden_state=states, pooler_output=last, past_key_values=state)
        if return_dict is None:
            return_dict = self.config.return_dict
        return output if return_dict else output.to_tuple()

    def resolve_mask(self, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor | None:
        """Return the mask that was given, or that of the padding in `input_ids`."""
        if attention_mask is not None or input_ids is None or self.config.pad_token_id is None:
            return attention_mask
        return input_ids != self.config.pad_token_id

    def _vectors(self, ids: Tensor | None, values: Tensor | None, vectors: Tensor | None) -> Tensor:
        """Return what the module reads: ids (B, T), or vectors (B, T, width)."""
        wanted = "input_values" if self.config.inputs == "values" else "input_ids"
        given = {"input_ids": ids, "input_values": values, "inputs_embeds": vectors}
        names = [name for name, tensor in given.items() if tensor is not None]
        if names not in ([wanted], ["inputs_embeds"]):
            raise ValueError(f"inputs {', '.join(names) or 'none'}: must be {wanted} or inputs_embeds")
        if vectors is not None:
            if self.reads_ids and not isinstance(self.inner, PreTrainedModel):
                raise ValueError(f"inputs_embeds: {self.config.source} reads input_ids only")
            return vectors
        if ids is not None:
            return ids if self.reads_ids else self.embed_tokens(ids)
        assert values is not None
        if values.dim() != 3 or values.size(2) != self.config.num_features:
            shape = tuple(values.shape)
            raise ValueError(f"input_values must be (batch, steps, {self.config.num_features}), got {shape}")
        return self.projection(values) if hasattr(self, "projection") else values

    def _run(
        self, given: Tensor, mask: Tensor | None, carried: WrappedState | None, use_cache: bool
    ) -> tuple[Tensor, WrappedState | None]:
        """Run the module on rows whose real steps are at the front."""
        arguments: dict[str, Any] = {}
        is_cell = isinstance(self.inner, (CellLayer, CellStack))
        if not self.config.causal and mask is not None and not is_cell:
            if not self.takes_mask:
                raise ValueError(
                    f"{self.config.source} reads later steps and has no attention_mask, so all rows of a batch must "
                    "have the same length"
                )
            arguments["attention_mask"] = mask.long()
        if use_cache or carried is not None:
            if self.state_argument is None:
                raise ValueError(f"{self.config.source} has no state that can be carried on")
            arguments[self.state_argument] = None if carried is None else carried.inner
            if carried is not None and isinstance(self.inner, PreTrainedModel) and _takes(self.inner, "position_ids"):
                positions = torch.arange(carried.steps, carried.steps + given.size(1), device=given.device)
                arguments["position_ids"] = positions.expand(given.size(0), -1)  # some types would begin at 0 again
        if isinstance(self.inner, PreTrainedModel) and use_cache:
            arguments["use_cache"] = True
        lengths = None if mask is None or (is_recording() and self.config.causal) else mask.sum(1)
        output = self._call(given.transpose(0, 1) if self.config.time_first else given, arguments, lengths)
        states = hidden_states_of(output, self.config.source, given.shape[:2], self.config.time_first)
        if not use_cache:
            return states, None
        state = state_of(output, self.state_argument)
        if state is None:
            raise ValueError(f"{self.config.source} returned no state")
        steps = given.size(1) + (0 if carried is None else carried.steps)
        return states, WrappedState(state, steps)

    def _call(
        self, given: Tensor, arguments: dict[str, Any], lengths: Tensor | None = None, *, plain: bool = False
    ) -> Any:
        """Call the module; a cell or a native kernel does not run at the steps after the lengths of the rows."""
        if isinstance(self.inner, PreTrainedModel):
            arguments = {"use_cache": False} | arguments
            return self.inner(**{"inputs_embeds" if given.is_floating_point() else "input_ids": given}, **arguments)
        if isinstance(self.inner, (CellLayer, CellStack)):
            return self.inner.plain(given) if plain else self.inner(given, **arguments, lengths=lengths)
        native: Any = None if plain else sys.modules.get("seqhub.cells.dispatch")
        if native is not None and arguments.keys() <= {self.state_argument}:
            if arguments:  # the module itself returns the state after padding
                lengths = None
            found = native.run_layers(self.inner, given, arguments.get(self.state_argument or ""), lengths)
            if found is not None:
                return found
        return self.inner(given, **arguments)

    @torch.no_grad()
    def _measure(self) -> tuple[int, bool, bool]:
        """Return the width of the hidden states, whether time is the first axis, and whether the module is causal.

        A copy with noise on its weights runs on three sequences of five steps, again with the third step of the second
        sequence changed. The states that change show which axis is time. No kernel is compiled for so few steps.
        """
        source = self.config.source
        if next(self.inner.parameters()).is_meta:
            raise ValueError(f"output_size=None in the config of {source}: cannot be measured on the meta device")
        copied, random = copy.deepcopy(self), torch.Generator().manual_seed(0)
        copied.train(False)
        for parameter in copied.inner.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn(parameter.shape, generator=random).to(parameter) * _NOISE)
        if self.reads_ids:
            one = torch.randint(1, self.config.vocab_size, (3, 5), generator=random)
            two = one.clone()
            two[1, 2] = one[1, 2] % (self.config.vocab_size - 1) + 1
            if self.config.vocab_size == 2:  # there is one symbol only, so that padding is the other one
                two[1, 2] = 0
        else:
            width = self.config.num_features if reads_features(self.config) else self._input_width()
            one = torch.randn(3, 5, width, generator=random)  # type: ignore[arg-type]
            two = one.clone()
            two[1, 2] += 1
        outputs = (copied._call(each, {}, plain=True) for each in (one, two))
        first, second = (hidden_states_of(each, source, one.shape[:2], time_first=False) for each in outputs)
        changed = (first - second).abs().amax(-1) > _CLOSE
        along_first, along_second = bool(changed[[0, 2], 2].any()), bool(changed[1, [0, 1, 3, 4]].any())
        if along_first and along_second:
            raise ValueError(f"{source}: a sequence of the batch changes the hidden states of another one")
        before = changed[0, 2] if along_first else changed[1, :2].any()
        return first.size(-1), along_first, not bool(before)


def gather_steps(values: Tensor, order: Tensor) -> Tensor:
    """Return the steps (B, T, ...) of each row in another order, given as (B, T)."""
    index = order.view(*order.shape, *(1,) * (values.dim() - 2)).expand_as(values)
    return values.gather(1, index)


def hidden_states_of(output: Any, source: str, shape: torch.Size, time_first: bool) -> Tensor:
    """Return the hidden states (B, T, H) in the output of a module: the tensor, the first element, or a named field.

    Raises:
        ValueError: There are none of this shape.
    """
    found = getattr(output, "last_hidden_state", None)
    if found is None:
        found = output[0] if isinstance(output, (tuple, list)) and output else output
    if isinstance(found, Tensor) and found.dim() == 3 and time_first:
        found = found.transpose(0, 1)
    if not isinstance(found, Tensor) or found.dim() != 3 or found.shape[:2] != shape:
        got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(
            f"{source} returned {got} for {shape[0]} sequences of {shape[1]} steps; expected hidden states "
            f"({shape[0]}, {shape[1]}, width), alone, first of a tuple, or as last_hidden_state"
        )
    return found


def state_of(output: Any, name: str | None) -> Any:
    """Return the state in the output of a module: a named field, or the second element of a tuple."""
    if isinstance(output, tuple) and not hasattr(output, "keys"):
        return output[1] if len(output) > 1 else None
    return getattr(output, name or "", None)


def _state_argument(module: nn.Module) -> str | None:
    """Return the argument of `forward` that is the initial state; None if there is none."""
    names = list(inspect.signature(module.forward).parameters.values())
    if isinstance(module, PreTrainedModel):
        return next((each.name for each in names if each.name in STATES), None)
    positional = [each.name for each in names if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return positional[1] if len(positional) > 1 and positional[1] not in ("attention_mask", "mask") else None


def _takes(module: nn.Module, name: str) -> bool:
    return name in inspect.signature(module.forward).parameters


class WrappedClassifier(WrappedPreTrainedModel):
    """Module and readout of the classification heads."""

    def __init__(self, config: WrappedConfig) -> None:
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1  # not None after __post_init__
        self.model = WrappedModel(config)
        self.classifier = Readout(self.model.config.output_size, self.num_labels)
        self.main_input_name = self.model.main_input_name
        self.post_init()  # type: ignore[no-untyped-call]


class WrappedForSequenceClassification(WrappedClassifier):
    """The module and a linear readout of its state after the last real step: classes, or regression."""

    _auto_class = "AutoModelForSequenceClassification"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> WrappedOutput:
        """Score each sequence.

        Args:
            input_ids: As in `WrappedModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, width).
            labels: By `config.problem_type`: `single_label_classification` (B,), class indices, loss in nats;
                `regression` (B,) or (B, num_labels), loss is the mean squared error; `multi_label_classification`
                (B, num_labels), 0 or 1, loss in nats per label. If it is None: regression for a single label, otherwise
                by the type of the labels, integer or float.
            num_items_in_batch: Divisor of the summed loss; by default the number of labels in this batch.
            **extra: Other arguments of transformers; ignored.
        """
        output = self.model(input_ids, attention_mask, input_values, inputs_embeds, return_dict=True)
        logits = self.classifier(output.pooler_output)
        return WrappedOutput(None if labels is None else self._loss(logits, labels, num_items_in_batch), logits)

    def _loss(self, logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
        problem = self.config.problem_type
        if problem is None and self.num_labels == 1:
            problem = "regression"
        if problem == "single_label_classification" or (problem is None and not labels.is_floating_point()):
            return mean_loss(F.cross_entropy, logits, labels.long(), count)
        if labels.numel() != logits.numel():
            raise ValueError(f"labels must be (batch, num_labels), {tuple(logits.shape)}, got {tuple(labels.shape)}")
        loss = F.mse_loss if problem == "regression" else F.binary_cross_entropy_with_logits
        accurate = torch.promote_types(logits.dtype, torch.float32)
        return mean_loss(loss, logits, labels.reshape(logits.shape).to(accurate), count)


class WrappedForTokenClassification(WrappedClassifier):
    """The module and a linear readout of every step."""

    _auto_class = "AutoModelForTokenClassification"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        past_key_values: WrappedState | None = None,
        use_cache: bool = False,
        **extra: Any,
    ) -> WrappedOutput:
        """Score each step.

        Args:
            input_ids: As in `WrappedModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, width).
            labels: (B, T), class indices; -100 and padded steps are ignored. The loss is in nats per step.
            num_items_in_batch: Divisor of the summed loss; by default the number of labels in this batch.
            past_key_values: As in `WrappedModel.forward`.
            use_cache: Whether to return the state at the end, so that a long sequence can be split into segments.
            **extra: Other arguments of transformers; ignored.
        """
        output = self.model(
            input_ids, attention_mask, input_values, inputs_embeds, past_key_values, use_cache, return_dict=True
        )
        logits = self.classifier(output.last_hidden_state)
        loss = None
        if labels is not None:
            if labels.shape != logits.shape[:2]:
                raise ValueError(f"labels must be (batch, steps), {tuple(logits.shape[:2])}, got {tuple(labels.shape)}")
            mask = self.model.resolve_mask(input_ids, attention_mask)
            if mask is not None:
                labels = labels.masked_fill(mask[:, -labels.size(1) :] == 0, -100)
            loss = mean_loss(F.cross_entropy, logits.flatten(0, 1), labels.long().flatten(), num_items_in_batch)
        return WrappedOutput(loss, logits, past_key_values=output.past_key_values)


class WrappedForCausalLM(WrappedPreTrainedModel, GenerationMixin):
    """The module and a linear readout of every step that predicts the next id; padding is never predicted.

    `generate` runs the module on the whole text for each new id, since states of arbitrary modules differ.

    Raises:
        ValueError: If the module reads later steps, or the inputs are real values.
    """

    _auto_class = "AutoModelForCausalLM"
    _is_stateful = True  # cannot return to a previous step, as assisted generation requires

    def __init__(self, config: WrappedConfig) -> None:
        if config.inputs == "values":
            raise ValueError("inputs='values': must be 'ids' to predict next ids")
        super().__init__(config)
        self.model = WrappedModel(config)
        if not self.model.config.causal:
            raise ValueError(f"{config.source} reads later steps, so it cannot predict next ids")
        self.lm_head = Readout(self.model.config.output_size, config.vocab_size)
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_output_embeddings(self) -> None:
        """Return None, because the readout is not tied to an embedding."""

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, **arguments: Any
    ) -> dict[str, Any]:
        """Return the arguments of `forward` for the next id: the whole text."""
        return {"input_ids": input_ids, "attention_mask": arguments.get("attention_mask")}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        past_key_values: WrappedState | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        shift_labels: Tensor | None = None,
        **extra: Any,
    ) -> WrappedOutput:
        """Score the next id after each step.

        Args:
            input_ids: As in `WrappedModel.forward`.
            attention_mask: (B, T), 0 at padded steps.
            inputs_embeds: (B, T, width).
            labels: (B, T), the ids themselves, shifted by the model: step t predicts label t + 1. -100, the padding id,
                and pairs with a padded step are ignored. The loss is in nats per step.
            num_items_in_batch: Divisor of the summed loss; by default the number of targets in this batch.
            past_key_values: As in `WrappedModel.forward`.
            use_cache: Whether to return the state at the end.
            logits_to_keep: Number of last steps to score; 0 for all.
            shift_labels: (B, T), target of each step, in place of `labels`; for a segment of a longer text.
            **extra: Other arguments of transformers; ignored.
        """
        output = self.model(
            input_ids, attention_mask, None, inputs_embeds, past_key_values, use_cache, return_dict=True
        )
        logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])
        pad = self.config.pad_token_id
        if pad is not None:
            is_pad = torch.arange(logits.size(-1), device=logits.device) == pad
            logits = logits.masked_fill(is_pad, torch.finfo(logits.dtype).min)
        loss = None
        if labels is not None or shift_labels is not None:
            mask = self.model.resolve_mask(input_ids, attention_mask)
            targets = self._targets(labels, shift_labels, mask, logits.shape[:2])
            loss = mean_loss(F.cross_entropy, logits.flatten(0, 1), targets.flatten(), num_items_in_batch)
        return WrappedOutput(loss, logits, past_key_values=output.past_key_values)

    def _targets(self, labels: Tensor | None, shifted: Tensor | None, mask: Tensor | None, shape: torch.Size) -> Tensor:
        """Return the target of each step, (B, T), -100 for steps without a target."""
        given = labels if shifted is None else shifted
        if given is None or given.shape != shape:
            got = None if given is None else tuple(given.shape)
            raise ValueError(f"labels must be (batch, steps), {tuple(shape)}, got {got}")
        targets = given.long() if shifted is not None else F.pad(given[:, 1:].long(), (0, 1), value=-100)
        if self.config.pad_token_id is not None:
            targets = targets.masked_fill(targets == self.config.pad_token_id, -100)
        if mask is None:
            return targets
        real = mask[:, -shape[1] :] != 0
        if shifted is None:
            real = real & F.pad(real[:, 1:], (0, 1))
        return targets.masked_fill(~real, -100)


def mean_loss(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the mean of a loss over the labels, or its sum divided by `count`, computed at least in float32."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return loss(logits, labels) if count is None else loss(logits, labels, reduction="sum") / count
