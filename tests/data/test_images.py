"""Images of a dataset on a Hub, pushed and read by unmodified clients, as sequences of pixel rows."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqhub.data.vectors import read_vectors
from tests.helpers.hub_clients import Client
from tests.helpers.served_hub import a_hub

PUSH = """
import json
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture

names = ["zero", "one"]
features = Features({"image": Image(), "label": ClassLabel(names=names), "name": Value("string")})

def rows(number, first, size=(6, 5), mode="L"):
    random = np.random.default_rng(first)
    pixels = [random.integers(0, 256, size=size, dtype=np.uint8) for _ in range(number)]
    images = [Picture.fromarray(each).convert(mode) for each in pixels]
    return Dataset.from_dict(
        {"image": images, "label": [n // 3 % 2 for n in range(number)], "name": ["x"] * number}, features=features
    )

DatasetDict({"train": rows(40, 0), "test": rows(12, 1), "extra": rows(3, 2)}).push_to_hub("me/tiny")
DatasetDict({"train": rows(20, 0, mode="RGB")}).push_to_hub("me/colours")
from datasets import concatenate_datasets
DatasetDict({"train": concatenate_datasets([rows(20, 0), rows(1, 1, (5, 5))])}).push_to_hub("me/ragged")
deep = Dataset.from_dict(
    {"image": [Picture.fromarray(np.full((4, 4), 60_000, np.uint16))] * 20, "label": [0, 1] * 10, "name": ["x"] * 20},
    features=features,
)
deep.push_to_hub("me/deep")
Dataset.from_dict({"text": ["a"] * 20, "label": [0, 1] * 10}).push_to_hub("me/texts")
rows(20, 0).push_to_hub("me/dev", split="dev")
"""
COMMAND = """
from seqhub.cli import main
sys.argv = ["seqhub", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print(f"exit {end.code or 0}")
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with a_hub(tmp_path_factory.mktemp("hub") / "store") as hub:
        client = Client(hub.url, tmp_path_factory.mktemp("home"), hub.writer)
        client.run(PUSH)
        yield client


def pixels(seed: int, number: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, size=(6, 5), dtype=np.uint8) for _ in range(number)]


@pytest.mark.timeout(200)
def test_images_of_a_hub_are_written_with_their_splits(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "tiny.parquet"
    output = json.loads(client.run(COMMAND, "data", "images", "me/tiny", "--out", file, "--json").partition("exit")[0])
    assert output == {"file": str(file), "rows": {"train": 40, "test": 12}, "left_out": ["extra"]}
    schema, parts = read_vectors(file)[:2]
    assert schema.labels == ("one", "zero")
    assert {split: len(part) for split, part in parts.items()} == {"train": 35, "validation": 5, "test": 12}  # by hash
    for names, seed, number in ((("train", "validation"), 0, 40), (("test",), 1, 12)):
        expected = {
            ((each / np.float32(255)).astype(np.float32).tobytes(), ("zero", "one")[n // 3 % 2])
            for n, each in enumerate(pixels(seed, number))
        }
        found = {
            (values.tobytes(), schema.labels[label])
            for name in names
            for values, label in zip(parts[name].inputs, parts[name].labels, strict=True)
        }
        assert found == expected
        assert all((parts[name].lengths == 6).all() for name in names)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_colours_are_converted_to_luma(client: Client, tmp_path: Path) -> None:
    client.run(COMMAND, "data", "images", "me/colours", "--out", tmp_path / "colours.parquet", "-q")
    _, parts = read_vectors(tmp_path / "colours.parquet")[:2]
    found = np.concatenate([part.inputs for part in parts.values()])
    assert sorted(each.tobytes() for each in found) == sorted(
        (each / np.float32(255)).astype(np.float32).tobytes() for each in pixels(0, 20)
    )  # equal channels give the same grey value


PRINT_ERRORS = """
from seqhub.errors import SeqhubError
from seqhub.data.images import Images
from seqhub.data.vectors import write_vectors
for number, arguments in enumerate({calls}):
    try:
        write_vectors(Path(sys.argv[1]) / f"{{number}}.parquet", Images(*arguments).rows())
    except SeqhubError as error:
        print(error)
"""
CALLS = [
    (("me/ragged",), "an image of 5 x 5 pixels in row 20 of train of me/ragged; need 5 x 6, the size of the first"),
    (("me/deep",), "an image of mode I;16 in row 0 of train of me/deep; need 8 bits per channel"),
    (("me/texts",), "no candidates for the image column of me/texts; it has text (Value), label (Value)"),
    (("me/tiny", None, "picture"), "no image column of me/tiny 'picture'; it has image (Image), label (ClassLabel), "),
    (
        ("me/tiny", None, None, "digit"),
        "no label column of me/tiny 'digit'; it has image (Image), label (ClassLabel), ",
    ),
    (("me/tiny", "other"), "me/tiny cannot be loaded as a dataset: BuilderConfig 'other' not found"),
    (("me/dev",), "splits dev of me/dev; need train, validation or test"),
    (("me/none",), "cannot fetch dataset me/none at "),
    (("none",), "none is neither a folder nor a repository"),
]


@pytest.mark.timeout(200)
def test_invalid_images_raise_one_line_errors_and_write_no_files(client: Client, tmp_path: Path) -> None:
    lines = client.run(PRINT_ERRORS.format(calls=[arguments for arguments, _ in CALLS]), tmp_path).splitlines()
    assert len(lines) == len(CALLS), lines
    for line, (_, message) in zip(lines, CALLS, strict=True):
        assert line.startswith(message)
    assert list(tmp_path.iterdir()) == []
