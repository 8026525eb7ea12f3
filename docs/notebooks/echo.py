# %% [markdown]
# # Echo: an output at each step
#
# The input is a coin toss at each step, and the output is the toss of three steps ago. The memory is short, but it must
# work all the time: at each step the network stores a bit, moves two others, and gives one back. The rows are long, so
# they are trained in segments. This notebook shows what a segment can learn and what it cannot. The task is from
# notebook 09 of the course "NYU Deep Learning" (Canziani & LeCun, 2020); [its page](../tasks/echo.md) has all results.

# %%
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from transformers import AutoTokenizer

import seqhub
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.evaluation.load import load_model
from seqhub.models.pretrained import pretrained
from seqhub.plots.style import CYCLE, tidy
from seqhub.tasks.splits import Split
from seqhub.training.history import read_history

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# The first three steps have no echo. They are not part of the loss, and do not count in the accuracy.

# %%
text, target = Split("echo/step3", "test")[0]
print("input ", text[:60])
print("target", "".join(each or "." for each in target[:60]))

# %% [markdown]
# ## Train in segments
#
# A row has 200 steps. The recipe divides it into segments of twelve, with an optimizer step after each. The state is
# passed from one segment to the next, but its gradient is not: this is truncated backpropagation through time.
# Evaluation always reads whole rows.

# %%
record = seqhub.train(task="echo/step3", output_dir="echo", evaluate_size=500)
found = evaluate("echo", num_examples=200, sibling_examples=0).evaluation["test"]
print(
    f"{record.sequences_seen} rows, {record.optimizer_steps} steps of the optimizer, accuracy {found['accuracy']:.2%}"
)

# %% [markdown]
# ## Watch a shift register
#
# The network must keep three bits at the same time, each for three steps. It has no register with three places, but 32
# units that share the job. The maps show the states over the first 40 steps.

# %%
trace = load_tracer("echo")(text[:40])
figure, panels = plt.subplots(3, 1, figsize=(7, 3.6), sharex=True, height_ratios=[1, 1, 5])
for axes, bits, name in zip(panels, (text[:40], target[:40]), ("input", "target"), strict=False):
    axes.imshow([[float(bit or 0.5) for bit in bits]], cmap="Greys", aspect="auto")
    axes.set_yticks([0], [name])
panels[2].imshow(trace.states["hidden"].T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
panels[2].set_ylabel("hidden unit")
panels[2].set_xlabel("step")
plt.show()

# %% [markdown]
# ## Read the register
#
# Is the input of *k* steps ago in the state? A probe finds out: a linear readout that is fitted on the states, without
# training the network again. Three steps are needed. What about more?


# %%
def probe(folder: str, task: str, lags: range) -> list[float]:
    """Return for each lag the accuracy of a linear probe that reads an earlier input from the state."""
    model, tokenizer = load_model(Path(folder), "token"), AutoTokenizer.from_pretrained(folder)
    texts = [Split(task, "test")[number].inputs for number in range(64)]
    with torch.inference_mode():
        states = model.base_model(**tokenizer(texts, return_tensors="pt")).last_hidden_state
    bits = torch.tensor([[1.0 if bit == "1" else -1.0 for bit in text] for text in texts])
    found = []
    for lag in lags:
        features, wanted = states[:, 20:].flatten(0, 1), bits[:, 20 - lag : bits.shape[1] - lag].flatten()
        half = len(wanted) // 2
        weights = torch.linalg.lstsq(features[:half], wanted[:half, None], driver="gelsd").solution
        found.append(float(((features[half:] @ weights)[:, 0].sign() == wanted[half:]).float().mean()))
    return found


lags = range(9)
print("lag ", *(f"{lag:6}" for lag in lags))
print("read", *(f"{share:6.1%}" for share in probe("echo", "echo/step3", lags)))

# %% [markdown]
# The network remembers a little more than it needs, and then forgets: what is older than the echo is of no use, and is
# overwritten.
#
# ## Cut the segments too short
#
# Without the carried state, a segment of five steps knows nothing of the one before. Two of its five echoes can be
# computed, the other three are coin tosses: 2/5 + 3/5 · 1/2 = 70 %.

# %%
figure, axes = plt.subplots(figsize=(6, 2.4))
for number, carry_state in enumerate((True, False)):
    folder = f"carried-{carry_state}"
    settings = {"chunk_steps": 5, "carry_state": carry_state, "max_sequences": 480, "evaluate_every": 32}
    seqhub.train(task="echo/step3", output_dir=folder, stop_at="none", evaluate_size=64, **settings)
    history = read_history(Path(folder))
    axes.plot([row["sequences"] for row in history], [row["accuracy"] for row in history], color=CYCLE[number],
              label=f"carry_state={carry_state}")  # fmt: skip
axes.axhline(0.7, color="black", linewidth=0.8, linestyle=":")
axes.set_xlabel("training rows")
axes.set_ylabel("training accuracy")
axes.legend()
tidy(axes)
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** How long must a segment be, if the state is carried? Train `echo/step3` with segments of 3 and of 4 steps for
# 640 rows, and explain the difference.

# %% tags=["solution"]
for chunk_steps in (3, 4):
    folder = f"segments-{chunk_steps}"
    settings = {"chunk_steps": chunk_steps, "max_sequences": 640, "evaluate_every": 640, "evaluate_size": 100}
    seqhub.train(task="echo/step3", output_dir=folder, stop_at="none", **settings)
    found = evaluate(folder, num_examples=100, sibling_examples=0).evaluation["test"]["accuracy"]
    print(f"segments of {chunk_steps}: {found:.1%}")
# In a segment of 3, the source of an echo is always in the segment before, so no gradient ever connects the two, and
# the accuracy stays near one half. The state would carry the bit, but nothing teaches the network to put it there. In
# a segment of 4, one echo has its source in the same segment.

# %% [markdown]
# **2.** Probe the released model for `echo/step10` (`pretrained("echo-step10-lstm")`) with lags from 0 to 13.

# %% tags=["solution"]
shutil.copytree(pretrained("echo-step10-lstm"), "step10")
for lag, share in enumerate(probe("step10", "echo/step10", range(14))):
    print(f"{lag:2} {share:6.1%} {'#' * round(60 * (share - 0.5))}")

# %% [markdown]
# **3.** How many rows does a plain recurrence (`model="rnn_tanh"`) need for an echo after three steps, and how many a
# GRU? The recipe is the same.

# %% tags=["solution"]
for name in ("rnn_tanh", "gru", "lstm"):
    record = seqhub.train(task="echo/step3", model=name, output_dir=name, evaluate_every=32, evaluate_size=100)
    print(f"{name:>9}: {next(iter(record.criteria.values()))} rows")  # gates are not needed for three steps
