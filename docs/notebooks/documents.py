# %% [markdown]
# # Long documents
#
# A text that is too long for an encoder is divided into chunks. Each chunk becomes a vector, and a recurrence reads the
# vectors (RoBERT; Pappagari et al., 2019). Often the vectors are simply averaged instead. In this notebook the label is
# the *order* of two topics, so you can measure what an average loses. The documents are synthetic, so that the labels
# are known exactly; [the page](../tasks/documents.md) has all results, and the command for your own texts.

# %%
import shutil
from pathlib import Path

import numpy as np
import torch
from IPython.display import Image
from torch.nn.utils.rnn import pack_padded_sequence

import seqhub
from seqhub.cli.results import draw
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.models.pretrained import pretrained
from seqhub.tasks.documents import topic_vectors
from seqhub.tasks.splits import Split

torch.set_num_threads(1)

# %% [markdown]
# ## Look at the rows
#
# A document has 8 to 24 chunks with 64 values each. Each chunk is the vector of its topic with noise. One is on the
# topic 0, `question`, and one on 1, `answer`; the label is which comes first.

# %%
vectors = topic_vectors(64)
for number in range(4):
    row = Split("documents/width64", "test")[number]
    topics = (np.array(row.inputs) @ vectors.T).argmax(1)
    print(f"{row.target:>14}:", *topics)

# %% [markdown]
# ## Average the chunks
#
# A mean of the chunks has no order. A linear rule on it stays at chance level, with any number of rows.

# %%
train, test = (Split("documents/width64", name).blocks(0, 4) for name in ("train", "test"))
means = [batch.inputs.sum(axis=1) / batch.lengths[:, None] for batch in (train, test)]
weights, *_ = np.linalg.lstsq(means[0], 2.0 * train.labels - 1, rcond=None)
print(f"{((means[1] @ weights > 0) == test.labels).mean():.1%} of {len(test.labels):,} documents")

# %% [markdown]
# ## Read them in order
#
# An LSTM of 32 units, trained for a few thousand documents:

# %%
settings = {"hidden_size": 32, "max_sequences": 3_200, "evaluate_every": 800, "evaluate_size": 500}
record = seqhub.train(task="documents/width64", output_dir="small", **settings)
tested = evaluate("small", num_examples=1_000, sibling_examples=0).evaluation["test"]
print(f"{record.num_parameters:,} weights, {record.sequences_seen:,} documents, test accuracy {tested['accuracy']:.1%}")

# %% [markdown]
# ## Watch it decide
#
# The upper panels show how similar each chunk is to each topic, with the two that matter in frames. The lower ones have
# the answer if the document ended there. This is the released model of 100 units.

# %%
shutil.copytree(pretrained("documents-width64-lstm"), "released")
draw(Path("released"))
Image("released/figures/chunks-and-answer.png", width=800)

# %% [markdown]
# ## Pad without an effect
#
# Documents differ in length, so a batch is padded. Which value the padding has must not matter. With a mask it does
# not; without one, the network reads the padding as chunks.

# %%
model = load_model(Path("released"))
values, lengths = torch.from_numpy(test.inputs[:64]), torch.from_numpy(test.lengths[:64])
mask = torch.arange(values.shape[1]) < lengths[:, None]
with torch.inference_mode():
    expected = model(input_values=values, attention_mask=mask).logits
    for padding in (0.0, -91.0):
        padded = values.masked_fill(~mask[:, :, None], padding)
        for name, options in (("with mask", {"attention_mask": mask}), ("without", {})):
            difference = (model(input_values=padded, **options).logits - expected).abs().max()
            print(f"padding {padding:5}, {name:>9}: largest difference {difference:.3f}")

# %% [markdown]
# ## Exercises
#
# **1.** Read the documents backwards. Which accuracy do you expect from the released model? Measure it.

# %% tags=["solution"]
backwards = torch.zeros_like(values)
for row, length in enumerate(lengths):
    backwards[row, :length] = values[row, :length].flip(0)
with torch.inference_mode():
    found = model(input_values=backwards, attention_mask=mask).logits.argmax(1)
print(
    f"{float((found.numpy() == test.labels[:64]).mean()):.1%}"
)  # the other topic comes first: each answer is reversed

# %% [markdown]
# **2.** Save the mean: multiply each chunk by its position before you average, and fit the linear rule again. Why does
# this help, and why would it not help for the next task?

# %% tags=["solution"]
weighted = []
for batch in (train, test):
    position = np.arange(batch.inputs.shape[1])[None, :, None] / batch.lengths[:, None, None]
    sums = (batch.inputs * position).sum(axis=1) / batch.lengths[:, None]
    weighted.append(np.c_[sums, batch.inputs.sum(axis=1) / batch.lengths[:, None]])
weights, *_ = np.linalg.lstsq(weighted[0], 2.0 * train.labels - 1, rcond=None)
print(f"{((weighted[1] @ weights > 0) == test.labels).mean():.1%}")
# The position of each topic is now in the sum. You had to know what matters; an LSTM finds it out.

# %% [markdown]
# **3.** `torch.nn.utils.rnn.pack_padded_sequence` is the other way to treat padding. Compute the last hidden state of
# the released model with it, and compare it with that of the mask.

# %% tags=["solution"]
recurrence = next(each for each in model.modules() if isinstance(each, torch.nn.LSTM))
with torch.inference_mode():
    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    _, (last, _) = recurrence(packed)
    logits = model.classifier(last[-1])
print("equal:", torch.allclose(logits, expected, atol=1e-4))
