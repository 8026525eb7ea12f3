# %% [markdown]
# # Your own architecture
#
# You have an idea for a recurrent network. This notebook takes it from a file of 25 lines to a comparison with an LSTM
# on a task with a simple answer and an unforgiving test: **parity**, on sequences much longer than those in training.
# [The page](../own_architecture.md) has the options, [Compare models on tasks](../bench.md) the full comparison.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import seqhub
from seqhub.evaluation.evaluate import evaluate
from seqhub.plots.style import CYCLE, tidy
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the task
#
# At each step, the target is whether the number of ones so far is odd (1) or even (0). One bit of memory is enough, and
# it must change its value at each 1. A mean over the inputs does not help, and neither does the recent past.

# %%
for number in range(3):
    text, target = Split("parity/every", "test")[number]
    print(text)
    print("".join("1" if each == "odd" else "0" for each in target), "\n")

# %% [markdown]
# ## Write a module
#
# Any `torch.nn.Module` will do that maps vectors (batch, steps, width) to hidden states of the same shape. seqhub adds
# the embedding and the head of the task.
#
# The idea here is the delta rule: the state is a matrix that stores a value under a key. A step reads the value that is
# stored under its key, and moves it towards a new one by the share beta. It looks harmless whether beta ends at 1 or at
# 2. It is not: with beta above 1 the matrix of the step has a negative eigenvalue, so that a step can *change the sign*
# of what is stored (Grazzi et al., 2025).

# %%
_ = Path("delta.py").write_text('''
import torch
from torch import nn
from torch.nn.functional import normalize


class Delta(nn.Module):
    """A delta rule: the state stores values under keys."""

    def __init__(self, hidden_size, heads=2, negative=True):
        super().__init__()
        self.heads, self.largest = heads, 2 if negative else 1
        self.read = nn.Linear(hidden_size, 3 * hidden_size + heads)
        self.write = nn.Linear(hidden_size, hidden_size)

    def forward(self, x):
        mixed, beta = self.read(x).split([3 * x.size(-1), self.heads], dim=-1)
        q, k, v = mixed.unflatten(-1, (3, self.heads, -1)).unbind(2)
        k, beta = normalize(k, dim=-1), beta.sigmoid().unsqueeze(-1) * self.largest
        state, outputs = q.new_zeros(*q[:, 0].shape, v.size(-1)), []
        for t in range(x.size(1)):
            error = beta[:, t] * (v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t]))
            state = state + torch.einsum("bhk,bhv->bhkv", k[:, t], error)
            outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]).flatten(1))
        return x + self.write(torch.stack(outputs, dim=1))
''')

# %% [markdown]
# ## Test it before you train it
#
# Each run starts with a test of the module: whether a state depends on later steps, on padding or on other rows of the
# batch, whether gradients are finite, and whether a saved copy is equal. The record has the results. An architecture
# that looks ahead would solve this task without any memory, so seqhub refuses it:

# %%
Path("ahead.py").write_text('''
from torch import nn


class Ahead(nn.Module):
    """A network that looks one step ahead."""

    def __init__(self, hidden_size):
        super().__init__()
        self.mix = nn.Conv1d(hidden_size, hidden_size, 3, padding=1)

    def forward(self, x):
        return self.mix(x.transpose(1, 2)).transpose(1, 2)
''')
try:
    seqhub.train(task="parity/every", model="ahead.py:Ahead", output_dir="ahead", max_sequences=320)
except seqhub.errors.SeqhubError as error:
    print(error)

# %% [markdown]
# ## Train it beside an LSTM
#
# The budget is the same for all: sequences, learning rate and batches. A fair comparison also gives each model its best
# learning rate and several seeds; `seqhub bench` does that, and takes longer.

# %%
MODELS = {
    "LSTM": "lstm?hidden_size=16",
    "delta rule, beta to 1": "delta.py:Delta?hidden_size=16&negative=false",
    "delta rule, beta to 2": "delta.py:Delta?hidden_size=16",
}
budget = {"max_sequences": 6_400, "evaluate_every": 3_200, "evaluate_size": 256, "learning_rate": 0.01}
budget |= {"batch_size": 16, "stop_at": "none"}
results = {}
for number, (name, model) in enumerate(MODELS.items()):
    record = seqhub.train(task="parity/every", model=model, output_dir=f"run-{number}", seed=1, **budget)
    results[name] = evaluate(f"run-{number}", num_examples=200, sibling_examples=50).evaluation
    print(f"{name:>21}  {record.num_parameters:5,} weights, test accuracy {results[name]['test']['accuracy']:.1%}")

