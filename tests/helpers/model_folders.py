"""Model and dataset folders with the files that training and export leave, in small."""

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
STAYS_AT_HOME = (
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
    """A real file of one tensor; 640 bytes of header make it start like a pickle, with 80 02."""
    return header_size.to_bytes(8, "little") + TENSORS.ljust(header_size) + b"\0\0\0\0"


def model_folder(path: Path) -> Path:
    """A run's folder with everything that may lie in one."""
    for name in (*MODEL_FILES, *STAYS_AT_HOME):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"{name}\n")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a model\n")
    (path / "model.safetensors").write_bytes(safetensors())
    return path


def dataset_folder(path: Path) -> Path:
    """A built dataset's folder."""
    for name in DATASET_FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"{name}\n")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a dataset\n")
    return path
