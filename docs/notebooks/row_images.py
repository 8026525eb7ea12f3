# %% [markdown]
# # Images, read row by row
#
# An image is a sequence if you read one row of pixels at a time, as a scanner does. The network never sees the whole
# image: what it knows about the upper rows is in its state. So you can stop it in the middle and ask for the answer.
# The images are the 1,797 handwritten digits of the UCI repository (Alpaydin & Kaynak, 1998), which are part of the
# package; [the page](../tasks/row_images.md) has all results.

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
from seqhub.plots.style import tidy
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# An image of `digits8` has eight rows of eight pixels: eight steps with eight values each.

# %%
split = Split("row_images/digits8", "test")
print({name: Split("row_images/digits8", name).size for name in ("train", "validation", "test")})
print(np.array(split[0].inputs, float).round(1)[:3].tolist(), "...", split[0].target)
figure, panels = plt.subplots(1, 10, figsize=(7, 1))
for axes, number in zip(panels, range(10), strict=True):
    axes.imshow(split[number].inputs, cmap="gray_r")
    axes.set_title(split[number].target, fontsize=8)
    axes.axis("off")
plt.show()

# %% [markdown]
# ## Train a small LSTM
#
# One layer of 32 units has a small part of the weights of the model in the recipe. The data are few, so the training
# loss says little: look at the test.

# %%
settings = {"hidden_size": 32, "num_hidden_layers": 1, "epochs": 12, "learning_rate": 0.01}
record = seqhub.train(task="row_images/digits8", output_dir="digits", **settings)
tested = evaluate("digits", sibling_examples=0).evaluation["test"]
low, high = tested["interval"]
print(f"{record.num_parameters:,} weights, {record.sequences_seen:,} images, {record.sequences_seen // 1438} passes")
print(f"{tested['accuracy']:.1%} of {tested['examples']} test images, 95 % interval {low:.1%} to {high:.1%}")

# %% [markdown]
# With so few test images, one more error changes the accuracy by 0.6 %, and the interval is wide. Two models whose
# intervals overlap this much cannot be ranked.
#
# ## Ask before the end
#
# To the right of each image are the probabilities of the ten digits after each row, from top to bottom. The reading
# starts with a guess, and some rows change it completely.

# %%
draw(Path("digits"))
Image("digits/figures/digits-row-by-row.png", width=800)

# %% [markdown]
# ## Find out which row decides
#
# This is the accuracy if the image ended after each row. The model was trained on complete images only.

# %%
model = load_model(Path("digits"))
batch = split.blocks(0, 1)
images, labels = torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)
with torch.inference_mode():
    shares = [
        float((model(input_values=images[:, :rows]).logits.argmax(1) == labels).float().mean()) for rows in range(1, 9)
    ]
figure, axes = plt.subplots(figsize=(5, 2.2))
axes.plot(range(1, 9), shares, marker="o")
axes.set_xlabel("rows read")
axes.set_ylabel("accuracy")
tidy(axes)
plt.show()

# %% [markdown]
# ## See the errors
#
# A confusion matrix has the digits in its rows and the answers in its columns. Is there a pattern? With so few errors
# you cannot know.

# %%
for digit, counts in enumerate(tested["confusion"]):
    print(digit, *(f"{count or '.':>3}" for count in counts))

# %% [markdown]
# ## Exercises
#
# **1.** Turn the test images upside down, so that the last row is read first. Which accuracy do you expect? Measure it,
# and find a digit that survives.

# %% tags=["solution"]
with torch.inference_mode():
    found = model(input_values=images.flip(1)).logits.argmax(1)
print(f"{float((found == labels).float().mean()):.0%}")
for digit in range(10):
    print(digit, f"{float((found[labels == digit] == digit).float().mean()):.0%}", end="  ")
# Digits that are symmetric from top to bottom survive best.

# %% [markdown]
# **2.** Does the order of the rows matter at all? Average the rows of an image and fit a linear rule to the mean. Then
# fit one to all 64 pixels.

# %% tags=["solution"]
train = Split("row_images/digits8", "train")
rows = train.blocks(0, -(-train.size // 1024))
for name, features in (("mean of the rows", lambda x: x.mean(1)), ("all pixels", lambda x: x.reshape(len(x), -1))):
    inputs = [np.c_[features(each.inputs), np.ones(len(each.inputs))] for each in (rows, batch)]
    weights, *_ = np.linalg.lstsq(inputs[0], np.eye(10)[rows.labels], rcond=None)
    print(f"{name}: {((inputs[1] @ weights).argmax(1) == batch.labels).mean():.1%}")
# A linear rule on all pixels is a strong baseline: compare with it before you praise a network.

# %% [markdown]
# **3.** Train the plain recurrence (`model="rnn_tanh"`) with learning rates of 0.01 and 0.001. Which one is better
# after twelve passes, and what does this say about the architecture?

# %% tags=["solution"]
for learning_rate in (0.01, 0.001):
    folder = f"plain-{learning_rate}"
    settings |= {"learning_rate": learning_rate}
    seqhub.train(task="row_images/digits8", model="rnn_tanh", output_dir=folder, **settings)
    found = evaluate(folder, sibling_examples=0).evaluation["test"]["accuracy"]
    print(f"learning rate {learning_rate}: {found:.1%}")
# An architecture can only be compared with its own best learning rate.
