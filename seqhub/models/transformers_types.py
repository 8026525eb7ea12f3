"""Small settings for the recurrent, state-space, linear-attention and hybrid model types of transformers.

The defaults of transformers are the sizes of published language models. `settings_for` gives settings of width 64 with
two layers of mixing over time, or of another width and number of layers, so that

    AutoModel.from_config(AutoConfig.for_model(name, vocab_size=9, **settings_for(name)))

builds a model of about 50,000 to 150,000 parameters. Rules for all types:

- 4 attention heads of a quarter of the width, without grouping; MLPs of twice the width. Where a type is a mixture of
  experts in all published sizes, it has 2 or 4 experts, and those that one step uses are together about twice as wide
  as the model; where a dense MLP is an option of the type, the MLP is dense.
- A hybrid alternates its layers and starts with a recurrent one, so one layer alone is recurrent.
- 0 is padding, there are no other special symbols, and nothing is dropped out.
- 4,096 positions or more where the type has a maximum.

This module imports neither torch nor transformers. Types that the installed version of transformers lacks raise an
error when their config is built.

>>> settings_for("mamba")["state_size"]
16
>>> settings_for("llama", hidden_size=32)["intermediate_size"]
64
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from seqhub.errors import InvalidConfigError, UnknownNameError

Kind = Literal["attention", "state space", "linear attention", "gated recurrence", "convolution", "hybrid"]

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)


@dataclass(frozen=True, kw_only=True)
class TransformersType:
    """Small settings and properties of one model type of transformers.

    Attributes:
        kind: Mixing over time. A hybrid has layers, or halves of a layer, of more than one kind.
        description: One line for tables.
        paper: Author and year of the paper that describes the type or its recurrence, or empty.
        fixed_settings: Config fields that do not depend on the width or the number of layers.
        width_fields: Config fields that change together with `hidden_size`, as multiples of it.
        layer_fields: Config fields with one entry a layer; the entries are repeated to the number of layers.
        mixer_field: Member of `layer_fields` with the mixers, which the argument `layer_types` replaces, or empty.
        num_hidden_layers: Default number of layers.
        min_layers: Smallest number of layers.
        width_multiple: `hidden_size` must be a multiple of it.
        state_argument: Argument of `forward` that takes the carried state; `use_cache=True` asks for it.
        state_output: Field of the base model's output with the carried state, or None if it is not returned. A `Cache`
            of transformers that is passed in is also updated in place.
        min_segment: Smallest number of steps after which a carried state gives the outputs of one forward pass.
        max_segment: Largest number of such steps, or None. Where it is 1, longer segments ignore the state silently.
        needs_position_ids: Whether a segment that continues a carried state needs explicit `position_ids`.
        attn_implementation: Attention implementation in the settings, or None for the default of transformers.
    """

    kind: Kind
    description: str
    paper: str = ""
    fixed_settings: Mapping[str, Any] = field(default_factory=dict)
    width_fields: Mapping[str, Fraction | int] = field(default_factory=dict)
    layer_fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mixer_field: str = ""
    num_hidden_layers: int = 2
    min_layers: int = 1
    width_multiple: int = 8
    state_argument: str = "past_key_values"
    state_output: str | None = "past_key_values"
    min_segment: int = 1
    max_segment: int | None = None
    needs_position_ids: bool = False
    attn_implementation: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of width 64 with the default number of layers, as keyword arguments of the config."""
        return self._settings(64, self.num_hidden_layers, None)

    def _settings(self, hidden_size: int, num_layers: int, mixers: Sequence[str] | None) -> dict[str, Any]:
        settings = {
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": None,
            "hidden_size": hidden_size,
            "num_hidden_layers": num_layers,
            **self.fixed_settings,
            **{name: int(hidden_size * multiple) for name, multiple in self.width_fields.items()},
        }
        for name, pattern in self.layer_fields.items():
            chosen = mixers if mixers is not None and name == self.mixer_field else pattern
            layers = [chosen[i % len(chosen)] for i in range(num_layers)]
            if name == "attn_layer_indices":  # bamba lists the numbers of its attention layers
                settings[name] = [i for i, layer in enumerate(layers) if layer == "full_attention"]
            else:
                settings[name] = layers
        if self.attn_implementation is not None:
            settings["attn_implementation"] = self.attn_implementation
        return settings


