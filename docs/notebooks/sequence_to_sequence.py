# %% [markdown]
# # Sequence to sequence
#
# An encoder reads a sequence, and a decoder writes another one of another length. This notebook shows why a decoder
# needs attention, what it attends to, how beam search proceeds, and what changes when a decoder reads its own output.
# It loads released models and trains two small ones.

# %%
from pathlib import Path

import torch
from IPython.display import Image
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging

import seqhub
from seqhub.cli.results import draw
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.models.pretrained import pretrained
from seqhub.plots.alignment import plot_alignment
from seqhub.tasks.splits import Split

logging.disable_progress_bar()
torch.set_num_threads(2)

# %% [markdown]
# ## Look at the rows
#
# A row of `date_translation` has a date in one of 22 notations, and the same date in ISO 8601.

# %%
for text, target in [Split("date_translation/years1000-2999", "test")[number] for number in range(5)]:
    print(f"{text:>32} -> {target}")

# %% [markdown]
# ## Generate with a released model
#
# The encoder reads the text once. `generate` then writes one symbol at a time from the cached state of the decoder.

# %%
folder = pretrained("date_translation-years1000-2999-gru_seq2seq_additive")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSeq2SeqLM.from_pretrained(folder)
inputs = tokenizer(["Donnerstag, 31. Dezember 1987", "Mar 3rd, 1987", "03/04/1987"], return_tensors="pt", padding=True)
print(tokenizer.batch_decode(model.generate(**inputs, do_sample=False), skip_special_tokens=True))

# %% [markdown]
# ## See what the decoder attends to
#
# Each row of the map is a symbol that the decoder wrote, each column a symbol of the text. Digits are copied from where
# they are. For the month, the decoder looks at letters of its name.

# %%
trace = load_tracer(folder)("Donnerstag, 31. Dezember 1987")
picture = Path("alignment.png")
plot_alignment(list(trace.inputs), trace.generated, trace.attention, picture, title="Attention")
Image(str(picture), width=640)

# %% [markdown]
# ## Remove the attention
#
# Without attention, the decoder has only the last state of the encoder, whatever the length of the sentence. The models
# below read sentences of 2 to 10 words, and should write their words in reverse order. The one without attention sees
# three times as many.

# %%
for name, sequences in (("gru_seq2seq", 19_200), ("gru_seq2seq_additive", 6_400)):
    settings = {"max_sequences": sequences, "evaluate_every": 3_200, "evaluate_size": 500, "stop_at": "none"}
    seqhub.train(task="reverse_words/short", model=name, output_dir=name, **settings)
    record = evaluate(name, num_examples=1_000, sibling_examples=0)
    found = record.evaluation["test"]["by_length"]
    shares = [f"{count['correct'] / count['total']:4.0%}" for count in found.values()]
    print(f"{name:>22}  exact match for 2 to 10 words:", *shares)

# %%
pictures = {path.name: path for path in draw(Path("gru_seq2seq"))}
Image(str(pictures["lengths.png"]), width=640)

# %% [markdown]
# ## Follow beam search step by step
#
# Beam search keeps the few best beginnings of a target instead of one. The number in front of each is the sum of the
# logarithms of its probabilities. The model has not seen this notation, so it is not sure of the month.

# %%
inputs = tokenizer(["5/6/1999"], return_tensors="pt")
beams = [(0.0, [model.config.decoder_start_token_id])]
for step in range(11):
    longer = [beam for beam in beams if beam[1][-1] == tokenizer.eos_token_id]
    for score, ids in (beam for beam in beams if beam not in longer):
        with torch.no_grad():
            logits = model(**inputs, decoder_input_ids=torch.tensor([ids])).logits[0, -1]
        best = logits.log_softmax(-1).topk(3)
        longer += [(score + float(value), [*ids, int(i)]) for value, i in zip(*best, strict=True)]
    beams = sorted(longer, reverse=True)[:3]
    print(f"{step + 1:2}", *(f"{score:6.2f} {tokenizer.decode(ids[1:]):<16}" for score, ids in beams))

# %%
ids = model.generate(**inputs, num_beams=3, num_return_sequences=3)
print(tokenizer.batch_decode(ids, skip_special_tokens=True))

# %% [markdown]
# ## Let the decoder read its own symbols
#
# In training, the decoder reads the right previous symbol; when it generates, it reads its own. After a wrong symbol it
# is in a state that training never had. The model without attention makes enough errors to see it:

# %%
model = AutoModelForSeq2SeqLM.from_pretrained("gru_seq2seq")
tokenizer = AutoTokenizer.from_pretrained("gru_seq2seq")
rows = [Split("reverse_words/short", "test")[number] for number in range(1_000)]
rows = [(text, target) for text, target in rows if len(text.split()) == 10]
inputs = tokenizer([text for text, _ in rows], return_tensors="pt")
targets = tokenizer([target for _, target in rows], return_tensors="pt")["input_ids"]
with torch.no_grad():
    forced = model(**inputs, labels=targets).logits.argmax(-1)
own = model.generate(**inputs, min_new_tokens=10, max_new_tokens=10, do_sample=False)[:, 1:]
for name, found in (("after the right words", forced), ("after its own words", own)):
    print(
        f"{name:>22}  right words 1 to 10:", *(f"{share:4.0%}" for share in (found == targets).float().mean(0).tolist())
    )

# %% [markdown]
# ## Exercises
#
# **1.** What does the released model do with texts that have no complete date, or a notation that is in none of the
# rows above? Try `31.12.87`, `12/31/1987` and `31 Dec`.

# %% tags=["solution"]
folder = pretrained("date_translation-years1000-2999-gru_seq2seq_additive")
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
texts = ["31.12.87", "12/31/1987", "31/12/1987", "1987-12-31", "31 Dec"]
for text in texts:
    ids = model.generate(**tokenizer([text], return_tensors="pt"), do_sample=False)
    print(f"{text:>12} -> {tokenizer.decode(ids[0], skip_special_tokens=True)}")
# It always answers with a date, also where none is in the text: nothing in training had another answer.

# %% [markdown]
# **2.** How probable does the model find its own answer? Compute the mean probability of the symbols that it generates
# for a date and for `31/31/1987`. Could you use the number to refuse an answer?

# %% tags=["solution"]
for text in ("31/12/1987", "31/31/1987"):
    inputs = tokenizer([text], return_tensors="pt")
    ids = model.generate(**inputs, do_sample=False)
    with torch.no_grad():
        logits = model(**inputs, decoder_input_ids=ids[:, :-1]).logits
    chosen = logits.softmax(-1).gather(-1, ids[:, 1:, None])
    print(f"{text}: {float(chosen.mean()):.3f} on average, {float(chosen.min()):.3f} at the least sure symbol")

# %% [markdown]
# **3.** Does the order of the source matter to a decoder with attention? Write the words of a sentence for the model
# `gru_seq2seq_additive` in the opposite order, and compare the outputs.

# %% tags=["solution"]
tokenizer = AutoTokenizer.from_pretrained("gru_seq2seq_additive")
model = AutoModelForSeq2SeqLM.from_pretrained("gru_seq2seq_additive")
text, target = Split("reverse_words/short", "test")[0]
for source in (text, " ".join(reversed(text.split()))):
    ids = model.generate(**tokenizer([source], return_tensors="pt"), do_sample=False)
    print(f"{source}\n    -> {tokenizer.decode(ids[0], skip_special_tokens=True)}")
# It does: the encoder is recurrent, so a state knows its place.
