"""Prediction of the next id: losses, generation with a state, and padding."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationConfig, pipeline

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import register_auto_classes
from seqhub.models.tokenizer import symbol_tokenizer
from tests.helpers.model_cases import PRESETS, alone, build, padded, ragged, trained

VARIANTS = ["plain", "deep", "embedding"]
CASES = [pytest.param(preset, variant, id=f"{preset}-{variant}") for preset in PRESETS for variant in VARIANTS]
GREEDY = {"do_sample": False, "max_new_tokens": 7}
WAYS = {
    "greedy": GREEDY,
    "beams": {"num_beams": 3, "num_return_sequences": 2, "do_sample": False, "max_new_tokens": 7},
    "sampling": {"do_sample": True, "max_new_tokens": 7, "temperature": 1.5, "top_k": 6, "top_p": 0.95,
                 "num_return_sequences": 3},
}  # fmt: skip


def random_model(preset: str, variant: str = "plain") -> nn.Module:
    """Return a model whose predictions depend strongly on the input, unlike some trained on eight rows."""
    model = copy.deepcopy(trained(preset, variant, "causal"))
    torch.manual_seed(3)
    # Large biases would dominate the states of memory cell blocks, which have no forget gate
    scale = {"weight_hh": 0.3} | ({"bias": 0.3} if preset == "lstm_hs97" else {})
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "embed" not in name:
                weights.copy_(torch.randn_like(weights) * next((by for part, by in scale.items() if part in name), 1.0))
    return model


def generate(model: nn.Module, ids: Tensor, mask: Tensor, **settings) -> Tensor:
    torch.manual_seed(11)
    return model.generate(input_ids=ids, attention_mask=mask, **settings)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_loss_compares_each_step_with_the_next_id(preset, variant, side):
    """The loss is over pairs of real steps, in nats; -100 and padding are ignored."""
    rows = ragged(40)
    ids, mask = padded(rows, side, width=14)
    labels = torch.where(mask.bool(), ids, 5)  # labels at padded steps are ignored
    labels[0, mask[0].nonzero()[1]] = -100
    model = trained(preset, variant, "causal")
    expected = []
    for number, row in enumerate(rows):
        scores = model(alone(row)).logits[0].tolist()
        for step, following in enumerate(row[1:]):
            if number or step:
                total = sum(map(math.exp, scores[step][1:]))  # over all symbols without padding
                expected.append(-math.log(math.exp(scores[step][following]) / total))
    loss = model(ids, mask, labels=labels).loss
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-4)
    labels = torch.where(labels == -100, -100, ids)
    torch.testing.assert_close(model(ids, labels=labels).loss, loss)  # without a mask, by padding ids


def test_padding_ids_are_ignored_even_with_mask_1():
    model, ids = trained("lstm", "plain", "causal"), torch.tensor([[3, 4, 5, 0, 0]])
    masked = model(ids, torch.ones_like(ids), labels=ids).loss
    torch.testing.assert_close(masked, model(ids[:, :3], labels=ids[:, :3]).loss)


def test_losses_of_accumulated_batches_add_up_to_the_loss_of_one_batch():
    """As in Trainer, the sum over each part is divided by the number of labels in all parts."""
    model, ids = trained("gru", "plain", "causal"), torch.randint(1, 9, (4, 5))
    parts = [model(part, labels=part, num_items_in_batch=16).loss for part in ids.split(3)]
    torch.testing.assert_close(sum(parts), model(ids, labels=ids).loss)


@pytest.mark.parametrize("preset", PRESETS)
def test_segments_of_a_text_have_the_loss_of_the_whole(preset):
    """With `shift_labels`, since the last step of a segment predicts the first id of the next one."""
    model = trained(preset, "deep", "causal")
    ids, mask = padded(ragged(47), "left", width=12)
    following = torch.cat((ids[:, 1:], torch.zeros(6, 1, dtype=torch.long)), dim=1)
    count, state, total = int((mask[:, 1:] * mask[:, :-1]).sum()), None, torch.zeros(())
    for part in range(0, 12, 4):
        segment = slice(part, part + 4)
        output = model(
            ids[:, segment],
            mask[:, segment],
            shift_labels=following[:, segment],
            num_items_in_batch=count,
            past_key_values=state,
            use_cache=True,
        )
        total, state = total + output.loss, output.past_key_values
    torch.testing.assert_close(total, model(ids, mask, labels=ids).loss)


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_logits_do_not_depend_on_later_steps(preset, variant):
    model, ids = trained(preset, variant, "causal"), torch.randint(1, 9, (3, 8))
    changed = torch.cat((ids[:, :5], ids[:, 5:] % 8 + 1), dim=1)
    assert torch.equal(model(ids).logits[:, :5], model(changed).logits[:, :5])
    torch.testing.assert_close(model(ids, logits_to_keep=2).logits, model(ids).logits[:, -2:])


@pytest.mark.parametrize("pad", [0, 4, 8, None])
def test_logits_are_indexed_by_id(pad):
    """A readout that copies the one-hot vector must predict the id of the input, and never padding."""
    model = build("rnn_relu", "causal", pad_token_id=pad, hidden_size=9 if pad is None else 8)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.copy_(torch.eye(len(weights)) if "ih" in name and weights.dim() == 2 else torch.zeros(()))
        model.lm_head.weight.copy_(torch.eye(model.lm_head.in_features))
    symbols = torch.tensor([[number for number in range(9) if number != pad]])
    logits = model(symbols).logits
    assert torch.equal(logits.argmax(-1), symbols)
    assert logits.shape == (1, symbols.size(1), 9)
    if pad is not None:
        assert logits[..., pad].eq(torch.finfo(torch.float32).min).all()
        assert logits.softmax(-1)[..., pad].eq(0).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_generation_with_a_state_equals_generation_without_cache(preset, variant, way):
    model = random_model(preset, variant)
    ids, mask = padded(ragged(41), "left", width=13)
    carried, again = (generate(model, ids, mask, **WAYS[way], use_cache=use_cache) for use_cache in (True, False))
    assert torch.equal(carried, again)
    assert len(set(map(tuple, carried[:, 13:].tolist()))) > 1  # results depend on the prompts


@pytest.mark.parametrize("way", ["greedy", "beams"])
@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_prompts_of_different_lengths_continue_as_single_ones(preset, variant, way):
    model, rows = random_model(preset, variant), ragged(42)
    batch = generate(model, *padded(rows, "left", width=15), **WAYS[way])[:, 15:]
    batch = batch.split(WAYS[way].get("num_return_sequences", 1))
    for row, answers in zip(rows, batch, strict=True):
        single = generate(model, alone(row), torch.ones(1, len(row)), **WAYS[way])
        assert torch.equal(single[:, len(row) :], answers)


@pytest.mark.parametrize("preset", PRESETS)
def test_sampling_depends_on_the_seed_only(preset):
    model = random_model(preset)
    ids, mask = padded(ragged(43), "left")
    one, two = (generate(model, ids, mask, **WAYS["sampling"]) for _ in range(2))
    assert torch.equal(one, two)
    torch.manual_seed(12)
    assert not torch.equal(model.generate(input_ids=ids, attention_mask=mask, **WAYS["sampling"]), one)


def steps_run(model: nn.Module, prompt: int, new: int, **settings) -> int:
    counted = []
    handle = model.model.layers[0].recurrence.register_forward_pre_hook(lambda _, args: counted.append(args[0].size(1)))
    generate(model, torch.ones(1, prompt, dtype=torch.long), torch.ones(1, prompt), max_new_tokens=new, **settings)
    handle.remove()
    return sum(counted)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("preset", PRESETS)
def test_each_new_id_takes_one_step(preset, way):
    """The tutorial runs the whole prefix again for every character."""
    model, settings = random_model(preset), {k: v for k, v in WAYS[way].items() if k != "max_new_tokens"}
    for prompt, new in [(1, 1), (5, 1), (5, 20), (1, 40)]:
        assert steps_run(model, prompt, new, **settings) == prompt + new - 1
    assert steps_run(model, 5, 20, **settings, use_cache=False) == sum(range(5, 25))


@pytest.mark.parametrize("pad", [0, 4])
@pytest.mark.parametrize("way", WAYS)
def test_padding_is_never_generated(pad, way):
    """All symbols are very unlikely, and a generation config is given."""
    model = build("gru", "causal", pad_token_id=pad, vocab_size=5)
    with torch.no_grad():
        model.lm_head.bias.fill_(-1e30)
    ids = torch.full((4, 2), 1)
    settings = WAYS[way] | {"max_new_tokens": 60} | ({"temperature": 50.0} if way == "sampling" else {})
    answers = generate(
        model, ids, torch.ones_like(ids), generation_config=GenerationConfig(pad_token_id=pad, **settings)
    )
    assert (answers != pad).all()
    assert answers.min() >= 0
    assert answers.max() < 5


@pytest.mark.parametrize("preset", PRESETS)
def test_a_row_that_ends_is_padded_and_the_others_continue(preset):
    model, rows = random_model(preset), ragged(44)
    free = generate(model, *padded(rows, "left", width=12), do_sample=False, max_new_tokens=12)[:, 12:]
    end = int(free[0, 2])
    stopped = generate(model, *padded(rows, "left", width=12), do_sample=False, max_new_tokens=12, eos_token_id=end)
    for answer, whole in zip(stopped[:, 12:].tolist(), free.tolist(), strict=True):
        length = whole.index(end) + 1 if end in whole else len(whole)
        expected = (whole[:length] + [0] * 12)[: len(answer)]
        assert answer == expected


def test_generation_continues_from_a_given_state():
    model = random_model("lstm", "deep")
    ids, mask = padded(ragged(45), "left", width=12)
    whole = generate(model, ids, mask, **GREEDY)
    first = generate(model, ids, mask, do_sample=False, max_new_tokens=3, return_dict_in_generate=True)
    assert first.past_key_values.steps == 12 + 3 - 1  # the third new id has not been read
    longer = torch.cat((mask, torch.ones(6, 3, dtype=torch.long)), dim=1)
    rest = generate(model, first.sequences, longer, past_key_values=first.past_key_values, do_sample=False,
                    max_new_tokens=4)  # fmt: skip
    assert torch.equal(rest, whole)


@pytest.mark.parametrize("preset", PRESETS)
def test_loaded_models_generate_the_same(tmp_path, preset):
    register_auto_classes()
    model = random_model(preset, "embedding")
    model.generation_config.eos_token_id = 3
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    assert (loaded.generation_config.eos_token_id, loaded.generation_config.pad_token_id) == (3, 0)
    ids, mask = padded(ragged(46), "left")
    for settings in WAYS.values():
        assert torch.equal(generate(loaded, ids, mask, **settings), generate(model, ids, mask, **settings))


def test_pipeline_completes_text(tmp_path):
    register_auto_classes()
    letters = "abcdefgh"
    model, tokenizer = random_model("lstm"), symbol_tokenizer(letters)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path)
    complete = pipeline("text-generation", model=str(tmp_path))
    prompts = ["hgf", "a", "abcdefg"]
    expected = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        expected.append(tokenizer.decode(generate(model, ids, torch.ones_like(ids), **GREEDY)[0]))
    for batch_size in (1, 3):
        answers = complete(prompts, batch_size=batch_size, **GREEDY)
        assert [answer["generated_text"] for (answer,) in answers] == expected


def test_number_of_parameters_and_loss_of_the_tutorial():
    """Three strings padded with spaces to 15 characters, 12 hidden units: 372 + 221 weights."""
    texts = ["hey how are you", "good i am fine ", "have a nice day"]
    tokenizer = symbol_tokenizer("".join(sorted(set("".join(texts)))))
    model = build("rnn_tanh", "causal", vocab_size=18, hidden_size=12).train()
    assert (model.model.num_parameters(), model.num_parameters()) == (372, 593)
    batch = tokenizer(texts, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        loss = model(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
    assert loss.item() <= 0.3
    ids = tokenizer("good", return_tensors="pt")["input_ids"]
    answer = generate(model.eval(), ids, torch.ones_like(ids), do_sample=False, max_new_tokens=11)
    assert tokenizer.decode(answer[0]) == "good i am fine "


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bidirectional": True}, "bidirectional=True: must be False to predict next ids"),
        (
            {"inputs": "values", "num_features": 2},
            "inputs='values': must be 'one_hot' or 'embedding' to predict next ids",
        ),
    ],
)
def test_unsupported_configs_are_errors(settings, message):
    with pytest.raises(InvalidConfigError, match=f"^head 'causal': {message}$"):
        build("lstm", "causal", **settings)


def test_invalid_arguments_are_errors_of_one_line():
    model, ids = trained("lstm", "plain", "causal"), torch.randint(1, 9, (2, 4))
    with pytest.raises(ValueError, match=r"^labels must be \(batch, steps\), \(2, 4\), got \(2, 3\)$"):
        model(ids, labels=ids[:, 1:])
    with pytest.raises(ValueError, match=r"^vocab_size=9 cannot be changed"):
        model.resize_token_embeddings(20)
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        model.generate(ids, assistant_model=model, do_sample=False)
