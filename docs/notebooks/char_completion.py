# %% [markdown]
# # Complete a phrase
#
# A network reads the beginning of a phrase and writes the rest, character by character. It is the smallest language
# model: 17 symbols, three phrases. All parts of a large one are here: a target at each step, generation from its own
# output, sampling with a temperature, and the difference between knowing a language and having memorised it. The task
# is from Gabriel Loye, "A Beginner's Guide on Recurrent Neural Networks with PyTorch" (2019); [its
# page](../tasks/char_completion.md) has all results.

# %%
import math
from pathlib import Path

import torch
from IPython.display import Image
from transformers import AutoModelForCausalLM, AutoTokenizer

import seqhub
from seqhub.cli.results import draw
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# At each step the target is the next character. Two phrases begin with `h`, so what follows the first `h` cannot be
# known: one of 42 characters is a guess, whatever the model.

# %%
for number in range(3):
    print(repr(Split("char_completion/tutorial")[number].inputs))

# %% [markdown]
# ## Train it
#
# The recipe `tutorial` has the settings of the guide: a tanh recurrence of width 12 with 593 weights, and 100 passes
# over the three phrases.

# %%
record = seqhub.train(task="char_completion/tutorial", model="rnn_tanh", recipe_name="tutorial", output_dir="phrases")
draw(Path("phrases"))
Image("phrases/figures/curves.png", width=640)

# %% [markdown]
# ## Complete a beginning
#
# `generate` reads the beginning once, and then reads each character that it wrote as the next input. The state has all
# it needs, so a step costs the same however long the text is.

# %%
tokenizer, model = AutoTokenizer.from_pretrained("phrases"), AutoModelForCausalLM.from_pretrained("phrases")


def complete(beginning: str, **options: object) -> str:
    """Return the text of a beginning and its completion, 15 characters in all."""
    inputs = tokenizer(beginning, return_tensors="pt")
    generated = model.generate(**inputs, max_new_tokens=15 - len(beginning), **options)
    return tokenizer.decode(generated[0])


for beginning in ("good", "have", "hey", "h", "a"):
    print(f"{beginning:>5} -> {complete(beginning, do_sample=False)!r}")

# %% [markdown]
# ## Ask for probabilities
#
# The model does not write characters, it writes probabilities. Here they are for each character of a phrase: how
# probable was it, given all before?


# %%
def surprise(text: str) -> list[float]:
    """Return the information of each character after the first, in bits."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logs = model(ids).logits[0, :-1].log_softmax(-1)
    return [-float(each[number]) / math.log(2) for each, number in zip(logs, ids[0, 1:], strict=True)]


for text in ("hey how are you", "have a nice day"):
    print("".join(f"{symbol:>5}" for symbol in text[1:]))
    print("".join(f"{bits:5.1f}" for bits in surprise(text)), "bits")

# %% [markdown]
# The second character is the one that cannot be known: `e` and `a` follow `h` with similar probabilities, so it has
# about one bit. The others have less.
#
# ## Sample with a temperature
#
# Greedy generation always takes the most probable character. Sampling takes each with its probability, and the
# temperature divides the logits before. At a low one only the best remain, at a high one everything becomes possible,
# and an unusual character leads to a state that training never had.

# %%
for temperature in (0.5, 1.0, 2.0):
    torch.manual_seed(0)
    samples = [complete("h", do_sample=True, temperature=temperature) for _ in range(5)]
    print(f"temperature {temperature}:", *map(repr, samples))

# %% [markdown]
# ## Train on your own text
#
# Three phrases are memorised. To see generalisation, the text needs a rule, and test lines that were not in training.
# Here each line is a sum; the lines of the test have other pairs of numbers.

# %%
sums = [f"{one}+{other}={one + other}" for one in range(30) for other in range(30)]
Path("sums.txt").write_text("\n".join(sums))
settings = {"epochs": 40, "hidden_size": 64, "batch_size": 16, "learning_rate": 0.005}
record = seqhub.train(task="char_completion/custom", data="sums.txt", output_dir="sums", **settings)
tokenizer, model = AutoTokenizer.from_pretrained("sums"), AutoModelForCausalLM.from_pretrained("sums")


def solve(questions: list[str]) -> list[str]:
    """Return the lines that a model writes for questions such as `12+7=`."""
    lines = []
    for question in questions:
        generated = model.generate(**tokenizer(question, return_tensors="pt"), max_new_tokens=2, do_sample=False)
        lines.append(tokenizer.decode(generated[0]))
    return lines


print(*solve(["12+7=", "21+19=", "29+28=", "14+14="]))

# %% [markdown]
# ## Exercises
#
# **1.** Complete beginnings that are in none of the phrases, such as `ood`, `how`, `i am` and `yyy`. What decides how
# the text continues: the last character, or all of them?

# %% tags=["solution"]
tokenizer, model = AutoTokenizer.from_pretrained("phrases"), AutoModelForCausalLM.from_pretrained("phrases")
for beginning in ("ood", "how", "i am", "yyy", "e a", "y a"):
    print(f"{beginning:>5} -> {complete(beginning, do_sample=False)!r}")
# The state decides. It depends on all characters, but a phrase is found again from a few of them.

# %% [markdown]
# **2.** The perplexity is 2 to the power of the mean information in bits. Compute it for the three phrases, and for `oh
# you are good`, which is none of them. Which value would a model have that gives all 17 symbols the same probability?

# %% tags=["solution"]
for text in ("hey how are you", "good i am fine ", "have a nice day", "oh you are good"):
    bits = surprise(text)
    print(f"{text}: {2 ** (sum(bits) / len(bits)):,.2f}")
print("equal probabilities: 17")  # a model that is sure of the wrong character is much worse than one that is not sure

# %% [markdown]
# **3.** How many of the sums are right? Compare pairs with numbers below 30, which most training rows have, with pairs
# such as `35+4`, which it never saw.

# %% tags=["solution"]
tokenizer, model = AutoTokenizer.from_pretrained("sums"), AutoModelForCausalLM.from_pretrained("sums")
known = [(one, other) for one in range(10, 30, 3) for other in range(10, 30, 3)]
unknown = [(one, other) for one in range(30, 40, 2) for other in range(10, 30, 3)]
for name, pairs in (("numbers below 30", known), ("first number from 30 to 39", unknown)):
    lines = solve([f"{one}+{other}=" for one, other in pairs])
    right = sum(line == f"{one}+{other}={one + other}" for line, (one, other) in zip(lines, pairs, strict=True))
    print(f"{name}: {right} of {len(pairs)}")

# %% [markdown]
# **4.** Why is greedy generation not enough for `h`? Generate with `num_beams=3` and `num_return_sequences=3`.

# %% tags=["solution"]
tokenizer, model = AutoTokenizer.from_pretrained("phrases"), AutoModelForCausalLM.from_pretrained("phrases")
inputs = tokenizer("h", return_tensors="pt")
found = model.generate(**inputs, max_new_tokens=14, num_beams=3, num_return_sequences=3, do_sample=False)
print(tokenizer.batch_decode(found))  # greedy generation follows one of two equally good beginnings, beams keep both
