# %% [markdown]
# # Chirps in a spectrogram
#
# A tone rises or falls, in noise. The network reads a spectrogram: a sequence of spectra, one for each window of time.
# A convolution looks for shapes along the frequency, and an LSTM connects the windows. This notebook shows how easily
# the two are combined wrongly, without an error, and how to find out what a model uses. [The page](../tasks/chirps.md)
# has all results.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image

import seqhub
from seqhub.cli.results import draw
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.models.pretrained import pretrained
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# A row of `chirps/direction` has 40 to 64 windows with the power at 32 frequencies. These are two of each class.

# %%
rows = [Split("chirps/direction", "test")[number] for number in range(16)]
chosen = [row for name in ("rising", "falling") for row in [each for each in rows if each.target == name][:2]]
figure, panels = plt.subplots(1, 4, figsize=(7.5, 2), sharey=True)
for axes, row in zip(panels, chosen, strict=True):
    axes.imshow(np.array(row.inputs).T, origin="lower", aspect="auto", cmap="Greys")
    axes.set_title(row.target, fontsize=9)
    axes.set_xlabel("window")
panels[0].set_ylabel("frequency")
plt.show()

# %% [markdown]
# ## Mix up two axes
#
# A convolution returns (batch, channels, frequencies, time). An LSTM needs (batch, time, values). `view` makes any
# shape fit, and the result is wrong: it reads the numbers in the order in which they are in memory. Follow the times of
# the values in the first step:

# %%
time = torch.arange(6).expand(1, 2, 3, 6)  # each value is the time that it belongs to
wrong, right = time.reshape(1, 6, 6), time.permute(0, 3, 1, 2).reshape(1, 6, 6)
print("view:   ", wrong[0, 0].tolist(), "are the times of the first step")
print("permute:", right[0, 0].tolist())

# %% [markdown]
# ## Train
#
# The model pools the states of all windows with a maximum. This matters: the tone ends long before the row, and the
# last state must otherwise keep the answer through the noise.

# %%
settings = {"max_sequences": 3_200, "evaluate_size": 500}
record = seqhub.train(task="chirps/direction", output_dir="direction", **settings)
tested = evaluate("direction", num_examples=500, sibling_examples=0).evaluation["test"]
print(f"{record.num_parameters:,} weights, {record.sequences_seen:,} rows, test accuracy {tested['accuracy']:.1%}")

# %% [markdown]
# ## Test what it uses
#
# A high accuracy does not say why. If the model uses the direction, the same rows reversed in time belong to the other
# class, and rows with shuffled windows to none.

# %%
model = load_model(Path("direction"))
batch = Split("chirps/direction", "test").blocks(0, 1)
count = 256
mask = torch.arange(batch.inputs.shape[1]) < torch.from_numpy(batch.lengths[:count])[:, None]


def share(order) -> float:
    """Return the accuracy on the test rows with their windows in another order."""
    values = batch.inputs[:count].copy()
    for row, steps in enumerate(batch.lengths[:count]):
        values[row, :steps] = values[row, order(steps)]
    with torch.inference_mode():
        found = model(torch.from_numpy(values), attention_mask=mask).logits.argmax(1).numpy()
    return float((found == batch.labels[:count]).mean())


random = np.random.default_rng(0)
print(f"unchanged: {share(np.arange):.1%}")
print(f"reversed:  {share(lambda steps: np.arange(steps)[::-1]):.1%}")
print(f"shuffled:  {share(random.permutation):.1%}")

# %% [markdown]
# ## Look at gradients
#
# The bars under each spectrogram are the gradient of the winning score with respect to the window. It shows which
# windows would *change* the answer, not which ones it is based on: a clear tone has a small gradient, since the answer
# is already certain there.

# %%
draw(Path("direction"))
Image("direction/figures/spectrograms-with-saliency.png", width=640)

# %% [markdown]
# ## Exercises
#
# **1.** Average the spectra over time and fit a linear rule. How much of the task can be solved without order?

# %% tags=["solution"]
train = Split("chirps/direction", "train").blocks(0, 2)
means = [np.c_[each.inputs.sum(1) / each.lengths[:, None], np.ones(len(each))] for each in (train, batch)]
weights, *_ = np.linalg.lstsq(means[0], 2.0 * train.labels - 1, rcond=None)
print(f"{((means[1] @ weights > 0) == batch.labels).mean():.1%}")

# %% [markdown]
# **2.** A program without training: find the strongest frequency of the windows with most power, and fit a line. Which
# accuracy does the sign of its slope have?

# %% tags=["solution"]
right, names = 0, Split("chirps/direction").schema.labels
for values, steps, label in zip(batch.inputs, batch.lengths, batch.labels, strict=True):
    peaks, power = values[:steps].argmax(1), values[:steps].max(1)
    strong = np.flatnonzero(power > np.quantile(power, 0.7))
    slope = np.polyfit(strong, peaks[strong], 1, w=power[strong])[0]
    right += ("rising" if slope > 0 else "falling") == names[label]
print(f"{right / len(batch):.1%}")

# %% [markdown]
# **3.** Use the released model for the onset (`pretrained("chirps-onset-cnn_lstm")`). How far are its estimates from
# the onsets, in windows of 1/32 s?

# %% tags=["solution"]
onset = load_model(pretrained("chirps-onset-cnn_lstm"))
test = Split("chirps/onset", "test").blocks(0, 1)
inside = torch.arange(test.inputs.shape[1]) < torch.from_numpy(test.lengths)[:, None]
with torch.inference_mode():
    found = onset(torch.from_numpy(test.inputs), attention_mask=inside).logits[:, 0].numpy()
errors = abs(found - test.labels) * 32
print(f"median {np.median(errors):.2f} windows, nine of ten within {np.quantile(errors, 0.9):.2f}")
