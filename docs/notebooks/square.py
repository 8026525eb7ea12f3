# %% [markdown]
# # Squares, drawn in two directions
#
# A pen visits the four corners of a square, one after the other. Does it move clockwise or counter-clockwise? A
# recurrence of two units is enough, and two units are a point in a plane: in this notebook you see a network decide.
# The task is from chapter 8 of D. Voigt Godoy, "Deep Learning with PyTorch Step-by-Step" (2021); [its
# page](../tasks/square.md) has all results.

# %%
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image
from torch import nn

import seqhub
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.evaluation.load import load_model
from seqhub.plots.tasks.square import canonical_sequences, draw_data, draw_states
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# A row has four points with two coordinates each. The corners are at (±1, ±1), with some noise. A sequence may start at
# any corner, so there are eight without noise, and each point is as frequent in both classes. One point says nothing
# about the direction. Two of them do, if the network knows which was first.

# %%
rows = [Split("square/tutorial", "test")[number] for number in range(10)]
print(np.array(rows[0].inputs, float).round(2).tolist(), rows[0].target)
draw_data([row.inputs for row in rows], [row.target for row in rows], Path("rows.png"))
Image("rows.png", width=640)

# %% [markdown]
# ## Follow a recurrence with your own hands
#
# A step is one line: the new state is the tanh of the point and of the old state, each times a matrix. Here is a
# network with random weights, and the same computation without `nn.RNN`.

# %%
torch.manual_seed(0)
layer = nn.RNN(2, 2, batch_first=True)
points = torch.tensor(np.array(rows[0].inputs), dtype=torch.float32)
state = torch.zeros(2)
for step, point in enumerate(points):
    state = torch.tanh(layer.weight_ih_l0 @ point + layer.bias_ih_l0 + layer.weight_hh_l0 @ state + layer.bias_hh_l0)
    print(f"after point {step + 1}: {state[0]:6.3f} {state[1]:6.3f}")
print("equal to nn.RNN:", torch.allclose(state, layer(points[None])[1][0, 0], atol=1e-6))

# %% [markdown]
# ## Train the network of the book
#
# It has 15 weights. The recipe `tutorial` uses the data and settings of the book and the seed of its program, and
# obtains its result: 50 of 53 and 75 of 75 test sequences are right.

# %%
seqhub.train(task="square/tutorial", model="rnn_tanh", recipe_name="tutorial", output_dir="book")
record = evaluate("book", sibling_examples=0)
for name, counts in record.evaluation["test"]["per_class"].items():
    print(f"{name:>17}: {counts['correct']} of {counts['total']}")

# %% [markdown]
# ## Watch it decide
#
# Each panel is a step, each dot the state for one of the eight sequences without noise. The line is where the readout
# changes its answer; blue is clockwise. After one point, four pairs of dots are at the same place: nothing is known
# yet. Then the pairs separate. After two points three sequences are still on the wrong side of the line, after three
# points one, after four none.

# %%
traces = [load_tracer(Path("book"))(points) for points, _ in canonical_sequences()]
states, readout = (
    np.array(each) for each in zip(*((trace.states["hidden"], trace.readout) for trace in traces), strict=True)
)
draw_states(states, readout, Path("states.png"))
Image("states.png", width=800)

# %% [markdown]
# ## Use gates
#
# With ten seeds instead of one, this network has between 106 and 128 of 128 right: its seed was a good one. An LSTM of
# the same width is right with all ten. Here are two of them:

# %%
for name in ("rnn_tanh", "lstm"):
    right = []
    for seed in (1, 3):
        folder = f"{name}-{seed}"
        settings = {"weights_seed": seed, "order_seed": seed, "output_dir": folder}
        seqhub.train(task="square/tutorial", model=name, recipe_name="tutorial", **settings)
        counts = evaluate(folder, sibling_examples=0).evaluation["test"]["per_class"].values()
        right.append(sum(each["correct"] for each in counts))
    print(f"{name:>9}: {right} of 128")

# %% [markdown]
# ## Exercises
#
# **1.** Which direction does the network of the book see in a sequence whose points are all at the same corner?

# %% tags=["solution"]
model = load_model(Path("book"))
corners = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
still = torch.tensor([[corner] * 4 for corner in corners], dtype=torch.float32)
with torch.inference_mode():
    logits = model(input_values=still).logits[:, 0]
for corner, logit in zip(corners, logits, strict=True):
    print(corner, f"probability of the second class: {logit.sigmoid():.2f}")
# There is no right answer, and the network gives one, often a sure one. It has two classes and no third.

# %% [markdown]
# **2.** Reverse the order of the points of the eight sequences without noise. The other class should be the answer. Is
# it, each time?

# %% tags=["solution"]
sequences = torch.tensor(np.array([points for points, _ in canonical_sequences()]), dtype=torch.float32)
with torch.inference_mode():
    forwards, backwards = (model(input_values=each).logits[:, 0] > 0 for each in (sequences, sequences.flip(1)))
print(int((forwards != backwards).sum()), "of 8 answers change")

# %% [markdown]
# **3.** A network without memory: average the four points and classify the mean with a linear layer. Measure its
# accuracy on `square/fixed` with least squares.

# %% tags=["solution"]
train, test = (Split("square/fixed", name).blocks(0, 4) for name in ("train", "test"))
inputs = [np.c_[batch.inputs.mean(axis=1), np.ones(len(batch.inputs))] for batch in (train, test)]
weights, *_ = np.linalg.lstsq(inputs[0], 2.0 * train.labels - 1, rcond=None)
print(
    f"{((inputs[1] @ weights > 0) == test.labels).mean():.1%}"
)  # every corner is visited: the mean is always the centre

# %% [markdown]
# **4.** The area that a path encloses has a sign, which is the direction (the shoelace formula). Write it for sequences
# of four points, and measure its accuracy on the same rows.

# %% tags=["solution"]
x, y = test.inputs[..., 0], test.inputs[..., 1]
area = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1) / 2
names = Split("square/fixed", "test").schema.labels
found = np.where(area > 0, names.index("counter-clockwise"), names.index("clockwise"))
print(f"{(found == test.labels).mean():.1%}")  # products of neighbouring points: what the network must approximate
