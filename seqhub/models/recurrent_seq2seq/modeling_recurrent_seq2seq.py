"""Recurrent encoder-decoders with attention: a sequence of ids or values in, a sequence of ids out.

This file and the others of this folder are saved with the weights, so they import only torch, transformers,
huggingface_hub and each other. `modeling_recurrent.py` and the files that it imports are copies of those of the family
`recurrent`: encoder and decoder are models of that family.

Shapes: B sequences, T steps of the source, S steps of the target, H = `hidden_size`, E = `encoder_size`, V =
`decoder_vocab_size`.

The decoder is that of Luong, Pham & Manning (2015), "Effective Approaches to Attention-based Neural Machine
Translation": the recurrence reads the previous id, its state h_t is compared with every output of the encoder, and the
attentional vector tanh(W [c_t; h_t]) of state and context c_t is the input of the readout and, with input feeding, of
the next step. The first state is a function of the last state of the encoder, as in Bahdanau, Cho & Bengio (2015),
"Neural Machine Translation by Jointly Learning to Align and Translate". Without attention, the readout reads h_t.

Padding: a step of the source or of the target with mask 0 is ignored at any position; it has no attention, and does not
change the state of the decoder.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_recurrent_seq2seq import RecurrentSeq2SeqConfig
from .modeling_base import RecurrentModelOutput, RecurrentState, step_loss
from .modeling_recurrent import RecurrentModel

_SCORES_AT_ONCE = 1 << 22  # numbers of the hidden layer of the additive attention, 16 MiB in single precision


@dataclass
class DecoderState:
    """State of the decoder after its last step, passed as `past_key_values`. A forward pass returns a new one.

    Args:
        recurrence: State of the recurrence.
        keys: (B, T, H), outputs of the encoder projected for the scores; with attention.
        attentional: (B, H), attentional vector of the last step; with input feeding.
    """

    recurrence: RecurrentState
    keys: Tensor | None = None
    attentional: Tensor | None = None

    is_compileable: ClassVar[bool] = False  # `generate` reads these two
    is_croppable: ClassVar[bool] = False

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of steps so far, the same for all layers; called by `generate`."""
        return self.recurrence.steps

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Select the rows `beam_idx`, (B,), in place; called by beam search, whose rows keep their source."""
        self.recurrence.reorder_cache(beam_idx)
        if self.attentional is not None:
            self.attentional = self.attentional.index_select(0, beam_idx)


# Passed to every model by PEFT, pipelines and tokenizers; not used here
_IGNORED = frozenset(
    (
        "cache_position", "cross_attn_head_mask", "decoder_head_mask", "decoder_position_ids", "head_mask", "is_causal",
        "output_router_logits", "position_ids", "special_tokens_mask",
    )
)  # fmt: skip


def check_extra_arguments(model: nn.Module, extra: dict[str, Any]) -> None:
    """Check arguments of transformers that a model does not use.

    Raises:
        TypeError: The argument does not exist.
    """
    for name in extra:
        if name not in _IGNORED:
            raise TypeError(f"{type(model).__name__}.forward() got an unexpected keyword argument {name!r}")


class Attention(nn.Module):
    """Attention of the decoder to the outputs of the encoder, with the attentional vector of Luong et al. (2015)."""

    def __init__(self, config: RecurrentSeq2SeqConfig) -> None:
        super().__init__()
        size, width = config.hidden_size, config.encoder_size
        self.is_additive = config.attention == "additive"
        self.key = nn.Linear(width, size, bias=self.is_additive)
        if self.is_additive:
            self.query = nn.Linear(size, size, bias=False)
            self.score = nn.Linear(size, 1, bias=False)
        self.output = nn.Linear(width + size, size)

    def forward(self, states: Tensor, keys: Tensor, memory: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend to the source.

        Args:
            states: (B, S, H), states of the decoder.
            keys: (B, T, H), result of `key` for the outputs of the encoder.
            memory: (B, T, E), outputs of the encoder.
            mask: (B, T), nonzero at real steps of the source; None if all are real.

        Returns:
            Attentional vectors, (B, S, H), and weights of the source steps, (B, S, T), whose sums are 1.
        """
        scores = self._additive_scores(states, keys) if self.is_additive else states @ keys.transpose(1, 2)
        if mask is not None:
            scores = scores.masked_fill((mask == 0).unsqueeze(1), torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        return torch.tanh(self.output(torch.cat((weights @ memory, states), dim=-1))), weights

    def _additive_scores(self, states: Tensor, keys: Tensor) -> Tensor:
        """Return the scores (B, S, T), for few target steps at once because of their memory."""
        query, keys = self.query(states).unsqueeze(2), keys.unsqueeze(1)
        if torch.compiler.is_compiling():  # the number of parts would depend on the sizes
            scores: Tensor = self.score(torch.tanh(query + keys)).squeeze(-1)
            return scores
        count = max(1, _SCORES_AT_ONCE // max(1, keys.numel()))
        parts = [self.score(torch.tanh(part + keys)).squeeze(-1) for part in query.split(count, dim=1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class RecurrentSeq2SeqPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = RecurrentSeq2SeqConfig
    config: RecurrentSeq2SeqConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = False
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012 (typed by its base)
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, nn.Embedding):
            # as wide as a readout that has the same weights
            init.normal_(module.weight, std=1 / math.sqrt(module.embedding_dim))
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.RNNBase):  # of subclasses
            for parameter in module.parameters():
                init.uniform_(parameter, -1 / math.sqrt(module.hidden_size), 1 / math.sqrt(module.hidden_size))
        elif isinstance(module, TrainingBatches):
            init.zeros_(module.count)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # of subclasses

    def resize_token_embeddings(self, *_: Any, **__: Any) -> nn.Embedding:
        """Raise ValueError, because the readout depends on `decoder_vocab_size`."""
        size = self.config.decoder_vocab_size
        raise ValueError(f"decoder_vocab_size={size} cannot be changed: build a model with another one")


class RecurrentSeq2SeqModel(RecurrentSeq2SeqPreTrainedModel):
    """Encoder and decoder without the readout of the decoder."""

    _auto_class = "AutoModel"

    def __init__(self, config: RecurrentSeq2SeqConfig) -> None:
        super().__init__(config)
        self.encoder = RecurrentModel(config.for_encoder())
        self.main_input_name = self.encoder.main_input_name
        parts = 2 if config.decoder_cell == "lstm" else 1  # hidden states, and cell states
        self.bridge = nn.Linear(config.encoder_size, parts * config.num_decoder_layers * config.hidden_size)
        self.embed_tokens = nn.Embedding(config.decoder_vocab_size, config.hidden_size)
        self.decoder = RecurrentModel(config.for_decoder())
        self.attention = None if config.attention == "none" else Attention(config)
        self.input_feeding = config.input_feeding
        self.num_decoder_layers = config.num_decoder_layers
        self.start_token_id = config.decoder_start_token_id
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of source ids if there is one, as for `inputs_embeds`, else that of target ids."""
        return self.encoder.embed_tokens if self.config.inputs == "embedding" else self.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the module that `get_input_embeddings` returns."""
        if self.config.inputs == "embedding":
            self.encoder.embed_tokens = value  # type: ignore[assignment]
        else:
            self.embed_tokens = value  # type: ignore[assignment]

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: DecoderState | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        token_type_ids: Tensor | None = None,
        **extra: Any,
    ) -> Seq2SeqModelOutput:
        """Encode the source, and decode the target from its previous ids.

        Args:
            input_ids: (B, T), ids of the source in [0, vocab_size).
            attention_mask: (B, T), 0 at padded steps of the source. If None, steps with `pad_token_id` in `input_ids`
                are padded, and with other inputs none.
            input_values: (B, T, num_features), for a model with `inputs="values"`.
            inputs_embeds: (B, T, F), one-hot or embedded vectors of the source, in place of `input_ids`.
            decoder_input_ids: (B, S), the id that the decoder reads at each step, in [0, decoder_vocab_size): first
                `decoder_start_token_id`, then the target. If None, the start only.
            decoder_attention_mask: (B, S), 0 at padded steps of the target; with `past_key_values` it may also cover
                all steps so far. If None, no step is padded.
            decoder_inputs_embeds: (B, S, H), in place of `decoder_input_ids`.
            encoder_outputs: Outputs of `encoder`, in place of the source.
            past_key_values: State returned by a previous call for the steps before `decoder_input_ids`.
            use_cache: Whether to return the state at the end.
            output_attentions: Whether to return the attention weights as `cross_attentions`, a tuple of one tensor
                (B, 1, S, T), which has the shape of one layer with one head.
            output_hidden_states: Whether to return the states of every layer.
            token_type_ids: Ignored. It is a named argument for `generate`, because tokenizers of BERT return it.
            **extra: Other arguments of transformers, such as `position_ids`; ignored.

        Raises:
            ValueError: If not exactly one input of the encoder is given, or two of the decoder, or a shape is wrong.
        """
        check_extra_arguments(self, extra)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        memory, mask = self.encode(
            input_ids, attention_mask, input_values, inputs_embeds, encoder_outputs, bool(output_hidden_states)
        )
        if decoder_inputs_embeds is None:
            if decoder_input_ids is None:
                source: Tensor = memory.last_hidden_state  # type: ignore[assignment]
                decoder_input_ids = source.new_full((len(source), 1), self.start_token_id, dtype=torch.long)
            decoder_inputs_embeds = self.embed_tokens(decoder_input_ids)
        elif decoder_input_ids is not None:
            raise ValueError("decoder_input_ids and decoder_inputs_embeds: give only one of them")
        vectors, weights, state, hidden_states = self.decode(
            decoder_inputs_embeds, memory, mask, decoder_attention_mask, past_key_values, bool(use_cache),
            bool(output_hidden_states),
        )  # fmt: skip
        return Seq2SeqModelOutput(
            last_hidden_state=vectors,
            past_key_values=state,  # type: ignore[arg-type]
            decoder_hidden_states=hidden_states,
            cross_attentions=(weights.unsqueeze(1),) if output_attentions and weights is not None else None,
            encoder_last_hidden_state=memory.last_hidden_state,
            encoder_hidden_states=memory.hidden_states,
        )

    def encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_outputs: Any = None,
        output_hidden_states: bool = False,
    ) -> tuple[RecurrentModelOutput, Tensor | None]:
        """Return the outputs of the encoder and the mask of the source, with arguments as in `forward`."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids, attention_mask, input_values, inputs_embeds, output_hidden_states, return_dict=True
            )
        elif isinstance(encoder_outputs, tuple):
            encoder_outputs = RecurrentModelOutput(*encoder_outputs)
        return encoder_outputs, self.encoder.resolve_mask(input_ids, attention_mask)

    def start(self, memory: RecurrentModelOutput) -> DecoderState:
        """Return the state of the decoder before its first step."""
        pooled: Tensor = memory.pooler_output  # type: ignore[assignment]
        parts = self.bridge(pooled).unflatten(-1, (-1, self.num_decoder_layers, self.decoder.config.hidden_size))
        hidden, *cell = parts.permute(1, 2, 0, 3).contiguous().unbind(0)
        keys = None if self.attention is None else self.attention.key(memory.last_hidden_state)
        attentional = torch.zeros_like(hidden[-1]) if self.input_feeding else None
        return DecoderState(RecurrentState(hidden.tanh(), cell[0] if cell else None), keys, attentional)

    def decode(
        self,
        embeds: Tensor,
        memory: RecurrentModelOutput,
        mask: Tensor | None,
        decoder_mask: Tensor | None = None,
        state: DecoderState | None = None,
        use_cache: bool = False,
        output_hidden_states: bool = False,
    ) -> tuple[Tensor, Tensor | None, DecoderState | None, tuple[Tensor, ...] | None]:
        """Run the decoder on embedded ids, (B, S, H).

        Returns:
            Vectors for the readout, (B, S, H); attention weights, (B, S, T), or None without attention; the state at
            the end with `use_cache`; and the hidden states, as in `RecurrentModelOutput`, if they are requested.
        """
        if state is None:
            state = self.start(memory)
        if not self.input_feeding:
            return self._decode_steps(embeds, memory, mask, decoder_mask, state, use_cache, output_hidden_states)
        steps = embeds.size(1)
        if decoder_mask is not None:
            decoder_mask = decoder_mask[:, -steps:]
        parts = []
        for step in range(steps):
            part = decoder_mask if decoder_mask is None else decoder_mask[:, step : step + 1]
            given = embeds[:, step : step + 1]
            parts.append(self._decode_steps(given, memory, mask, part, state, True, output_hidden_states))
            state = parts[-1][2]
            assert state is not None
        vectors, weights, _, hidden_states = zip(*parts, strict=True)
        layers = (
            tuple(torch.cat(each, dim=1) for each in zip(*hidden_states, strict=True)) if hidden_states[0] else None
        )
        return torch.cat(vectors, dim=1), torch.cat(weights, dim=1), state if use_cache else None, layers

    def _decode_steps(
        self,
        embeds: Tensor,
        memory: RecurrentModelOutput,
        mask: Tensor | None,
        decoder_mask: Tensor | None,
        state: DecoderState,
        use_cache: bool,
        output_hidden_states: bool,
    ) -> tuple[Tensor, Tensor | None, DecoderState | None, tuple[Tensor, ...] | None]:
        """Run the decoder without feeding attentional vectors of these steps; with input feeding, a single step."""
        given = embeds if state.attentional is None else torch.cat((embeds, state.attentional.unsqueeze(1)), dim=-1)
        output = self.decoder(
            input_values=given,
            attention_mask=decoder_mask,
            past_key_values=state.recurrence,
            use_cache=use_cache or decoder_mask is not None,  # rows without a real step are then allowed
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        vectors, weights = output.last_hidden_state, None
        if self.attention is not None:
            vectors, weights = self.attention(vectors, state.keys, memory.last_hidden_state, mask)
        attentional = None
        if state.attentional is not None:
            attentional = vectors[:, -1]
            if decoder_mask is not None:
                attentional = torch.where(decoder_mask[:, -1:] != 0, attentional, state.attentional)
        after = DecoderState(output.past_key_values, state.keys, attentional) if use_cache else None
        return vectors, weights, after, output.hidden_states


class TrainingBatches(nn.Module):
    """Number of training batches so far, which determines the probability of teacher forcing. Saved with the weights.

    Attributes:
        count: Scalar, int64.
    """

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


class RecurrentSeq2SeqForConditionalGeneration(RecurrentSeq2SeqPreTrainedModel, GenerationMixin):
    """Encoder, decoder and a linear readout of every step that predicts the next id of the target.

    Padding is never predicted: its logit is the lowest finite number. `generate` encodes the source once and continues
    from the state of the decoder, with one step for each new id.
    """

    _auto_class = "AutoModelForSeq2SeqLM"
    _is_stateful = True  # cannot return to a previous step, as assisted generation requires
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (typed by its base)

    def __init__(self, config: RecurrentSeq2SeqConfig) -> None:
        super().__init__(config)
        self.model = RecurrentSeq2SeqModel(config)
        self.main_input_name = self.model.main_input_name
        self.lm_head = nn.Linear(config.hidden_size, config.decoder_vocab_size)
        self.batches = None if config.teacher_forcing == "always" else TrainingBatches()
        self.dropout = config.dropout
        self.post_init()  # type: ignore[no-untyped-call]
        if config.max_target_length is not None:
            self.generation_config.max_new_tokens = config.max_target_length

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the model creates a `DecoderState`

    def _prepare_generation_config(self, generation_config: Any, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_generation_config(generation_config, *args, **kwargs)  # type: ignore[misc]
        most = self.config.decoder_vocab_size - 1  # padding is never generated
        if prepared[0].num_beams > most:
            raise ValueError(f"num_beams={prepared[0].num_beams}: must be at most {most}, the ids of the target")
        return prepared

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the ids that the decoder reads to predict labels (B, S): the start, then all labels except the last.

        Padding of the labels, -100, becomes `pad_token_id`.
        """
        start = labels.new_full((len(labels), 1), self.config.decoder_start_token_id)
        previous = torch.cat((start, labels[:, :-1]), dim=1)
        return previous.masked_fill(previous == -100, self.config.pad_token_id)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        past_key_values: DecoderState | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        token_type_ids: Tensor | None = None,
        **extra: Any,
    ) -> Seq2SeqLMOutput:
        """Score the id of the target at each step.

        With a schedule of teacher forcing, in training mode and with labels, the decoder reads ids that are sampled
        from its own output in place of some of `decoder_input_ids`, and the number of training batches advances.

        Args:
            input_ids: As in `RecurrentSeq2SeqModel.forward`, and so are the other arguments.
            attention_mask: (B, T).
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, F).
            decoder_input_ids: (B, S); if None, made from `labels` if they are given.
            decoder_attention_mask: (B, S).
            decoder_inputs_embeds: (B, S, H).
            encoder_outputs: Outputs of the encoder.
            labels: (B, S), the target and its end; -100 and `pad_token_id` are ignored. The loss is in nats per id.
            num_items_in_batch: Divisor of the summed loss: the number of labels in all batches of one optimizer step,
                as Trainer counts them. By default the number of labels in this batch.
            past_key_values: State after the previous steps.
            use_cache: Whether to return the state at the end.
            output_attentions: Whether to return the attention weights.
            output_hidden_states: Whether to return the states of every layer.
            token_type_ids: Ignored.
            **extra: Other arguments of transformers, such as `position_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if self.training and self.batches is not None and labels is not None and decoder_input_ids is not None:
            memory, mask = self.model.encode(input_ids, attention_mask, input_values, inputs_embeds, encoder_outputs)
            logits = self._sampled_logits(decoder_input_ids, memory, mask, decoder_attention_mask, past_key_values)
            output = Seq2SeqModelOutput(encoder_last_hidden_state=memory.last_hidden_state)
        else:
            output = self.model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                input_values=input_values,
                inputs_embeds=inputs_embeds,
                decoder_input_ids=decoder_input_ids,
                decoder_attention_mask=decoder_attention_mask,
                decoder_inputs_embeds=decoder_inputs_embeds,
                encoder_outputs=encoder_outputs,
                past_key_values=past_key_values,
                use_cache=use_cache,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
                return_dict=True,
            )
            logits = self._read_out(output.last_hidden_state)
        return Seq2SeqLMOutput(
            loss=None if labels is None else self._loss(logits, labels, decoder_attention_mask, num_items_in_batch),
            logits=logits,
            past_key_values=output.past_key_values,
            decoder_hidden_states=output.decoder_hidden_states,
            cross_attentions=output.cross_attentions,
            encoder_last_hidden_state=output.encoder_last_hidden_state,
            encoder_hidden_states=output.encoder_hidden_states,
        )

    def _read_out(self, vectors: Tensor) -> Tensor:
        """Return the logits (B, S, V) of vectors (B, S, H)."""
        logits: Tensor = self.lm_head(F.dropout(vectors, self.dropout, self.training))
        padding = torch.arange(logits.size(-1), device=logits.device) == self.config.pad_token_id
        return logits.masked_fill(padding, torch.finfo(logits.dtype).min)

    def _loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None, count: Tensor | int | None) -> Tensor:
        if labels.shape != logits.shape[:2]:
            raise ValueError(f"labels must be (batch, steps), {tuple(logits.shape[:2])}, got {tuple(labels.shape)}")
        targets = labels.long().masked_fill(labels == self.config.pad_token_id, -100)
        if mask is not None:
            targets = targets.masked_fill(mask == 0, -100)
        return step_loss(logits, targets, count, logistic=False)

    def _sampled_logits(
        self,
        ids: Tensor,
        memory: RecurrentModelOutput,
        mask: Tensor | None,
        decoder_mask: Tensor | None,
        state: DecoderState | None,
    ) -> Tensor:
        """Return the logits (B, S, V) of a decoder that reads some of its own samples in place of ids (B, S)."""
        assert self.batches is not None
        probability = self.config.teacher_probability(int(self.batches.count))
        self.batches.count += 1
        parts: list[Tensor] = []
        for step, given in enumerate(ids.unbind(1)):
            if parts:
                sampled = torch.multinomial(parts[-1][:, -1].detach().float().softmax(-1), 1).squeeze(1)
                forced = torch.rand(given.shape, device=given.device) < probability
                given = torch.where(forced, given, sampled)
            part = None if decoder_mask is None else decoder_mask[:, step : step + 1]
            embeds = self.model.embed_tokens(given.unsqueeze(1))
            vectors, _, state, _ = self.model.decode(embeds, memory, mask, part, state, use_cache=True)
            parts.append(self._read_out(vectors))
        return torch.cat(parts, dim=1)
