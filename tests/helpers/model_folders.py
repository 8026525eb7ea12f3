"""Small model and dataset folders with the files of training and export."""

import json
from pathlib import Path

MODEL_FILES = (
    ".eval_results/seqhub.yaml",
    "README.md",
    "config.json",
    "figures/curves.png",
    "model.safetensors",
    "modeling_recurrent.py",
    "run.json",
)
DATASET_FILES = ("README.md", "dataset.json", "easy/test-00000-of-00001.parquet", "easy/train-00000-of-00001.parquet")
NOT_UPLOADED = (
    ".cache/huggingface/x",
    ".eval_results/.hidden",
    ".git/config",
    ".run.json.0123",
    "__pycache__/modeling_recurrent.cpython-311.pyc",
    "checkpoint.safetensors",
    "checkpoint-320.safetensors",
    "figures/.DS_Store",
)

TENSORS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


def safetensors(header_size: int = 640) -> bytes:
    """Return a valid file of one tensor; with a header of 640 bytes it starts with 80 02, like a pickle."""
    return header_size.to_bytes(8, "little") + TENSORS.ljust(header_size) + b"\0\0\0\0"


def model_folder(path: Path) -> Path:
    """Write a run folder with every kind of file that it can have."""
    for name in (*MODEL_FILES, *NOT_UPLOADED):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"{name}\n")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a model\n")
    (path / "model.safetensors").write_bytes(safetensors())
    return path


def dataset_folder(path: Path) -> Path:
    """Write the folder of a built dataset."""
    for name in DATASET_FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"{name}\n")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a dataset\n")
    return path
