"""Hub with repositories for tests of pages."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from seqhub.server.types import Delete
from tests.server.routes.conftest import Hub

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-classification
datasets: [ada/rows, ada/hidden-rows, other/absent]
tags: [sequence-memory, lstm]
model-index:
- name: net
  results:
  - task: {type: text-classification}
    dataset: {name: QRSU, type: qrsu, config: hard, split: test}
    metrics:
    - {type: accuracy, value: 0.99125, name: Accuracy}
---
# A small network

It remembers **two symbols**. See [the code](model.py), [the docs](docs/guide.md#use) and ![loss](figures/loss.png).

![drawing](figures/drawing.svg)

| column | value |
|---|--:|
| a | 1 |

```python
print("hello")
```
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000001849444154789c63a0d8e13f0309808914c5a3"
    "1a4635400003009c8302113ab5ff2c0000000049454e44ae426082"
)
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><style>rect { fill: #0a0 }</style>
<rect width="40" height="20"/><script>document.documentElement.setAttribute("data-ran", "1")</script></svg>"""


def safetensors(tensors: dict[str, list[int]], metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in tensors.items():
        count = 4
        for size in shape:
            count *= size
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + count]}
        end += count
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(end)


NOTEBOOK = {
    "nbformat": 4,
    "metadata": {"language_info": {"name": "python"}},
    "cells": [
        {"cell_type": "markdown", "source": ["# Results\n", "A *notebook*."]},
        {
            "cell_type": "code",
            "execution_count": 3,
            "source": "print(1 + 1)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["2\n"]}],
        },
    ],
}


def html(hub: Hub, path: str, who: str | None = None, **given: Any) -> Any:
    """Return the response to a browser."""
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"} | given.pop("headers", {})
    return hub("GET", path, who, headers=headers, **given)


def fill(hub: Hub) -> None:
    """Create the repositories of the tests."""
    hub.make("ada/rows", "dataset", **{"README.md": b"---\nconfigs:\n- config_name: hard\n---\n# Rows\n"})
    hub.make("ada/hidden-rows", "dataset", private=True)
    config = {"model_type": "seqhub", "architectures": ["NetForSequenceClassification"]}
    config["auto_map"] = {"AutoModelForSequenceClassification": "model.NetForSequenceClassification"}
    files = {
        "README.md": CARD.encode(),
        "config.json": json.dumps(config).encode(),
        "model.py": b'"""A model."""\n\n\ndef f(x: int) -> bool:\n    return x < 1\n',
        "model.safetensors": safetensors({"rnn.weight": [8, 4], "rnn.bias": [8], "step": []}, {"format": "pt"}),
        "docs/guide.md": b"# Guide\n\n## Use\n\nRead ../model.py in [model](../model.py).\n",
        "docs/README.md": b"Texts of this *folder*.",
        "figures/loss.png": PNG,
        "figures/drawing.svg": SVG,
        "rows.csv": b'text,label\nBabE,Q\n"B,E",R\n',
        "rows.jsonl": b'{"text": "BabE", "label": "Q"}\n{"text": "BE", "steps": [1, 2]}\n',
        "notebook.ipynb": json.dumps(NOTEBOOK).encode(),
        "empty.txt": b"",
        "binary.bin": bytes(range(256)),
    }
    net = hub.make("ada/net", **files)
    account = hub.store.accounts.find("ada")
    assert account is not None
    from seqhub.server.types import AddSmall

    changed = [AddSmall("model.py", files["model.py"].replace(b"x < 1", b"x < 2")), Delete("a.txt", is_folder=False)]
    hub.store.commits.create(
        net, "main", changed, expected_parent=None, author="ada", title="Change the bound", uploader=account
    )
    hub.store.refs.create_tag(net, "v1", "HEAD")
    hub.store.likes.add(net, account)


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    store = Store(Path(tmp_path_factory.mktemp("pages")))
    for name in ("ada", "bob"):
        store.accounts.create(name)
    tokens = {name: store.tokens.create(name, "t", "admin")[0] for name in ("ada", "bob")}
    app = create_app(store, settings=Settings(max_wrong_tokens=10_000))
    hub = Hub(store, TestClient(app, raise_server_exceptions=True), tokens)
    hub.make("ada/secret", private=True, **{"README.md": b"---\ntags: [hidden-tag]\n---\n# Hidden words"})
    gated = hub.make("ada/gated", **{"README.md": b"---\nlicense: mit\n---\n# Gated words"})
    hub.store.repos.update(gated, gated="manual")
    fill(hub)
    yield hub
    store.close()
