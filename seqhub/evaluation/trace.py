"""What a model does inside, step by step, on one sequence: arrays for pictures."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.evaluation.loading import load_model
from seqhub.records import RunRecord
from seqhub.tasks.registry import resolve

Floats = NDArray[np.floating[Any]]


class Trace(NamedTuple):
    """One sequence seen by the last layer of a model. T steps, H units, C classes."""

    text: str
    states: dict[str, Floats]  # "hidden" and, of an LSTM, "cell": (T, H) each
    probabilities: Floats  # (T, C), what the head would say if the sequence ended here


def trace(folder: Path, text: str) -> Trace:
    """Run the model of `folder` over one sequence.

    Raises:
        InvalidInputError: A symbol outside the task's alphabet.
    """
    import torch

    task, _ = resolve(RunRecord.load(folder).address)
    model = load_model(folder)
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([task.encode(text)]), output_hidden_states=True)
        hidden = output.hidden_states[-1]
        head = model.get_submodule("classifier")
        probabilities = head(hidden).softmax(dim=-1)
    states = {"hidden": hidden[0].numpy()}
    if output.cell_states is not None:
        states["cell"] = output.cell_states[-1][0].numpy()
    return Trace(text, states, probabilities[0].numpy())
