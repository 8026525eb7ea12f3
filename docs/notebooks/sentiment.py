# %% [markdown]
# # Good or bad: a distant negation
#
# `nobody who never slept said that the film was awful, but ...`: is this good or bad for the film? The word that
# decides is `awful`, and the word that turns it round is the first one, with other words between them. This notebook
# shows why counting words fails, and what an LSTM does instead. [The page](../tasks/sentiment.md) has all results.

# %%
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image

import seqhub
from seqhub.cli.results import draw
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.models.pretrained import pretrained
from seqhub.plots.states import plot_states
from seqhub.tasks.sentiment import AFFIRMING, LINKS, NEGATING
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# A sentence has two clauses: one on the film, one on something else, in any order. They have opposite subjects (such as
# `everybody` and `nobody`) and opposite adjectives. The label is the opinion on the film.

# %%
rows = [Split("sentiment/short", "test")[number] for number in range(2_000)]
for text, label in rows[:3]:
    print(f"{label:>4}: {text}\n")

# %% [markdown]
# ## Count words
#
# Naive Bayes adds up how much more often each word occurs in good sentences than in bad ones. In a table of real
# reviews this is a strong baseline. Here it is at chance level: each word occurs as often in both.

# %%
counts = {"good": Counter(), "bad": Counter()}
for text, label in rows[:1_000]:
    counts[label].update(text.split())
totals = {label: sum(words.values()) for label, words in counts.items()}


def score(text):
    """Return the logarithm of how much more probable the words of a text are in good sentences."""
    return sum(
        np.log((counts["good"][word] + 1) / totals["good"]) - np.log((counts["bad"][word] + 1) / totals["bad"])
        for word in text.split()
    )


right = sum(("good" if score(text) > 0 else "bad") == label for text, label in rows[1_000:])
print(f"naive Bayes: {right / 1_000:.1%} of unseen sentences")
for word in ("nobody", "everybody", "awful", "great"):
    print(f"{word:>9}: {counts['good'][word]:4} times in good, {counts['bad'][word]:4} in bad sentences")

# %% [markdown]
# ## Train an LSTM
#
# The recipe opens the gates for the length of a sentence (`initialization="chrono"`). With the initial weights of
# PyTorch, the forget gate is at about one half, so the state halves at each step, and nothing is left of `nobody` when
# the adjective arrives.

# %%
record = seqhub.train(task="sentiment/short", output_dir="short", evaluate_size=2_000)
tested = evaluate("short", num_examples=2_000, sibling_examples=500).evaluation
print(f"{record.sequences_seen:,} sentences, {record.num_parameters:,} weights")
for part, found in tested.items():
    print(f"{part:>10}  {found['mean_length']:3.0f} words on average  {found['accuracy']:.1%} right")

# %%
draw(Path("short"))
Image("short/figures/curves.png", width=640)

# %% [markdown]
# The curve is flat for a long time, and then everything is learnt almost at once. The two words are useful only
# together: as long as the network does not store the first one, the second one seems to be noise.
#
# ## Watch it read
#
# The lower panel has the answer if the sentence ended at that word. Find where it becomes certain, and which of the two
# clauses changes it.

# %%
text = next(text for text, _ in rows if text.startswith("nobody") and " film " in text[: len(text) // 2])
trace = load_tracer("short")(text)
words = text.split()
marked = [step for step, word in enumerate(words) if word in (*NEGATING, *AFFIRMING, "film")]
plot_states(words, trace.states, Path("states.png"), title="States of the LSTM", readout=trace.readout,
            labels=Split("sentiment/short").schema.labels, marked=marked)  # fmt: skip
print(text)
Image("states.png", width=800)

# %% [markdown]
# ## Change one word
#
# Exchanging the subjects reverses the answer, whatever is between them. This is the released model, trained in the same
# way.

# %%
texts = [
    "everybody without a coat who never slept thought that the film was lovely but "
    "nobody in bad weather with old friends thought that the music was dull",
    "nobody without a coat who never slept thought that the film was lovely but "
    "everybody in bad weather with old friends thought that the music was dull",
]
for each in seqhub.predict(pretrained("sentiment-short-lstm"), texts):
    print(f"{each.value:>4}: {texts[each.row]}")

# %% [markdown]
# ## Exercises
#
# **1.** Give the model the words of a sentence in random order. Which accuracy do you expect? Measure it.

# %% tags=["solution"]
random = np.random.default_rng(0)
shuffled = [" ".join(random.permutation(text.split())) for text, _ in rows[:500]]
found = [each.value for each in seqhub.predict("short", shuffled)]
right = np.mean([one == label for one, (_, label) in zip(found, rows, strict=False)])
print(f"{right:.1%}")  # chance level: the label is in the order of the words and nowhere else

# %% [markdown]
# **2.** A few lines of Python solve this task without a network, because you know the grammar. Write them, and measure
# them. What would they do with a real review?


# %% tags=["solution"]
def clause(text):
    """Return the words of the clause on the film."""
    parts = re.split(f" (?:{'|'.join(LINKS)}) ", text)
    return next(part for part in parts if " film " in part).split()


praising = {}  # adjective -> whether it is praise, from the first sentence that has it
for text, label in rows:
    words = clause(text)
    praising.setdefault(words[-1], (words[0] in AFFIRMING) == (label == "good"))
right = sum((praising[clause(text)[-1]] == (clause(text)[0] in AFFIRMING)) == (label == "good") for text, label in rows)
print(f"{right / len(rows):.1%} right, with", *sorted(praising))

# %% [markdown]
# **3.** Train with the initial weights of PyTorch (`initialization="default"`), for as many sentences as the model
# above needed. How far does it come?

# %% tags=["solution"]
settings = {"initialization": "default", "chrono_max_steps": None, "max_sequences": record.sequences_seen}
seqhub.train(task="sentiment/short", output_dir="default", evaluate_size=500, **settings)
found = evaluate("default", num_examples=2_000, sibling_examples=0).evaluation["test"]["accuracy"]
print(f"{found:.1%}")
