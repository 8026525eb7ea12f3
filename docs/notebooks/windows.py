# %% [markdown]
# # Windows of a sequence
#
# A convolution uses the same weights everywhere. That is right if a pattern means the same at each place. Here it does
# not: what a peak votes for depends on its position *and* on the window that it is in. You train a layer with weights
# of its own for each window, compare it with a dense layer and with a convolution, and look at the weights. [The
# page](../tasks/windows.md) has all results.

# %%
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image
from torch import nn

import seqhub
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.plots.tasks.windows import draw_weights, hidden_weights
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# A row of `windows/k4-n8` has 32 values: eight windows of four. One value of each window is a peak. A peak at position
# p of window n votes for class (p + n) mod 4, and the class with most votes is the target.

# %%
row = Split("windows/k4-n8", "test")[0]
values = np.array(row.inputs).reshape(8, 4)
votes = np.zeros(4, int)
for window, four in enumerate(values):
    peak = int(four.argmax())
    votes[(peak + window) % 4] += 1
    print(
        f"window {window}:", *(f"{value:5.2f}" for value in four), f"  peak at {peak} votes for {(peak + window) % 4}"
    )
print("votes:", votes, "target:", row.target)

# %% [markdown]
# ## Train three layers
#
# All hidden layers have the same number of outputs. The local one has an eighth of the weights of the dense one,
# because an output sees one window instead of eight. The convolution has still fewer.

# %%
for name in ("locally_connected", "fully_connected", "cnn"):
    record = seqhub.train(task="windows/k4-n8", model=name, output_dir=name, max_sequences=9_600, evaluate_size=2_000)
    found = evaluate(name, num_examples=2_000, sibling_examples=0).evaluation["test"]["accuracy"]
    print(f"{name:>17}: {record.num_parameters:5,} weights, {record.sequences_seen:5,} sequences, test {found:.1%}")

# %% [markdown]
# The convolution stays at chance level, a quarter. It is not too small: it cannot represent the rule, whatever its
# weights. The dense layer needs the *fewest* examples, although it has most weights; a restriction that fits the task
# saves weights, not necessarily examples.
#
# ## Look at the weights
#
# The local layer is a dense layer whose matrix is zero outside of blocks. What did the dense layer learn in the same
# places, and what outside of them?

# %%
layers = {name: hidden_weights(Path(name)) for name in ("locally_connected", "fully_connected")}
draw_weights(layers, Path("weights.png"), title="Weights of the hidden layer")
Image("weights.png", width=640)

# %% [markdown]
# ## Write a local layer
#
# `unfold` makes windows, and one `einsum` multiplies each by a matrix of its own. Compare: the same result from a dense
# layer with zeros.

# %%
torch.manual_seed(0)
weights = torch.randn(8, 4, 2)  # window, value, output
inputs = torch.randn(5, 32)
local = torch.einsum("bnk,nko->bno", inputs.unfold(1, 4, 4), weights).flatten(1)
dense = nn.Linear(32, 16, bias=False)
with torch.no_grad():
    dense.weight.zero_()
    for window in range(8):
        dense.weight[2 * window : 2 * window + 2, 4 * window : 4 * window + 4] = weights[window].T
print("equal:", torch.allclose(local, dense(inputs), atol=1e-6))

# %% [markdown]
# ## Exercises
#
# **1.** Exchange windows 0 and 1 of each test row. Each vote of the two windows now counts for another class. Does the
# trained local layer notice?

# %% tags=["solution"]
model = load_model(Path("locally_connected"))
batch = Split("windows/k4-n8", "test").blocks(0, 1)
inputs, labels = torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)
order = [*range(4, 8), *range(4), *range(8, 32)]
with torch.inference_mode():
    for name, each in (("unchanged", inputs), ("exchanged", inputs[:, order])):
        print(f"{name}: {float((model(input_values=each).logits.argmax(1) == labels).float().mean()):.1%}")

# %% [markdown]
# **2.** The program above, which counts votes, is a classifier, too. Which accuracy has it on the test rows, and how
# often does it find a tie?

# %% tags=["solution"]
windows = batch.inputs.reshape(-1, 8, 4)
classes = (windows.argmax(-1) + np.arange(8)) % 4
counts = (classes[:, :, None] == np.arange(4)).sum(1)
print(f"{(counts.argmax(1) == batch.labels).mean():.1%}")
tied = (counts == counts.max(1, keepdims=True)).sum(1) > 1
print(f"{tied.mean():.1%} of the rows have a tie")

# %% [markdown]
# **3.** Give a linear model on all 32 values a chance: fit it with least squares. Is a hidden layer necessary?

# %% tags=["solution"]
train = Split("windows/k4-n8", "train").blocks(0, 8)
flat = [np.c_[each.inputs.reshape(len(each), -1), np.ones(len(each))] for each in (train, batch)]
weights, *_ = np.linalg.lstsq(flat[0], np.eye(4)[train.labels], rcond=None)
print(f"{((flat[1] @ weights).argmax(1) == batch.labels).mean():.1%}")
# It is not: votes add up, so a linear model can count them. Try the simplest model first.
