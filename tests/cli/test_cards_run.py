"""Execution of the Python code on cards, with the local folder as the source that the card names."""

import re
from pathlib import Path

import pytest

from seqhub.records import RunRecord
from seqhub.tasks.splits import Split
from tests.cli.conftest import Made
from tests.cli.test_demo import WITHOUT_SEQHUB, run_python
from tests.helpers.cli_calls import output_of


def python_of(folder: Path) -> list[str]:
    """Return the Python blocks of a folder's card."""
    output_of("card", folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    place = f'"./{folder.name}"'
    assert any(place in block for block in blocks)
    return [block.replace(place, repr(str(folder))) for block in blocks]


@pytest.fixture
def example(made: Made) -> tuple[str, str]:
    """Return the example of the card and its class."""
    text, label = Split(RunRecord.load(made.run).task, "test")[0]
    return text, label


def test_a_model_card_without_seqhub(made: Made, example: tuple[str, str], tmp_path: Path) -> None:
    remote, with_seqhub = [], []
    for block in python_of(made.run):
        (with_seqhub if "import seqhub" in block else remote).append(block)
    assert len(remote) == 2
    assert len(with_seqhub) == 1
    assert all("trust_remote_code=True" in block for block in remote)

    text, label = example
    by_pipeline, by_model = remote
    assert by_pipeline.splitlines()[-1] == f'classify("{text}")  # the target is {label}'
    last = f"print(classify('{text}')[0]['label'])\n"
    assert run_python(f"{WITHOUT_SEQHUB}\n{by_pipeline}\n{last}\n{by_model}", tmp_path).split() == [label, label]

    (block,) = with_seqhub
    assert "trust_remote_code" not in block
    printed = run_python(f"{block}\nprint(type(model).__module__)", tmp_path)
    assert printed.strip() == "seqhub.models.recurrent.modeling_recurrent"


def test_a_dataset_card_without_seqhub_and_with_it(made: Made, tmp_path: Path) -> None:
    plain, generated = python_of(made.data)
    assert "import seqhub" in generated
    first = Split("qrsu/easy", "test")[0]
    printed = run_python(f"{WITHOUT_SEQHUB}\n{plain}", tmp_path)
    assert f"'text': '{first.inputs}'" in printed
    assert printed.split()[-1] == first.target
    assert f"'{first.inputs}'" in run_python(f"{generated}\nprint(rows[0])", tmp_path)