_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 4}
_POSITIONS = {"max_position_embeddings": 4096}
_ATTENTION = {**_HEADS, **_POSITIONS}
# The published quarter of each head is less than two features where heads are small: no positions at all.
_HALF_ROTARY = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}}
_LINEAR_AND_FULL = ("linear_attention", "full_attention")
_MAMBA_STATE = {"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2}
_MAMBA2_STATE = {"mamba_n_heads": 4, "mamba_d_head": "auto", "mamba_n_groups": 1, **_MAMBA_STATE}
_DELTA_HEADS = {"linear_num_key_heads": 4, "linear_num_value_heads": 4, "linear_conv_kernel_dim": 4}
_DELTA_WIDTHS: dict[str, Fraction | int] = {
    "head_dim": QUARTER,
    "linear_key_head_dim": QUARTER,
    "linear_value_head_dim": QUARTER,
}
_LATENT_WIDTHS: dict[str, Fraction | int] = {
    "intermediate_size": 2,
    "kv_lora_rank": HALF,
    "qk_rope_head_dim": QUARTER,
    "qk_nope_head_dim": QUARTER,
    "v_head_dim": QUARTER,
}
_FEW_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_SHARED_EXPERT_WIDTHS: dict[str, Fraction | int] = {"moe_intermediate_size": HALF, "shared_expert_intermediate_size": 1}

TYPES: dict[str, TransformersType] = {
    "llama": TransformersType(
        kind="attention",
        description="Transformer decoder with rotary positions and gated MLPs.",
        paper="Touvron et al., 2023",
        fixed_settings=_ATTENTION,
        width_fields={"intermediate_size": 2, "head_dim": QUARTER},
    ),
    "gpt_neox": TransformersType(
        kind="attention",
        description="Transformer decoder with rotary positions; attention and MLP in parallel.",
        paper="Black et al., 2022",
        fixed_settings={"num_attention_heads": 4, "classifier_dropout": 0.0, **_POSITIONS, **_HALF_ROTARY},
        width_fields={"intermediate_size": 2},
    ),
    "gpt2": TransformersType(
        kind="attention",
        description="Transformer decoder with learnt positions, 4,096 times the width of its parameters.",
        paper="Radford et al., 2019",
        fixed_settings={
            "num_attention_heads": 4,
            **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "summary_first_dropout": 0.0},
            **_POSITIONS,
        },
        width_fields={"n_inner": 2},
        width_multiple=4,
    ),
    "mamba": TransformersType(
        kind="state space",
        description="Mamba: selective state space with a diagonal transition.",
        paper="Gu and Dao, 2023",
        fixed_settings={"state_size": 16, "expand": 2, "conv_kernel": 4, "time_step_rank": "auto"},
        state_argument="cache_params",
        state_output="cache_params",
        max_segment=1,
        width_multiple=4,
    ),
    "falcon_mamba": TransformersType(
        kind="state space",
        description="Mamba with normalised inputs of the state space.",
        paper="Zuo et al., 2024",
        fixed_settings={"state_size": 16, "expand": 2, "conv_kernel": 4, "time_step_rank": "auto"},
        state_argument="cache_params",
        state_output="cache_params",
        max_segment=1,
        width_multiple=4,
    ),
    "mamba2": TransformersType(
        kind="state space",
        description="Mamba-2: state space with one decay a head, computed in chunks.",
        paper="Dao and Gu, 2024",
        fixed_settings={
            **{"state_size": 16, "expand": 2, "conv_kernel": 4, "time_step_rank": "auto"},
            **{"num_heads": 4, "n_groups": 1, "chunk_size": 32},
        },
        width_fields={"head_dim": HALF},
        state_argument="cache_params",
        state_output="cache_params",
        width_multiple=4,
    ),
    "rwkv": TransformersType(
        kind="linear attention",
        description="RWKV-4: linear attention with one fixed decay a channel.",
        paper="Peng et al., 2023",
        # otherwise evaluation divides the weights of layer 7 and later in place, and they are saved like that
        fixed_settings={"context_length": 4096, "rescale_every": 0},
        width_fields={"attention_hidden_size": 1, "intermediate_size": 2},
        state_argument="state",
        state_output="state",
        min_layers=2,  # its initialization divides by the number of layers minus one
        min_segment=2,  # a single step mixes up the rows of a batch
        width_multiple=4,
    ),
    "xlstm": TransformersType(
        kind="gated recurrence",
        description="xLSTM of mLSTM layers: matrix memory with exponential gates.",
        paper="Beck et al., 2024",
        # with a cache, which is the default, forward fails at widths that are not multiples of 64
        fixed_settings={
            **{"num_heads": 4, "qk_dim_factor": 1.0, "use_cache": False},
            **{"ffn_proj_factor": 2.0, "ffn_round_up_to_multiple_of": 8},
        },
        state_argument="cache_params",
        state_output="cache_params",
        width_multiple=4,
    ),
    "recurrent_gemma": TransformersType(
        kind="hybrid",
        description="Griffin: gated linear recurrence (RG-LRU) and local attention.",
        paper="De et al., 2024",
        fixed_settings={**_HEADS, "conv1d_width": 4},
        width_fields={"lru_width": 1, "intermediate_size": 4},  # the MLP has half of intermediate_size
        layer_fields={"block_types": ("recurrent", "attention")},
        mixer_field="block_types",
        state_output=None,
        attn_implementation="eager",
        max_segment=1,
    ),
    "jamba": TransformersType(
        kind="hybrid",
        description="Mamba and attention; every second MLP is a mixture of experts.",
        paper="Lieber et al., 2024",
        fixed_settings={
            **_ATTENTION,
            **_MAMBA_STATE,
            **{"mamba_dt_rank": "auto", "attn_layer_period": 2, "attn_layer_offset": 1},
            **{"expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 2, "num_experts_per_tok": 1},
        },
        width_fields={"intermediate_size": 2},
        max_segment=1,
        width_multiple=4,
    ),
    "bamba": TransformersType(
        kind="hybrid",
        description="Mamba-2 and attention.",
        fixed_settings={**_ATTENTION, **_MAMBA2_STATE, "mamba_chunk_size": 32},
        width_fields={"intermediate_size": 2},
        layer_fields={"attn_layer_indices": _LINEAR_AND_FULL},
        mixer_field="attn_layer_indices",
        needs_position_ids=True,
    ),
    "granitemoehybrid": TransformersType(
        kind="hybrid",
        description="Granite 4.0: Mamba-2 and attention without positions; mixture of experts.",
        fixed_settings={
            **{**_ATTENTION, **_MAMBA2_STATE, "mamba_chunk_size": 32},
            **{"num_local_experts": 4, "num_experts_per_tok": 2},
        },
        width_fields={"intermediate_size": HALF, "shared_intermediate_size": 1},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
    ),
    "falcon_h1": TransformersType(
        kind="hybrid",
        description="Mamba-2 and attention in parallel in every layer.",
        paper="Zuo et al., 2025",
        fixed_settings={**_ATTENTION, **_MAMBA2_STATE, "mamba_chunk_size": 32},
        width_fields={"intermediate_size": 2, "mamba_d_ssm": 1},
    ),
    "nemotron_h": TransformersType(
        kind="hybrid",
        description="Mamba-2, attention and MLPs, each of them a layer.",
        paper="NVIDIA, 2025",
        fixed_settings={
            **_ATTENTION,
            **{"mamba_num_heads": 4, "ssm_state_size": 16, "n_groups": 1, "conv_kernel": 4, "chunk_size": 32},
        },
        width_fields={"intermediate_size": 2, "head_dim": QUARTER, "mamba_head_dim": HALF},
        layer_fields={"layers_block_type": ("linear_attention", "mlp", "full_attention", "mlp")},
        mixer_field="layers_block_type",
        num_hidden_layers=3,
        width_multiple=4,
    ),
    "zamba": TransformersType(
        kind="hybrid",
        description="Mamba with one attention block that several layers share.",
        paper="Glorioso et al., 2024",
        fixed_settings={**_ATTENTION, **_MAMBA_STATE, "mamba_dt_rank": "auto"},
        width_fields={"intermediate_size": 2},
        layer_fields={"layers_block_type": ("linear_attention", "hybrid", "hybrid")},
        mixer_field="layers_block_type",
        num_hidden_layers=3,
        min_layers=3,  # a single layer with the shared block is rejected
        max_segment=1,
        width_multiple=4,
    ),
    "zamba2": TransformersType(
        kind="hybrid",
        description="Mamba-2 with one attention block that several layers share.",
        paper="Glorioso et al., 2024",
        fixed_settings={
            **{**_ATTENTION, **_MAMBA_STATE, "n_mamba_heads": 4, "mamba_ngroups": 1},
            **{"chunk_size": 32, "adapter_rank": 8},
        },
        width_fields={"intermediate_size": 2},
        layer_fields={"layers_block_type": ("linear_attention", "hybrid")},
        mixer_field="layers_block_type",
        width_multiple=4,
    ),
    "qwen3_next": TransformersType(
        kind="hybrid",
        description="Gated delta rule and gated attention.",
        paper="Yang et al., 2024",
        fixed_settings={**_ATTENTION, **_HALF_ROTARY, **_DELTA_HEADS, "num_experts": 0},
        width_fields={"intermediate_size": 2, **_DELTA_WIDTHS},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
    ),
    "qwen3_5_text": TransformersType(
        kind="hybrid",
        description="Gated delta rule and gated attention, with dense MLPs.",
        paper="Yang et al., 2024",
        fixed_settings={**_ATTENTION, **_HALF_ROTARY, **_DELTA_HEADS},
        width_fields={"intermediate_size": 2, **_DELTA_WIDTHS},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
    ),
    "qwen3_5_moe_text": TransformersType(
        kind="hybrid",
        description="Gated delta rule and gated attention, with mixtures of experts.",
        paper="Yang et al., 2024",
        fixed_settings={**_ATTENTION, **_HALF_ROTARY, **_DELTA_HEADS, **_FEW_EXPERTS},
        width_fields={**_SHARED_EXPERT_WIDTHS, **_DELTA_WIDTHS},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
    ),
    "qwen4_exp_text": TransformersType(
        kind="hybrid",
        description="Gated delta rule and attention, with mixtures of experts and several residual streams.",
        fixed_settings={
            **{**_ATTENTION, **_DELTA_HEADS, **_FEW_EXPERTS, "hc_count": 2, "hc_lowrank": 8},
            **{"indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_budget": 2048, "indexer_compress_ratio": 16},
        },
        width_fields={**_SHARED_EXPERT_WIDTHS, **_DELTA_WIDTHS, "indexer_head_dim": QUARTER, "ple_embed_dim": 1},
        layer_fields={"layer_types": ("linear_attention", "indexed_attention")},
        mixer_field="layer_types",
    ),
    "olmo_hybrid": TransformersType(
        kind="hybrid",
        description="Gated delta rule with eigenvalues from -1 to 1, and attention.",
        paper="Yang et al., 2024",
        fixed_settings={**_ATTENTION, "linear_conv_kernel_dim": 4},
        width_fields={"intermediate_size": 2},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
        min_layers=2,  # one layer of each kind
    ),
    "kimi_linear": TransformersType(
        kind="hybrid",
        description="Delta rule with one decay a channel (KDA), and latent attention without positions.",
        paper="Kimi Team, 2025",
        fixed_settings={**_ATTENTION, "linear_num_heads": 4, "linear_conv_kernel_dim": 4},
        width_fields={**_LATENT_WIDTHS, "linear_head_dim": QUARTER},
        layer_fields={"layer_types": _LINEAR_AND_FULL, "mlp_layer_types": ("dense",)},
        mixer_field="layer_types",
        width_multiple=4,
    ),
    "bailing_hybrid": TransformersType(
        kind="hybrid",
        description="Delta rule with one decay a channel (KDA), and latent attention.",
        fixed_settings={**_ATTENTION, "short_conv_kernel_size": 4},
        width_fields={**_LATENT_WIDTHS, "head_dim": QUARTER},
        layer_fields={"layer_types": _LINEAR_AND_FULL, "mlp_layer_types": ("dense",)},
        mixer_field="layer_types",
    ),
    "glm5_next_text": TransformersType(
        kind="hybrid",
        description="Delta rule with one decay a channel (KDA), and sparse latent attention; several residual streams.",
        fixed_settings={
            **{**_ATTENTION, "linear_num_heads": 4, "linear_conv_kernel_dim": 4},
            **{"index_n_heads": 4, "index_topk": 2048, "hc_mult": 2},
        },
        width_fields={
            **_LATENT_WIDTHS,
            "q_lora_rank": HALF,
            "qk_rope_head_dim": 0,
            "linear_head_dim": QUARTER,
            "index_head_dim": QUARTER,
        },
        layer_fields={
            "layer_types": ("linear_attention", "indexed_attention"),
            "mlp_layer_types": ("dense",),
            "indexer_types": ("full",),
        },
        mixer_field="layer_types",
        width_multiple=4,
    ),
    "minimax": TransformersType(
        kind="hybrid",
        description="Lightning attention (one fixed decay a head) and attention; mixture of experts.",
        paper="MiniMax, 2025",
        fixed_settings={**_ATTENTION, "num_local_experts": 4, "num_experts_per_tok": 2},
        width_fields={"intermediate_size": 1, "head_dim": QUARTER},
        layer_fields={"layer_types": _LINEAR_AND_FULL},
        mixer_field="layer_types",
        max_segment=1,
        needs_position_ids=True,
    ),
    "lfm2": TransformersType(
        kind="hybrid",
        description="Gated short convolutions and attention.",
        fixed_settings={**_ATTENTION, "conv_L_cache": 3, "block_auto_adjust_ff_dim": False},
        width_fields={"intermediate_size": 2},
        layer_fields={"layer_types": ("conv", "full_attention")},
        mixer_field="layer_types",
    ),
    "lfm2_moe": TransformersType(
        kind="hybrid",
        description="Gated short convolutions and attention; mixture of experts after the first layer.",
        fixed_settings={**_ATTENTION, **_FEW_EXPERTS, "conv_L_cache": 3, "num_dense_layers": 1},
        width_fields={"intermediate_size": 2, "moe_intermediate_size": 1},
        layer_fields={"layer_types": ("conv", "full_attention")},
        mixer_field="layer_types",
    ),
    "lfm3": TransformersType(
        kind="hybrid",
        description="Gated short convolutions, attention and local attention.",
        fixed_settings={**_ATTENTION, "conv_L_cache": 7},
        width_fields={"intermediate_size": 2, "head_dim": QUARTER},
        layer_fields={"layer_types": ("conv", "full_attention", "conv", "sliding_attention")},
        mixer_field="layer_types",
    ),
    "zaya": TransformersType(
        kind="hybrid",
        description="Attention on convolved queries and keys; mixture of experts.",
        fixed_settings={
            **_POSITIONS,
            **{"num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 4, "num_experts_per_tok": 1},
            "router_hidden_size": 16,
        },
        width_fields={"head_dim": QUARTER, "moe_intermediate_size": 1},
    ),
    "inkling_text": TransformersType(
        kind="hybrid",
        description="Attention with learnt relative positions and short convolutions.",
        fixed_settings={
            **{**_ATTENTION, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4},
            **{"d_rel": 8, "rel_extent": 64, "conv_kernel_size": 4},
        },
        width_fields={"intermediate_size": 2, "head_dim": QUARTER, "swa_head_dim": QUARTER},
        layer_fields={"layer_types": ("hybrid_sliding", "hybrid"), "mlp_layer_types": ("dense",)},
        mixer_field="layer_types",
        width_multiple=4,
    ),
    "inkling2_text": TransformersType(
        kind="hybrid",
        description="Attention with learnt relative positions and short convolutions; mixture of experts.",
        fixed_settings={
            **{**_ATTENTION, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4},
            **{"d_rel": 8, "rel_extent": 64, "conv_kernel_size": 4},
            **{"n_routed_experts": 4, "num_experts_per_tok": 2},
        },
        width_fields={"moe_intermediate_size": 1, "head_dim": QUARTER, "swa_head_dim": QUARTER},
        layer_fields={"layer_types": ("hybrid_sliding", "hybrid")},
        mixer_field="layer_types",
        width_multiple=4,
    ),
    "hrm_text": TransformersType(
        kind="attention",
        description="Two Transformer stacks that are applied in turn, recurrent in depth instead of time.",
        paper="Wang et al., 2025",
        fixed_settings={"num_attention_heads": 4, **_POSITIONS},
        width_fields={"intermediate_size": 2, "head_dim": QUARTER},
        num_hidden_layers=1,  # in each of the two stacks
    ),
}


def settings_for(
    name: str,
    *,
    hidden_size: int | None = None,
    num_hidden_layers: int | None = None,
    layer_types: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return consistent small settings of a model type, as keyword arguments of its config.

    Args:
        name: Model type of transformers, a key of `TYPES`.
        hidden_size: Width, a multiple of `width_multiple(name)`; 64 by default.
        num_hidden_layers: Number of layers; by default the length of `layer_types`, or 2 (1 or 3 for a few types).
            `nemotron_h` counts MLPs as layers, and `hrm_text` has this number of layers in each of two stacks.
        layer_types: Mixer of each layer instead of the alternating ones, in the spelling of the type; repeated to
            `num_hidden_layers`.

    Raises:
        UnknownNameError: `name` is not in the table.
        InvalidConfigError: A value is not allowed for this type.

    >>> settings_for("qwen3_next", num_hidden_layers=2, layer_types=["linear_attention"])["layer_types"]
    ['linear_attention', 'linear_attention']
    >>> settings_for("lfm2", hidden_size=20)
    Traceback (most recent call last):
    seqhub.errors.InvalidConfigError: hidden_size=20: must be a positive multiple of 8 (transformers:lfm2)
    """
    entry, where = _entry(name), f"transformers:{name}"
    width = 64 if hidden_size is None else hidden_size
    if width < 1 or width % entry.width_multiple:
        raise InvalidConfigError.of("hidden_size", width, f"a positive multiple of {entry.width_multiple}", where)
    if layer_types is not None:
        if not entry.mixer_field:
            raise InvalidConfigError.of("layer_types", list(layer_types), "omitted for this type", where)
        allowed = list(dict.fromkeys(entry.layer_fields[entry.mixer_field]))
        if isinstance(layer_types, str) or not layer_types or set(layer_types) - set(allowed):
            given = layer_types if isinstance(layer_types, str) else list(layer_types)
            raise InvalidConfigError.of("layer_types", given, f"a list of {' or '.join(allowed)}", where)
    default_layers = entry.num_hidden_layers if layer_types is None else len(layer_types)
    layers = default_layers if num_hidden_layers is None else num_hidden_layers
    if layers < entry.min_layers:
        raise InvalidConfigError.of("num_hidden_layers", layers, f"at least {entry.min_layers}", where)
    if layer_types is not None and len(layer_types) > layers:
        rule = f"at least {len(layer_types)}, the length of layer_types"
        raise InvalidConfigError.of("num_hidden_layers", layers, rule, where)
    return entry._settings(width, layers, layer_types)


def width_multiple(name: str) -> int:
    """Return the step of `hidden_size` for a model type: its multiples are allowed.

    >>> width_multiple("mamba"), width_multiple("llama")
    (4, 8)
    """
    return _entry(name).width_multiple


def _entry(name: str) -> TransformersType:
    if name not in TYPES:
        raise UnknownNameError.of("small settings for the transformers type", name, TYPES)
    return TYPES[name]