# %% [markdown]
# ## Test it on longer sequences
#
# Training had 3 to 40 steps. A model that solved the test by another way than counting is found out here.

# %%
PARTS = {"test": "3 to 40", "every@len40-256/test": "40 to 256", "every@len512/test": "512"}
figure, axes = plt.subplots(figsize=(6, 2.6))
for number, (name, found) in enumerate(results.items()):
    axes.bar([place + 0.27 * number for place in range(3)], [found[part]["accuracy"] for part in PARTS], 0.25,
             label=name, color=CYCLE[number])  # fmt: skip
axes.set_xticks([0.27, 1.27, 2.27], [f"{steps} steps" for steps in PARTS.values()])
axes.set_ylabel("accuracy of steps")
axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
tidy(axes)
plt.show()

# %% [markdown]
# One line of the module decides whether it can solve the task at all. The LSTM solves it, too, and exactly: its state
# is not linear, so errors do not add up over hundreds of steps.
#
# The sizes are also in the record. `state` is the number of values in the state after 1 step and after 256, of models
# that have one that seqhub knows. A model whose state grows with the sequence, such as attention, would be a different
# kind of solution.

# %%
for number, name in enumerate(MODELS):
    sizes = seqhub.records.RunRecord.load(f"run-{number}").sizes
    print(f"{name:>21}", {key: value for key, value in sizes.items() if key != "embedding"})

# %% [markdown]
# ## Exercises
#
# **1.** Write a leaky integrator, `h = leak * h + x`, with a learnt leak between 0 and 1 for each unit, and train it
# with the same budget. Why does it fail?

# %% tags=["solution"]
Path("leaky.py").write_text('''
import torch
from torch import nn


class Leaky(nn.Module):
    """A leaky integrator."""

    def __init__(self, hidden_size):
        super().__init__()
        self.leak = nn.Parameter(torch.randn(hidden_size))
        self.read, self.write = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def forward(self, x):
        mixed, state, states = self.read(x), torch.zeros_like(x[:, 0]), []
        for t in range(x.size(1)):
            state = self.leak.sigmoid() * state + mixed[:, t]
            states.append(state)
        return self.write(torch.stack(states, dim=1).tanh())
''')
seqhub.train(task="parity/every", model="leaky.py:Leaky?hidden_size=16", output_dir="leaky", seed=1, **budget)
found = evaluate("leaky", num_examples=200, sibling_examples=0).evaluation
print(f"{found['test']['accuracy']:.1%}")
# The state is a weighted sum of the inputs with positive weights. Parity is not a function of such a sum that a smooth
# readout can find: the sign of the state never changes because of what is stored.

# %% [markdown]
# **2.** Change one character of your leaky integrator so that a leak can be negative, between -1 and 1. Is that enough?

# %% tags=["solution"]
text = Path("leaky.py").read_text().replace("self.leak.sigmoid()", "self.leak.tanh()")
Path("signed.py").write_text(text)
seqhub.train(task="parity/every", model="signed.py:Leaky?hidden_size=16", output_dir="signed", seed=1, **budget)
found = evaluate("signed", num_examples=200, sibling_examples=0).evaluation
print(f"{found['test']['accuracy']:.1%}")
# It is better, but not enough: the leak has a sign now, which is the same for a 0 and a 1. The sign must depend on the
# input, as in the delta rule, whose beta is computed from it.

# %% [markdown]
# **3.** One seed is not a comparison. Train the delta rule with `beta to 2` with the seeds 2 and 3, and test it on 512
# steps.

# %% tags=["solution"]
for seed in (2, 3):
    seqhub.train(
        task="parity/every", model=MODELS["delta rule, beta to 2"], output_dir=f"seed-{seed}", seed=seed, **budget
    )
    found = evaluate(f"seed-{seed}", num_examples=200, sibling_examples=50).evaluation
    print(f"seed {seed}: {found['test']['accuracy']:.1%}, {found['every@len512/test']['accuracy']:.1%} of 512 steps")
