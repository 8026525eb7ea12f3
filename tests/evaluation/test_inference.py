"""Batched inference gives the same outputs as single sequences and restores the training mode."""

import numpy as np
import pytest
import torch

from seqhub.evaluation.inference import ModelScorer
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import create_model


@pytest.mark.parametrize("task_id", ["embedded_reber/hs97", "qrsu/easy", "long_lag/2a-p4"])
def test_batches_agree_with_single_sequences(task_id, tmp_path):
    split = Split(task_id)
    model = create_model(TrainConfig(task=task_id, output_dir=tmp_path, seed=1), split.schema).train()
    scorer = ModelScorer(model, split.schema)
    (rows,) = split.batches(0, 40)
    errors = scorer.errors(rows)
    assert errors.shape == (40, 4)
    for number in range(0, 40, 7):
        single = rows[number : number + 1]
        np.testing.assert_allclose(scorer.errors(single)[0], errors[number], atol=1e-6)
    if split.schema.target == "next_symbol":
        scores, steps = scorer.scores(rows), int(rows.lengths[3])
        text = split.examples(rows)[3].inputs
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([split.schema.vocabulary.encode(text)])).logits[0]
        np.testing.assert_allclose(scores[3, :steps], logits.numpy(), atol=1e-6)
    assert model.training
