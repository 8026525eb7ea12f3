# %% [markdown]
# # Ramps: a sequence in one vector
#
# An encoder reads a sequence into one vector, and a decoder writes the sequence from it. It needs no labels: the input
# is the target. What is in the vector? For ramps, which change by the same amount at each step, two numbers would be
# enough, so you know what a good code is. The task is from a question on how to make an LSTM autoencoder; [its
# page](../tasks/ramps.md) has all results.

# %%
import shutil
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
from seqhub.plots.style import tidy
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# The example of the question is one sequence of five steps, and the same cut to three. A step may have any shape; here
# it is a pair. The config `pair` has unseen ramps, with a start and a slope for each of the two values.

# %%
for number in range(2):
    print(np.array(Split("ramps/tutorial")[number].inputs, float).round(1).tolist())
for number in range(2):
    print(np.array(Split("ramps/pair", "test")[number].inputs, float).round(2).tolist())

# %% [markdown]
# ## Memorise two sequences
#
# The recipe trains on the two sequences until both are reconstructed within 1e-4.

# %%
record = seqhub.train(task="ramps/tutorial", recipe_name="tutorial", output_dir="two")
tested = evaluate("two", sibling_examples=0).evaluation["test"]
print(f"{record.num_parameters:,} weights, {record.sequences_seen} sequences")
print(f"worst squared error {tested['worst_mse']:.0e}")

# %% [markdown]
# Five thousand weights have memorised sixteen numbers. That shows that the program works, and nothing else. With a ramp
# that it was not trained on:

# %%
model = load_model(Path("two"))
ramp = torch.linspace(0.5, -0.5, 5)[None, :, None].expand(1, 5, 2)
with torch.inference_mode():
    print("input ", ramp[0, :, 0].numpy().round(2))
    print("output", model(ramp.contiguous()).logits[0, :, 0].numpy().round(2))

# %% [markdown]
# ## Reconstruct unseen ramps
#
# The released model was trained on 92,800 different ramps. The circles are the reconstructions of test sequences.

# %%
shutil.copytree(pretrained("ramps-pair-lstm_autoencoder"), "pair")
draw(Path("pair"))
Image("pair/figures/reconstructions.png", width=640)

# %% [markdown]
# ## Look into the vector
#
# The code has 64 numbers. How many of them does it need? The singular values of the codes of a thousand ramps show the
# number of directions in which they differ.

# %%
model = load_model(Path("pair"))
batch = Split("ramps/pair", "test").blocks(0, 1)
values, lengths = torch.from_numpy(batch.inputs), torch.from_numpy(batch.lengths)
mask = torch.arange(values.shape[1]) < lengths[:, None]
with torch.inference_mode():
    codes = model.base_model(values, attention_mask=mask).latent
sizes = torch.linalg.svdvals(codes - codes.mean(0))
shares = sizes**2 / (sizes**2).sum()
figure, axes = plt.subplots(figsize=(5, 2.2))
axes.bar(range(1, 13), shares[:12])
axes.set_xlabel("direction")
axes.set_ylabel("share of the variance")
tidy(axes)
plt.show()
print(f"the first five directions have {shares[:5].sum():.1%} of the variance")

# %% [markdown]
# A pair of ramps is determined by two starts and two slopes, and the length is different, too: five numbers. The
# network was not told so.
#
# ## Read the numbers from the code
#
# A linear probe on the code shows whether start and slope are in it.

# %%
first, slope = values[:, 0], values[:, 1] - values[:, 0]
known = torch.cat([first, slope, lengths[:, None].float()], dim=1)
inputs = torch.cat([codes, torch.ones(len(codes), 1)], dim=1)
weights = torch.linalg.lstsq(inputs[:512], known[:512]).solution
errors = ((inputs[512:] @ weights - known[512:]) ** 2).mean(0) / known[512:].var(0)
for name, error in zip(("start 1", "start 2", "slope 1", "slope 2", "length"), errors, strict=True):
    print(f"{name}: {1 - error:.1%} of the variance is read from the code")

# %% [markdown]
# ## Exercises
#
# **1.** Train the model on the two sequences for width 2 instead of 20 (`hidden_size=2`). Do two numbers suffice for
# two sequences?

# %% tags=["solution"]
settings = {"hidden_size": 2, "max_sequences": 2_000, "epochs": 1_000}
seqhub.train(task="ramps/tutorial", recipe_name="tutorial", output_dir="narrow", **settings)
tested = evaluate("narrow", sibling_examples=0).evaluation["test"]
print(f"mean squared error {tested['mse']:.0e}, worst {tested['worst_mse']:.0e}")
# In principle one number suffices for two sequences. Whether training finds it is another question.

# %% [markdown]
# **2.** Which code has a mixture of two ramps? Average the codes of two test sequences of the same length, decode the
# average, and compare it with the average of the two sequences.

# %% tags=["solution"]
one, other = torch.nonzero(lengths == 8)[:2, 0].tolist()
base = model.base_model
with torch.inference_mode():
    middle = (codes[one] + codes[other]) / 2
    states, _ = base.decoder(middle.expand(1, 8, -1))
    decoded = base.projection(states)[0]
print("decoded", decoded[:, 0].numpy().round(2))
print("average", ((values[one] + values[other]) / 2)[:, 0].numpy().round(2))

# %% [markdown]
# **3.** Give the model a sequence that is not a ramp, such as a zigzag. How does it go wrong, and what could this be
# used for?

# %% tags=["solution"]
zigzag = torch.tensor([[0.5, -0.5] * 4]).T.expand(8, 2)[None].contiguous()
with torch.inference_mode():
    print("output", model(zigzag).logits[0, :, 0].numpy().round(2))
    error = ((model(zigzag).logits - zigzag) ** 2).mean()
    expected = (((model(values, attention_mask=mask).logits - values) ** 2).mean(-1) * mask).sum() / mask.sum()
print(f"squared error {error:.2f}, of ramps {expected:.0e}")
# A large error shows that a sequence is unlike those of the training: an autoencoder finds unusual rows.
