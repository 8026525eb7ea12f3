"""Traced and exported programs give correct results for batches that differ from the example."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from seqhub.models import convolutional, recurrent
from tests.helpers import model_cases, model_families
from tests.helpers.model_cases import padded, ragged, trained

MODELS = Path(recurrent.__file__).parent.parent
WITH_RECURRENCE = ("hs97", "recurrent", "conv_recurrent", "sequence_autoencoder")
HEADS = ("sequence", "token")
LATER = {0: Dim("batch"), 1: Dim("time")}
Batch = tuple[Tensor, Tensor]


class Wrapped(nn.Module):
    """A model as a function from inputs and mask to a tuple of tensors."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__()
        self.model, self.options = model, options

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        given = {self.model.main_input_name: inputs, "attention_mask": attention_mask}
        output = self.model(**given, **self.options)
        first = output.logits if "logits" in output else output.pooler_output
        return (first, *output.get("hidden_states", ()), *output.get("cell_states", ()))


class Segment(nn.Module):
    """A model with a state, as a function from tensors to tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, attention_mask: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        from seqhub.models.recurrent.modeling_recurrent import RecurrentState

        output = self.model(
            input_ids=ids, attention_mask=attention_mask, past_key_values=RecurrentState(hidden, cell), use_cache=True
        )
        state = output.past_key_values
        return output.logits, state.hidden, state.cell


def trace(module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # from nn.RNNBase, which compares sizes
        warnings.filterwarnings("error", category=torch.jit.TracerWarning, module=r"seqhub\.")
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing`", FutureWarning
        )  # every attribute of a module is read
        return torch.jit.trace(module, example, check_trace=False)


def export(
    module: nn.Module, example: tuple[Tensor, ...], shapes: Any = (LATER, LATER), *, strict: bool = False
) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export warns about its own code
        return torch.export.export(module, example, dynamic_shapes=shapes, strict=strict).module()


def texts(unpadded: bool) -> Batch:
    """Return the example for tracing or export."""
    full = torch.randint(1, 9, (2, 5), generator=torch.Generator().manual_seed(3))
    return (full, torch.ones_like(full)) if unpadded else padded(ragged(5, rows=3), "left", 14)


def other_texts() -> list[Batch]:
    """Return batches of other shapes, padded on all sides and within rows."""
    rows = ragged(6)
    ids, mask = padded(rows, "mixed", 24)
    spread = torch.randperm(24, generator=torch.Generator().manual_seed(4))
    return [
        padded(rows, "right"),
        padded(rows, "left", 15),
        (ids[:, spread], mask[:, spread]),
        padded(rows[:1], "right"),
    ]


def check(program: Any, module: nn.Module, batches: list[Batch]) -> None:
    """Check that program and module have equal outputs; for steps, at real ones only."""
    for batch in batches:
        with torch.no_grad():
            for found, expected in zip(program(*batch), module(*batch), strict=True):
                assert found.shape == expected.shape
                steps = expected.shape[:2] == batch[1].shape
                real = batch[1].bool() if steps else slice(None)
                torch.testing.assert_close(found[real], expected[real], atol=2e-5, rtol=0)


@pytest.mark.fast_cases("*-plain-*", "lstm-deep-bidirectional-*")
@pytest.mark.parametrize("unpadded", [True, False], ids=["unpadded", "padded"])
@pytest.mark.parametrize(("preset", "variant"), model_cases.CASES)
def test_traced_models_with_ids_are_correct_for_any_batch(preset: str, variant: str, unpadded: bool) -> None:
    for head in HEADS if "bidirectional" in variant or variant == "mean" else (*HEADS, "causal"):
        module = Wrapped(trained(preset, variant, head))
        check(trace(module, texts(unpadded)), module, other_texts())


@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_traced_hidden_states_are_correct_for_any_batch(preset: str) -> None:
    module = Wrapped(trained(preset, "deep"), output_hidden_states=True)
    check(trace(module, texts(True)), module, other_texts())


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "lstm_hs97"])
def test_a_large_vocabulary_is_looked_up_in_traced_and_exported_programs(cell: str) -> None:
    """One-hot vectors are not created."""
    module = Wrapped(model_cases.build(cell, vocab_size=3000))
    ids, mask = texts(True)
    for program in (trace(module, (ids, mask)), export(module, (ids, mask))):
        check(program, module, [(300 * ids, mask) for ids, mask in other_texts()])
        assert "embedding" in str(getattr(program, "inlined_graph", None) or program.graph)


def values_for(case: model_families.Case) -> list[Batch]:
    """Return batches of values; the first is not padded, and the third has NaN in the padding."""
    rows, longest = model_families.rows_for(case, 1), case.shape.steps[1]
    full = [torch.randn(longest, *case.shape.step) for _ in range(2)]
    values, mask = model_families.padded(rows, "mixed", 2 * longest)
    spread = torch.randperm(2 * longest, generator=torch.Generator().manual_seed(4))
    return [
        model_families.padded(full, "right", longest),
        model_families.padded(rows, "left", longest + 2),
        model_families.padded(rows, "mixed", longest + 3, float("nan")),
        (values[:, spread], mask[:, spread]),
        model_families.padded(rows[:1], "right", len(rows[0])),
    ]


@pytest.mark.fast_cases("cnn_lstm-*", "lstm_autoencoder*", "cnn-*", "locally*")
@pytest.mark.parametrize("case", model_families.WITHOUT_DECODER)
def test_traced_models_with_values_are_correct_for_any_batch(case: model_families.Case) -> None:
    module, batches = Wrapped(model_families.trained(case)), values_for(case)
    for example in batches[:2]:
        check(trace(module, example), module, batches)


EXPORTED = [("lstm", "deep-bidirectional"), ("gru", "max"), ("rnn_relu", "plain"), ("lstm_hs97", "deep")]


@pytest.mark.parametrize(("preset", "variant"), EXPORTED)
def test_exported_models_with_ids_are_correct_for_any_batch(preset: str, variant: str) -> None:
    module = Wrapped(trained(preset, variant, "token"))
    check(export(module, texts(True)), module, other_texts())


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True], ids=["non-strict", "strict"])
@pytest.mark.parametrize(("preset", "variant"), model_cases.CASES)
def test_all_exported_models_with_ids_are_correct_for_any_batch(preset: str, variant: str, strict: bool) -> None:
    for head, unpadded in zip(HEADS, (True, False), strict=True):
        module = Wrapped(trained(preset, variant, head))
        check(export(module, texts(unpadded), strict=strict), module, other_texts())


@pytest.mark.slow
@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_exported_hidden_states_are_correct_for_any_batch(preset: str) -> None:
    module = Wrapped(trained(preset, "deep"), output_hidden_states=True)
    check(export(module, texts(True)), module, other_texts())


FAST_CASES = {"cnn-max-sequence", "cnn-flatten-sequence", "locally_connected-overlapping-sequence"} | {
    "cnn_lstm-deep-token",
    "lstm_autoencoder-image-base",
}


EXPORTED_CASES = [
    pytest.param(*each.values, id=each.id, marks=[] if each.id in FAST_CASES else pytest.mark.slow)
    for each in model_families.WITHOUT_DECODER
]


@pytest.mark.parametrize("case", EXPORTED_CASES)
def test_exported_models_with_values_are_correct_for_any_batch(case: model_families.Case) -> None:
    module, batches = Wrapped(model_families.trained(case)), values_for(case)
    check(export(module, batches[0]), module, batches)


@pytest.mark.slow
@pytest.mark.parametrize("case", model_families.WITHOUT_DECODER)
def test_strictly_exported_models_with_values_are_correct_for_any_batch(case: model_families.Case) -> None:
    module, batches = Wrapped(model_families.trained(case)), values_for(case)
    check(export(module, batches[1], strict=True), module, batches)


@pytest.mark.slow
@pytest.mark.parametrize("preset", model_cases.WITH_CELLS)
def test_a_program_with_a_state_continues_the_rows(preset: str) -> None:
    """Includes rows without a real step in a segment."""
    module = Segment(trained(preset, "deep", "token"))
    ids, mask = padded(ragged(7, rows=4), "right", 12)
    with torch.no_grad():
        start = module.model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    state = start.hidden, start.cell
    shapes = (LATER, LATER, {1: LATER[0]}, {1: LATER[0]})
    program = export(module, (ids[:, :6].clone(), mask[:, :6].clone(), *state), shapes)  # views would fix their strides
    for segment in (slice(0, 12), slice(9, 12)):
        with torch.no_grad():
            found, expected = (each(ids[:, segment], mask[:, segment], *state) for each in (program, module))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.slow
def test_an_exported_program_has_the_same_gradients() -> None:
    """Includes the truncated gradients of memory cell blocks."""
    for preset in ("gru", "lstm_hs97"):
        module = Wrapped(model_cases.build(preset, inputs="embedding", embedding_size=3))
        program = export(module, texts(True))
        (batch, *_) = other_texts()
        gradients = []
        for each in (module, program):
            each.zero_grad()
            each(*batch)[0].square().sum().backward()
            gradients.append([parameter.grad for parameter in each.parameters()])
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_the_loss_of_an_exported_program_is_over_real_steps_only() -> None:
    for case in model_families.WITHOUT_DECODER:
        if case.id == "lstm_autoencoder-image-base":
            module, batches = model_families.build(*case.values), values_for(*case.values)

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, values: Tensor, mask: Tensor) -> Tensor:
            return self.model(input_values=values, attention_mask=mask, labels=values).loss

    program = export(Loss(), batches[0])
    for batch in (batches[1], batches[3]):
        torch.testing.assert_close(program(*batch), Loss()(*batch))


def test_batch_normalisation_cannot_be_traced_in_training_mode() -> None:
    case = next(case for case in model_families.WITHOUT_DECODER if case.id == "cnn_lstm-plain-token")
    module = Wrapped(model_families.build(*case.values)).train()
    with pytest.raises(ValueError, match=r"call eval\(\) before tracing or exporting"):
        trace(module, values_for(*case.values)[0])


def test_copies_of_shared_files_are_identical() -> None:
    """Each family has a copy, because these files are saved with the weights."""
    families = [path.parent for path in MODELS.glob("*/modeling_*.py")]
    for name, folders in (
        ("tracing.py", families),
        ("scan.py", [MODELS / family for family in (*WITH_RECURRENCE, "recurrent_seq2seq")]),
        ("modeling_base.py", [MODELS / family for family in ("hs97", "recurrent", "recurrent_seq2seq")]),
        ("modeling_recurrent.py", [MODELS / family for family in ("recurrent", "recurrent_seq2seq")]),
        ("configuration_recurrent.py", [MODELS / family for family in ("recurrent", "recurrent_seq2seq")]),
    ):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert Path(convolutional.__file__).parent in families
