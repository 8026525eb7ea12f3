"""Recurrent encoder-decoders, compared with a decoder in NumPy."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSpeechSeq2Seq,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

from seqhub.errors import InvalidConfigError
from seqhub.models.recurrent_seq2seq import RecurrentSeq2SeqForConditionalGeneration
from seqhub.models.registry import build_config, build_model, list_presets, register_auto_classes
from seqhub.models.tokenizer import symbol_tokenizer

Array = NDArray[np.float64]
SOURCE, TARGET, HIDDEN = 7, 6, 5  # ids of the source and of the target, width
EOS = TARGET - 1
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "feeding": {"input_feeding": True},
    "deep": {"num_hidden_layers": 2, "num_decoder_layers": 2, "input_feeding": True},
    "forward": {"bidirectional": False, "num_decoder_layers": 2},
    "tied": {"tie_word_embeddings": True, "inputs": "embedding", "embedding_size": 4},
    "values": {"inputs": "values", "num_features": 3, "bidirectional": False},
    "mixed": {"decoder_cell": "gru"},
}
CASES = [
    (preset, shape)
    for preset in list_presets(head="seq2seq")
    for shape in SHAPES
    if preset.count("_") > 1 or "input_feeding" not in SHAPES[shape]
]
every_case = pytest.mark.parametrize(("preset", "shape"), CASES, ids=[f"{one}-{other}" for one, other in CASES])


@cache
@torch.enable_grad()
def trained(preset: str, shape: str) -> Any:
    """Return a model in double precision after a short training, whose outputs depend on the source. Read-only."""
    torch.manual_seed(3)
    settings: dict[str, Any] = {"vocab_size": SOURCE, "decoder_vocab_size": TARGET, "hidden_size": HIDDEN}
    model = build_model(build_config(preset, **settings | SHAPES[shape]), "seq2seq").double().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for step in range(60):
        rows = sources(model, 16, seed=100 + step)
        targets = [[*reversed((row if row.dim() == 1 else row.argmax(1)) % 4 + 1), EOS] for row in rows]
        labels = torch.full((len(rows), 8), -100)
        for label, target in zip(labels, targets, strict=True):
            label[: len(target)] = torch.tensor(target)
        optimizer.zero_grad()
        model(**batch_of(rows), labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def sources(model: Any, count: int = 5, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 8, (count,), generator=random).tolist()
    if model.main_input_name == "input_values":
        return [torch.randn(length, 3, generator=random, dtype=torch.float64) for length in lengths]
    return [torch.randint(1, SOURCE, (length,), generator=random) for length in lengths]


def batch_of(rows: list[Tensor], side: str = "right", width: int | None = None) -> dict[str, Tensor]:
    """Return padded rows; values in the padding are NaN, which no output may depend on."""
    width = max(map(len, rows)) if width is None else width
    by_values = rows[0].is_floating_point()
    inputs = torch.full((len(rows), width, *rows[0].shape[1:]), math.nan if by_values else 0, dtype=rows[0].dtype)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        start = 0 if side == "right" else width - len(row)
        inputs[number, start : start + len(row)] = row
        mask[number, start : start + len(row)] = 1
    return {"input_values" if by_values else "input_ids": inputs, "attention_mask": mask}


class PlainDecoder:
    """Encoder and decoder of one sequence in NumPy, from the weights of a model and the equations of its papers."""

    def __init__(self, model: RecurrentSeq2SeqForConditionalGeneration) -> None:
        self.config: Any = model.config
        self.weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}

    def linear(self, name: str, x: Array) -> Array:
        bias = self.weights.get(f"{name}.bias")
        product: Array = self.weights[f"{name}.weight"] @ x
        return product if bias is None else product + bias

    def cell(self, kind: str, name: str, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        def sigmoid(z: Array) -> Array:
            return 1 / (1 + np.exp(-z))

        weights = [self.weights[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        below, before = weights[0] @ x + weights[2], weights[1] @ h + weights[3]
        if kind == "lstm":
            i, f, g, o = np.split(below + before, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        (r, z, n), (r_h, z_h, n_h) = np.split(below, 3), np.split(before, 3)
        z = sigmoid(z + z_h)
        return (1 - z) * np.tanh(n + sigmoid(r + r_h) * n_h) + z * h, c

    def encode(self, row: Tensor) -> tuple[list[Array], Array]:
        """Return the outputs for all steps of a source, and the last state of all directions."""
        if self.config.inputs == "values":
            steps = list(row.numpy())
        elif self.config.inputs == "embedding":
            steps = [self.weights["model.encoder.embed_tokens.weight"][i] for i in row.tolist()]
        else:
            steps = [np.eye(SOURCE - 1)[i - 1] for i in row.tolist()]
        ends = []
        for layer in range(self.config.num_hidden_layers):
            ways, ends = [], []
            for name in ("recurrence", "recurrence_reverse")[: 2 if self.config.bidirectional else 1]:
                h = c = np.zeros(HIDDEN)
                states = []
                for step in steps if name == "recurrence" else steps[::-1]:
                    h, c = self.cell(self.config.cell, f"model.encoder.layers.{layer}.{name}", step, h, c)
                    states.append(h)
                ends.append(h)
                ways.append(states if name == "recurrence" else states[::-1])
            steps = [np.concatenate(parts) for parts in zip(*ways, strict=True)]
        return steps, np.concatenate(ends)

    def start(self, row: Tensor) -> tuple[list[Array], tuple[Any, ...]]:
        memory, end = self.encode(row)
        layers = self.config.num_decoder_layers
        parts = self.linear("model.bridge", end).reshape(-1, layers, HIDDEN)
        hidden = [np.tanh(part) for part in parts[0]]
        cells = list(parts[1]) if self.config.decoder_cell == "lstm" else [np.zeros(HIDDEN)] * layers
        return memory, (hidden, cells, np.zeros(HIDDEN))

    def step(self, memory: list[Array], state: tuple[Any, ...], given: int) -> tuple[Array, Array, tuple[Any, ...]]:
        """Return log-probabilities of the next id, attention weights and the next state."""
        hidden, cells, fed = state
        x = self.weights["model.embed_tokens.weight"][given]
        if self.config.input_feeding:
            x = np.concatenate([x, fed])
        after_hidden, after_cells = [], []
        for layer, (h, c) in enumerate(zip(hidden, cells, strict=True)):
            name = f"model.decoder.layers.{layer}.recurrence"
            x, c = self.cell(self.config.decoder_cell, name, x, h, c)
            after_hidden.append(x)
            after_cells.append(c)
        weights = np.empty(0)
        if self.config.attention != "none":
            name = "model.attention"
            keys = [self.linear(f"{name}.key", each) for each in memory]
            if self.config.attention == "additive":
                query = self.linear(f"{name}.query", x)
                scores = np.array([float(self.linear(f"{name}.score", np.tanh(query + key))[0]) for key in keys])
            else:
                scores = np.array([float(x @ key) for key in keys])
            weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            context = sum(weight * each for weight, each in zip(weights, memory, strict=True))
            x = np.tanh(self.linear(f"{name}.output", np.concatenate([context, x])))
        logits = self.linear("lm_head", x)
        logits[self.config.pad_token_id] = -np.inf
        log_probabilities = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        return log_probabilities, weights, (after_hidden, after_cells, x)

    def greedy(self, row: Tensor, most: int) -> list[int]:
        memory, state = self.start(row)
        ids = [self.config.decoder_start_token_id]
        while len(ids) <= most and (len(ids) == 1 or ids[-1] != EOS):
            scores, _, state = self.step(memory, state, ids[-1])
            ids.append(int(scores.argmax()))
        return ids[1:]

    def beam(self, row: Tensor, beams: int, most: int) -> list[int]:
        """Return the best finished sequence by the mean log-probability of its ids, as transformers does."""
        memory, state = self.start(row)
        running = [(0.0, [self.config.decoder_start_token_id], state)]
        finished: list[tuple[float, list[int]]] = []
        for length in range(1, most + 1):
            found = []
            for score, ids, before in running:
                scores, _, after = self.step(memory, before, ids[-1])
                found += [(score + scores[i], [*ids, i], after) for i in range(TARGET)]
            found = sorted(found, key=lambda each: -each[0])[: 2 * beams]
            for rank, (score, ids, _) in enumerate(found):
                if (ids[-1] == EOS or length == most) and rank < beams:
                    finished.append((score / length, ids[1:]))
            finished = sorted(finished, key=lambda each: -each[0])[:beams]
            running = [each for each in found if each[1][-1] != EOS][:beams]
            if len(finished) == beams and running[0][0] / length <= finished[-1][0]:
                break
        return finished[0][1]


def plain_ids(row: Tensor) -> list[int]:
    """Return generated ids without the start, up to the end."""
    ids = row.tolist()[1:]
    return ids[: ids.index(EOS) + 1] if EOS in ids else [i for i in ids if i != 0]


@every_case
@torch.no_grad()
def test_logits_and_attention_equal_a_plain_decoder(preset: str, shape: str) -> None:
    model = trained(preset, shape)
    plain, rows = PlainDecoder(model), sources(model)
    given = torch.tensor([[0, 3, 2, 4, 1]]).expand(len(rows), -1)
    output = model(**batch_of(rows), decoder_input_ids=given, output_attentions=True)
    for number, row in enumerate(rows):
        memory, state = plain.start(row)
        for step, i in enumerate(given[number].tolist()):
            scores, weights, state = plain.step(memory, state, i)
            found = output.logits[number, step].log_softmax(-1).numpy()
            np.testing.assert_allclose(found[1:], scores[1:], atol=1e-10)
            assert np.exp(found[0]) == 0
            if len(weights):
                attention = output.cross_attentions[0][number, 0, step].numpy()
                np.testing.assert_allclose(attention[: len(row)], weights, atol=1e-10)
                assert not attention[len(row) :].any()
    assert (output.cross_attentions is None) == (model.config.attention == "none")


@every_case
def test_greedy_and_beam_search_equal_a_plain_decoder(preset: str, shape: str) -> None:
    model = trained(preset, shape)
    plain, rows = PlainDecoder(model), sources(model, 8, seed=1)
    for beams in (1, 3, TARGET - 1):
        found = model.generate(**batch_of(rows), num_beams=beams, max_new_tokens=6, do_sample=False)
        expected = [plain.greedy(row, 6) if beams == 1 else plain.beam(row, beams, 6) for row in rows]
        assert [plain_ids(row) for row in found] == expected
        assert len({tuple(each) for each in expected}) > 1
        assert len({i for each in expected for i in each}) > 2
        assert any(each[-1] == EOS for each in expected)


@every_case
def test_a_batch_of_sources_generates_what_each_generates_alone(preset: str, shape: str) -> None:
    """With any padding, with and without the cached state."""
    model = trained(preset, shape)
    rows = sources(model, 6, seed=2)
    alone = [plain_ids(model.generate(**batch_of([row]), max_new_tokens=7, do_sample=False)[0]) for row in rows]
    for side in ("left", "right"):
        for settings in ({}, {"use_cache": False}):
            batch = batch_of(rows, side, width=10)
            found = model.generate(**batch, max_new_tokens=7, do_sample=False, **settings)
            assert [plain_ids(row) for row in found] == alone


def test_sampling_follows_the_probabilities_of_the_model() -> None:
    model = trained("lstm_seq2seq_additive", "plain")
    (row,) = sources(model, 1)
    count = 4_000
    torch.manual_seed(0)
    found = model.generate(**batch_of([row] * count), max_new_tokens=1, do_sample=True, top_k=0)[:, 1]
    plain = PlainDecoder(model)
    memory, state = plain.start(row)
    probabilities = np.exp(plain.step(memory, state, 0)[0])
    shares = np.bincount(found.numpy(), minlength=TARGET) / count
    assert np.abs(shares - probabilities).max() < 5 * 0.5 / math.sqrt(count)


@every_case
@torch.no_grad()
def test_padding_of_the_target_is_ignored(preset: str, shape: str) -> None:
    model = trained(preset, shape)
    batch = batch_of(sources(model, 2, seed=5))
    ids = torch.tensor([[0, 2, 4], [0, 3, 1]])
    expected = model(**batch, decoder_input_ids=ids, use_cache=True)
    for front, back in ((2, 0), (0, 2), (1, 1)):
        mask = torch.nn.functional.pad(torch.ones_like(ids), (front, back))
        padded = torch.nn.functional.pad(ids, (front, back), value=2)
        found = model(**batch, decoder_input_ids=padded, decoder_attention_mask=mask, use_cache=True)
        real = found.logits[:, front : front + 3]
        torch.testing.assert_close(real, expected.logits, atol=1e-10, rtol=0)
        states = [each.past_key_values.recurrence.hidden for each in (found, expected)]
        torch.testing.assert_close(*states, atol=1e-10, rtol=0)
        one, other = (
            model(**batch, decoder_input_ids=ids[:, :1], past_key_values=each.past_key_values).logits
            for each in (found, expected)
        )
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


@every_case
@torch.no_grad()
def test_a_cached_state_continues_the_target(preset: str, shape: str) -> None:
    model = trained(preset, shape)
    batch = batch_of(sources(model, 3, seed=6))
    ids = torch.tensor([[0, 2, 4, 1, 3]]).expand(3, -1)
    whole = model(**batch, decoder_input_ids=ids).logits
    first = model(**batch, decoder_input_ids=ids[:, :2], use_cache=True)
    rest = model(**batch, decoder_input_ids=ids[:, 2:], past_key_values=first.past_key_values)
    assert first.past_key_values.get_seq_length() == 2
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole, atol=1e-10, rtol=0)


@every_case
def test_every_weight_has_the_gradient_of_the_loss(preset: str, shape: str) -> None:
    """Central differences of the loss, along one random direction of each weight."""
    model = trained(preset, shape)
    batch = batch_of(sources(model, 4, seed=7)) | {"labels": torch.tensor([[3, EOS, -100], [1, 2, EOS]] * 2)}
    model.zero_grad()
    model(**batch).loss.backward()
    random = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        direction = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        losses = []
        with torch.no_grad():
            for step in (1e-5, -1e-5):
                parameter += step * direction
                losses.append(float(model(**batch).loss))
                parameter -= step * direction
        expected = (losses[0] - losses[1]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(expected, abs=1e-8, rel=1e-5), name
    model.zero_grad(set_to_none=True)


def test_labels_are_shifted_and_padding_is_ignored() -> None:
    model = trained("gru_seq2seq_additive", "plain")
    batch = batch_of(sources(model, 2))
    labels = torch.tensor([[4, EOS, -100], [1, 2, EOS]])
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    assert ids.tolist() == [[0, 4, EOS], [0, 1, 2]]
    with torch.no_grad():
        output = model(**batch, labels=labels)
        logits = model(**batch, decoder_input_ids=ids).logits
        padded = model(**batch, labels=labels.masked_fill(labels == -100, 0), decoder_input_ids=ids)
        summed = model(**batch, labels=labels, num_items_in_batch=2)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(padded.loss, expected)
    torch.testing.assert_close(summed.loss, expected * 5 / 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("exponential", [math.exp(-i / 4) for i in range(4)]),
        ("inverse_sigmoid", [4 / (4 + math.exp(i / 4)) for i in range(4)]),
    ],
)
def test_schedules_of_teacher_forcing(name: str, expected: list[float]) -> None:
    config = build_config("lstm_seq2seq", teacher_forcing=name, teacher_forcing_batches=4)
    assert [config.teacher_probability(i) for i in range(4)] == pytest.approx(expected)
    floor = build_config("lstm_seq2seq", teacher_forcing=name, teacher_forcing_batches=4, teacher_forcing_floor=0.3)
    assert floor.teacher_probability(10**6) == 0.3


@pytest.mark.parametrize("preset", ["lstm_seq2seq", "lstm_seq2seq_additive"])
def test_without_teacher_forcing_the_decoder_reads_its_own_samples(preset: str, tmp_path: Path) -> None:
    """The output of training then does not depend on the target, and the number of batches is saved."""
    torch.manual_seed(0)
    settings = {"teacher_forcing": "linear", "teacher_forcing_batches": 2, "decoder_vocab_size": TARGET}
    model = build_model(build_config(preset, **settings), "seq2seq").train()
    ids = torch.randint(1, 9, (4, 6))
    targets = [torch.full((4, 7), i) for i in (1, 2)]

    def logits(labels: Tensor, seed: int = 1) -> Tensor:
        torch.manual_seed(seed)
        return model(input_ids=ids, labels=labels).logits

    model.eval()
    assert not torch.equal(logits(targets[0])[:, 1:], logits(targets[1])[:, 1:])
    assert int(model.batches.count) == 0
    model.train()
    forced = logits(targets[0])  # the probability is 1 for the first batch
    torch.testing.assert_close(forced, model.eval()(input_ids=ids, labels=targets[0]).logits)
    model.train()
    logits(targets[0])
    assert int(model.batches.count) == 2
    assert torch.equal(logits(targets[0]), logits(targets[1]))
    assert not torch.equal(logits(targets[0]), logits(targets[0], seed=2))
    model.save_pretrained(tmp_path)
    register_auto_classes()
    assert int(AutoModelForSeq2SeqLM.from_pretrained(tmp_path).batches.count) == int(model.batches.count) == 6


def test_tied_weights_are_shared_after_loading(tmp_path: Path) -> None:
    register_auto_classes()
    model = trained("lstm_seq2seq_multiplicative", "tied")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    model.save_pretrained(tmp_path)
    loaded: Any = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    assert loaded.num_parameters() == model.num_parameters()
    rows = batch_of(sources(model, 2))
    assert torch.equal(loaded(**rows).logits, model(**rows).logits)


def test_values_have_the_auto_class_of_transformers_for_them(tmp_path: Path) -> None:
    register_auto_classes()
    model = trained("gru_seq2seq_additive", "values")
    model.save_pretrained(tmp_path)
    loaded: Any = AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path, dtype=torch.float64)
    assert type(loaded) is type(model)
    rows = batch_of(sources(model, 2))
    assert torch.equal(loaded.generate(**rows, max_new_tokens=3), model.generate(**rows, max_new_tokens=3))


def test_the_limit_of_a_target_is_the_default_of_generate(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(build_config("lstm_seq2seq", max_target_length=3), "seq2seq").eval()
    with torch.no_grad():
        model.lm_head.bias[9] = -100  # never ends
    assert model.generate(torch.tensor([[1, 2]])).shape == (1, 4)
    model.save_pretrained(tmp_path)
    register_auto_classes()
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path).generate(torch.tensor([[1, 2]])).shape == (1, 4)


def test_seq2seq_trainer_reverses_texts(tmp_path: Path) -> None:
    """With the collator of transformers, and generation in the evaluation."""
    tokenizer = symbol_tokenizer("abc")
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abc"), random.integers(1, 5))) for _ in range(600)]
    rows = [
        {"input_ids": tokenizer(text)["input_ids"], "labels": [*tokenizer(text[::-1])["input_ids"], 4]}
        for text in texts
    ]
    torch.manual_seed(0)
    settings = {"vocab_size": 4, "decoder_vocab_size": 5, "hidden_size": 24, "max_target_length": 6}
    model = build_model(build_config("lstm_seq2seq_multiplicative", **settings), "seq2seq")
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=6, per_device_train_batch_size=16, learning_rate=1e-2,
        predict_with_generate=True, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        logging_strategy="no",
    )  # fmt: skip
    collator = DataCollatorForSeq2Seq(tokenizer, model)
    trainer = Seq2SeqTrainer(model, arguments, train_dataset=rows[100:], data_collator=collator)
    trainer.train()
    predicted = trainer.predict(rows[:100]).predictions
    found = ["".join("_abc"[i] for i in plain_ids(torch.tensor(row)) if 0 < i < 4) for row in predicted]
    right = sum(text[::-1] == answer for text, answer in zip(texts[:100], found, strict=True))
    assert right >= 95, right


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_feeding": True}, "input_feeding=True: must be False with attention='none'"),
        ({"num_decoder_layers": 0}, "num_decoder_layers must be >= 1, got 0"),
        ({"decoder_vocab_size": 2}, "decoder_vocab_size must be >= 3"),
        ({"teacher_forcing": "linear"}, "teacher_forcing_batches=None: must be at least 1"),
        ({"teacher_forcing_batches": 5}, "teacher_forcing_batches=5: must be None with teacher_forcing='always'"),
        ({"teacher_forcing_floor": 1.5}, r"teacher_forcing_floor must be in \[0, 1\], got 1.5"),
        ({"max_target_length": 0}, "max_target_length must be None or >= 1, got 0"),
        ({"eos_token_id": 0}, "eos_token_id=0: must differ from pad_token_id"),
        ({"eos_token_id": 10}, r"eos_token_id must be in \[0, 10\), got 10"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"inputs": "values"}, "inputs='values' needs num_features >= 1, got num_features=None"),
    ],
)
def test_inconsistent_fields_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("lstm_seq2seq", **settings)
    assert "\n" not in str(error.value)


def test_invalid_input_is_an_error_of_one_line() -> None:
    model = build_model(build_config("lstm_seq2seq_additive"), "seq2seq").eval()
    ids = torch.tensor([[1, 2, 3]])
    two = {"decoder_input_ids": ids, "decoder_inputs_embeds": torch.zeros(1, 3, 64)}
    for given, message in (
        ({"input_ids": ids[:, :0]}, r"input_ids must be .*, got \(1, 0\)"),
        (
            {"input_ids": ids, "labels": ids, "decoder_input_ids": ids[:, :1]},
            r"labels must be .* \(1, 1\), got \(1, 3\)",
        ),
        ({"input_ids": ids, **two}, "decoder_input_ids and decoder_inputs_embeds: give only one of them"),
        ({}, "takes input_ids or inputs_embeds, got neither"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            model(**given)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^num_beams=10: must be at most 9, the ids of the target$"):
        model.generate(ids, num_beams=10, max_new_tokens=2)
    with pytest.raises(ValueError, match="decoder_vocab_size=10 cannot be changed"):
        model.resize_token_embeddings(12)
