# %% [markdown]
# # Your own data
#
# You have a table: texts with a label, or measurements over time. This notebook trains a model on each, compares it
# with predictions that need no network, and shows how a comparison becomes wrong without an error message. [The
# page](../own_data.md) lists all formats and options.

# %%
import csv
import math
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image

import seqhub
from seqhub.cli.results import draw

torch.set_num_threads(1)

# %% [markdown]
# ## Make a table
#
# Visitors write about a film and about the dinner before it, in any order. The label is whether the *film* was good. A
# row that says `lovely` may be good or bad, so counting words is not enough: the model must connect two words that are
# far apart.

# %%
random = np.random.default_rng(0)
places = "in the first row", "with two old friends", "after a long day", "without any hope", "on a rainy evening"
rows = []
for _ in range(2_000):
    film, dinner = random.permutation(["lovely", "dull"])
    parts = [f"the {what} {random.choice(places)} was {how}" for what, how in (("film", film), ("dinner", dinner))]
    rows.append((" and ".join(random.permutation(parts)), "good" if film == "lovely" else "bad"))
with open("reviews.csv", "w", newline="") as file:
    csv.writer(file).writerows([("review", "label"), *rows])
for text, label in rows[:4]:
    print(f"{label:>4}  {text}")

# %% [markdown]
# ## Train on it
#
# One call reads the table, finds the columns, assigns the rows to splits, trains, and evaluates. Rows with the same
# text are in the same split, so no test row was seen in training.

# %%
record = seqhub.train(data="reviews.csv", output_dir="reviews", epochs=8, seed=1)
reading = record.data["reading"]
print(f"kind {record.task.config_name}, {reading['tokens']} of the column {reading['inputs'][0]!r}")
print(f"{record.sequences_seen:,} sequences, test accuracy {record.evaluation['test']['accuracy']:.1%}")

# %% [markdown]
# ## Compare it with simple predictions
#
# `seqhub train` in a terminal prints this comparison. `symbol counts` is naive Bayes on the words. It is not better
# than a coin, since each word is as frequent in good rows as in bad ones; all rows of a text are in one split, so it
# may even be worse. A model that is not better than these has learnt nothing that they do not know.

# %%
for name, found in record.data["baselines"].items():
    print(f"{name:>15}  {found['test']:.1%}")
print(f"{record.model:>15}  {record.evaluation['test']['accuracy']:.1%}")

# %%
draw(Path("reviews"))
Image("reviews/figures/curves.png", width=640)

# %% [markdown]
# ## Predict new rows
#
# The folder has all that a prediction needs: the vocabulary, the weights and the classes.

# %%
texts = [
    "the dinner after a long day was lovely and the film without any hope was dull",
    "the film in the first row was lovely and the dinner on a rainy evening was dull",
    "The film was lovely!",
]
for each in seqhub.predict("reviews", texts):
    print(f"{each.value:>4}  {each.probabilities['good']:4.0%} good  {texts[each.row]}")

# %% [markdown]
# The last sentence is unlike any row of the table. The model answers it, too, and its probability does not tell you
# that it should not be trusted.
#
# ## Train on measurements
#
# A row can also be a series of numbers. Here two kinds of waves have the same mean and the same range, and differ only
# in their speed.

# %%
waves = [[math.sin(0.2 * (1 + n % 2) * t + n) * 40 + 500 for t in range(40)] for n in range(600)]
values = np.array(waves) + random.normal(0, 10, (600, 40))
np.savez("waves.npz", x=values.round(1), y=np.array(["slow", "fast"])[np.arange(600) % 2])
record = seqhub.train(data="waves.npz", output_dir="waves", epochs=15, seed=1)
for name, found in record.data["baselines"].items():
    print(f"{name:>17}  {found['test']:.1%}")
print(f"{record.model:>17}  {record.evaluation['test']['accuracy']:.1%}")

# %% [markdown]
# The values are around 500. The model was given numbers around 0, because each channel is scaled with the mean and
# deviation of the training rows. The scaling is saved with the model:

# %%
features = record.data["reading"]["features"]
print({name: [round(value, 1) for value in features[name]] for name in ("mean", "center", "spread")})
print([each.value for each in seqhub.predict("waves", values[:6])])

# %% [markdown]
# ## Exercises
#
# **1.** Each of 60 patients has ten measurements, which are similar to each other. The diagnosis is random: it cannot
# be seen in the measurements at all. Train on the file below, once without an option and once with
# `data_options={"group": "patient"}`. Which number can you believe?

# %%
with open("patients.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["patient", "values", "diagnosis"])
    for patient in range(60):
        level, diagnosis = random.normal(size=3), random.choice(["ill", "well"])
        for _ in range(10):
            table.writerow(
                [patient, [round(float(x), 2) for x in np.tile(level, 3) + random.normal(0, 0.1, 9)], diagnosis]
            )

# %% tags=["solution"]
for options in ({}, {"group": "patient"}):
    folder = "by-patient" if options else "by-row"
    options = {"inputs": ("values",), "target": "diagnosis"} | options
    record = seqhub.train(data="patients.csv", data_options=options, output_dir=folder, epochs=40, seed=1)
    print(f"{folder:>10}  {record.evaluation['test']['accuracy']:.0%}")
# By row, the model recognises patients that it knows. By patient, it meets new ones, and does not exceed chance level.

# %% [markdown]
# **2.** Give `reviews.csv` a typing error: change the label of 100 rows. How does the test accuracy change, and which
# accuracy is the best that a model can have now?

# %% tags=["solution"]
swapped = {"good": "bad", "bad": "good"}
with open("noisy.csv", "w", newline="") as file:
    noisy = [(text, swapped[label] if number < 100 else label) for number, (text, label) in enumerate(rows)]
    csv.writer(file).writerows([("review", "label"), *noisy])
record = seqhub.train(data="noisy.csv", output_dir="noisy", epochs=8, seed=1)
print(
    f"{record.evaluation['test']['accuracy']:.1%}"
)  # one of 20 labels is wrong in the test, too: about 95 % is the best

# %% [markdown]
# **3.** How many rows does the model need? Train with the first 250, 500 and 1,000 rows of `reviews.csv`, and mind the
# intervals: a tenth of the rows is a small test.

# %% tags=["solution"]
for number in (250, 500, 1_000):
    with open(f"first-{number}.csv", "w", newline="") as file:
        csv.writer(file).writerows([("review", "label"), *rows[:number]])
    record = seqhub.train(data=f"first-{number}.csv", output_dir=f"first-{number}", epochs=20, seed=1)
    tested = record.evaluation["test"]
    low, high = tested["interval"]
    print(f"{number:5} rows  {tested['accuracy']:.0%}, 95 % interval {low:.0%} to {high:.0%}")

# %% [markdown]
# **4.** The model of the reviews is sure about `The film was lovely!`. Is it sure about a text without any meaning?

# %% tags=["solution"]
texts = ["lovely", "dull dull dull", "film dinner film dinner", "the the the the the", "qwertz"]
for each in seqhub.predict("reviews", texts):
    print(
        f"{each.probabilities['good']:4.0%} good  {texts[each.row]}"
    )  # a softmax always adds up to 1: nothing says no
