# %% [markdown]
# # The table of 1997
#
# "Long Short-Term Memory" (Hochreiter & Schmidhuber, 1997) has six experiments with exact criteria. Almost thirty years
# later you can repeat a row of its tables in seconds. In this notebook you do so, with a modern LSTM and with the
# network of the paper, and learn what a fair comparison with a published number needs. [The page](../paper.md)
# describes all rows; [the table](../../model_cards/hs97.md) has them, from ten seeds each.

# %%
import statistics
from pathlib import Path

import torch
from IPython.display import Image

from seqhub.experiments.hs97.figure import plot_paper
from seqhub.experiments.hs97.table import ROWS, rows_of, run_rows
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows of the table
#
# Each row has a task, a number of weights, and the number of training sequences until the criterion was met: a mean
# over 10 to 30 trials.

# %%
for row in ROWS:
    print(f"{row.name:>14}  {row.task!s:<26} {row.paper_weights:>6,} weights  {row.paper_sequences:>9,} sequences")

# %% [markdown]
# ## Read a criterion
#
# In experiment 6a the network reads symbols and gives the order of two of them. It is not solved when the accuracy is
# high once, but when the last 2,000 *training* sequences, in a row, were all right and their mean error was small. A
# criterion like this cannot be met by a good moment.

# %%
(row,) = rows_of(["6a"])
text, label = Split(row.task, "train")[0]
print(text, "->", label)
print(row.stopping_rule)

# %% [markdown]
# ## Run it
#
# The modern LSTM has forget gates and eight cells. It is trained with Adam, on batches. `strict` is the same criterion
# on twice as many sequences: its additional runs show how much of the result is due to a criterion that is met by
# chance.

# %%
SEEDS = range(3)
record = run_rows([row], Path("table"), SEEDS, threads=1)
for stop, runs in record.rows["6a"]["results"]["lstm"].items():
    print(f"{stop:>6}: {runs['sequences']}, wrong in the test: {runs['test_wrong']} of {runs['test_rows']:,}")

# %% [markdown]
# ## Run the network of the paper
#
# The original (1997) LSTM has two blocks of two cells with input and output gates, and no forget gates: these came in
# 2000. It learns one sequence at a time by plain gradient descent, and its gradient is cut where it leaves a cell, as
# in the paper.

# %%
record = run_rows([row], Path("table"), SEEDS, model="lstm_hs97", threads=1)
results = record.rows["6a"]["results"]
print("1997:", f"{row.paper_sequences:,}", "sequences,", row.paper_weights, "weights")
for name in ("lstm_hs97", "lstm"):
    runs = results[name]["paper"]
    solved = [count for count in runs["sequences"] if count]
    median, weights = statistics.median(solved), runs["parameters"]
    print(f"{name:>9}: {len(solved)} of {len(SEEDS)} seeds, median {median:,.0f} sequences, {weights} weights")

# %%
plot_paper(record, Path("hs97.png"))
Image("hs97.png", width=640)

# %% [markdown]
# ## Compare fairly
#
# The modern network needs a fraction of the sequences. What may you conclude? Not that forget gates are the reason: the
# batches, the optimizer, the outputs, the loss, the number of cells and the initial gates differ, too. The network of
# the paper, run with its own settings, shows that the task and the criterion are the same, and this is what makes the
# numbers comparable.
#
# A mean over the solved seeds hides those that failed. Report how many were solved, the median and the range.
#
# ## Exercises
#
# **1.** Run row `3a-t100-n3` (the sign at the start) with the modern LSTM and three seeds. By what factor does the
# count differ from the paper's?

# %% tags=["solution"]
(sign,) = rows_of(["3a-t100-n3"])
runs = run_rows([sign], Path("sign"), SEEDS, threads=1).rows[sign.name]["results"]["lstm"]
for stop, found in runs.items():
    counts = [count for count in found["sequences"] if count]
    print(f"{stop:>6}: {found['sequences']}, factor {sign.paper_sequences / statistics.median(counts):.0f}")

# %% [markdown]
# **2.** The criterion of experiment 3 is checked on 256 sequences. Compute the probability that a network that is wrong
# in 0.5 % of the cases passes a single check. How often is it checked until it passes by chance, and how does `strict`
# prevent this?

# %% tags=["solution"]
for sequences in (256, 10_240):
    passes = (1 - 0.005) ** sequences
    print(f"{sequences:6,} sequences: probability {passes:.1e}, a check in {1 / passes:,.0f} passes")

# %% [markdown]
# **3.** Look at the number of wrong test sequences of the runs above: does the run that was solved first also have the
# fewest errors?

# %% tags=["solution"]
for name in ("lstm_hs97", "lstm"):
    for stop, runs in results[name].items():
        pairs = sorted((count or 0, wrong) for count, wrong in zip(runs["sequences"], runs["test_wrong"], strict=True))
        print(f"{name:>9}, {stop}:", pairs)  # sequences until the criterion, wrong in the test
