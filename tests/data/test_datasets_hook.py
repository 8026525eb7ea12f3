"""`load_dataset("qrsu", "hard")` after `import seqhub`: import orders, directories and start methods, without network.

Tests that depend on imports, directory or start method run in a separate process.
"""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import datasets
import datasets.inspect
import datasets.load
import pytest

import seqhub
from seqhub.data import datasets_hook
from seqhub.data.builder import get_builder
from seqhub.errors import InvalidConfigError
from seqhub.tasks.registry import list_tasks

ORDERS = {
    "datasets-first": "from datasets import load_dataset, load_dataset_builder\nimport seqhub",
    "seqhub-first": "import seqhub\nfrom datasets import load_dataset, load_dataset_builder",
}
FOLDERS: dict[str, dict[str, str]] = {
    "empty": {},
    "stray-files": {"data.csv": "text,label\nno,1\n", "train.json": '{"text": "no"}', "hard": "no", "README.md": "no"},
    "folder-of-that-name": {"qrsu/hard/train.csv": "text,label\nno,1\n", "qrsu/README.md": "no"},
    "script-of-that-name": {"qrsu/qrsu.py": "raise SystemExit('no')"},
}


def run(code: str, folder: Path, **environment: str) -> str:
    """Run a script in `folder`, without HF_HUB_OFFLINE unless given, and return its standard output."""
    script = folder.parent / "script.py"
    script.write_text(textwrap.dedent(code))
    variables = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    variables |= {"HF_HOME": str(folder.parent / "hf"), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(script)],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


EVERY_CALL = """
import socket

def no_network(*arguments):
    raise AssertionError(f"network access: {arguments}")

socket.getaddrinfo = no_network
socket.socket.connect = lambda self, address: no_network(address)

IMPORTS
from itertools import islice
from datasets import get_dataset_config_names, get_dataset_default_config_name, get_dataset_split_names
from seqhub.tasks.splits import Split

def texts(split="train", seed=0, rows=50):
    return Split("qrsu/hard", split, seed).blocks(0, 1).texts()[:rows]

sizes = {"train_size": 2500, "validation_size": 100, "test_size": 100}
rows = load_dataset("qrsu", "hard", **sizes)
assert {split: len(part) for split, part in rows.items()} == {"train": 2500, "validation": 100, "test": 100}
for split, part in rows.items():
    assert part["text"][:50] == texts(split)
stream = load_dataset("qrsu", "hard", streaming=True, **sizes)
assert [row["text"] for row in islice(stream["test"], 50)] == texts("test")
assert [row["text"] for row in islice(load_dataset("qrsu", "hard", split="train", streaming=True), 50)] == texts()
part = load_dataset("qrsu", "hard", split="train[:10%]", **sizes)
assert len(part) == 250 and part["text"][:50] == texts()
other = load_dataset("qrsu", "hard", seed=7, **sizes)
assert other["train"]["text"][:50] == texts(seed=7)
assert other.cache_files != rows.cache_files
names = ["easy", "normal", "moderate", "hard", "nightmare", "hs97"]
assert get_dataset_config_names("qrsu") == names
assert get_dataset_split_names("qrsu", "hard") == ["train", "validation", "test"]
assert get_dataset_default_config_name("qrsu") is None
builder = load_dataset_builder("qrsu", "easy")
assert builder.info.features["label"].names == list("QRSU")
assert seqhub.load_dataset("qrsu", "hard", **sizes).cache_files == rows.cache_files
for arguments in (("qrsu",), ("qrsu", "tough")):
    try:
        load_dataset(*arguments)
    except ValueError as error:
        assert str(names) in str(error), error
    else:
        raise AssertionError("no error")
print("done")
"""


@pytest.mark.fast_cases("datasets-first-script-of-that-name")
@pytest.mark.parametrize(
    ("order", "files"),
    [
        ("datasets-first", "empty"),
        ("seqhub-first", "stray-files"),
        ("seqhub-first", "folder-of-that-name"),
        ("datasets-first", "script-of-that-name"),
    ],
)
def test_every_call_in_any_order_and_directory(order, files, folder):
    for name, content in FOLDERS[files].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    assert run(EVERY_CALL.replace("IMPORTS", ORDERS[order]), folder) == "done\n"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_give_the_same_rows(method, folder):
    code = f"""
    import multiprocess
    from datasets import load_dataset
    import seqhub
    from seqhub.data.digest import digest

    if __name__ == "__main__":
        multiprocess.set_start_method("{method}")
        sizes = {{"train_size": 9000, "validation_size": 1000, "test_size": 10}}
        one = load_dataset("qrsu", "hard", cache_dir="one", **sizes)
        two = load_dataset("qrsu", "hard", cache_dir="two", num_proc=2, **sizes)
        core = seqhub.load_dataset("qrsu", "hard", cache_dir="core", num_proc=2, **sizes)
        assert len(two["train"].cache_files) == len(core["train"].cache_files) == 2
        for split in one:
            assert digest(one[split]) == digest(two[split]) == digest(core[split])
            assert one[split]._fingerprint == two[split]._fingerprint == core[split]._fingerprint
        print("done")
    """
    assert run(code, folder) == "done\n"


def test_without_the_hook_datasets_does_not_change(folder):
    code = """
    import datasets, seqhub, sys
    assert datasets.load.dataset_module_factory.__code__.co_filename == datasets.load.__file__
    assert "seqhub.data.datasets_hook" not in sys.modules
    try:
        datasets.load_dataset("qrsu", "easy")
    except ConnectionError as error:
        pass
    rows = seqhub.load_dataset("qrsu", "easy", split="test", test_size=10)
    assert len(rows) == 10
    print("done")
    """
    assert run(code, folder, SEQHUB_NO_HOOK="1", HF_HUB_OFFLINE="1") == "done\n"


def test_hook_is_installed_when_datasets_is_imported(folder):
    code = """
    import sys
    import seqhub
    assert not {"datasets", "pyarrow", "torch", "seqhub.data"} & set(sys.modules)
    seqhub.unregister()
    import datasets
    stock = datasets.load.dataset_module_factory
    assert stock.__code__.co_filename == datasets.load.__file__
    seqhub.register()
    assert datasets.load.dataset_module_factory is not stock
    assert "torch" not in sys.modules and "seqhub.data.builder" not in sys.modules
    seqhub.unregister()
    assert datasets.load.dataset_module_factory is datasets.inspect.dataset_module_factory is stock
    print("done")
    """
    assert run(code, folder) == "done\n"


@pytest.fixture
def stock():
    """Return the original function of `datasets`; the hook is restored after the test."""
    seqhub.unregister()
    yield datasets.load.dataset_module_factory
    seqhub.unregister()
    seqhub.register()


def test_installing_is_idempotent_and_reversible(stock, tmp_path):
    seqhub.register()
    hooked = datasets.load.dataset_module_factory
    assert hooked is not stock
    assert datasets.inspect.dataset_module_factory is hooked
    seqhub.register()
    datasets_hook.install()
    assert datasets.load.dataset_module_factory is hooked
    seqhub.unregister()
    datasets_hook.uninstall()
    assert datasets.load.dataset_module_factory is datasets.inspect.dataset_module_factory is stock
    with pytest.raises(ConnectionError):  # references to the hooked function behave like the original, too
        hooked("qrsu", cache_dir=str(tmp_path))  # offline, `datasets` would use entries of other tests in its cache


def test_modules_that_imported_the_function_get_the_hook_too(stock, monkeypatch):
    module = type(sys)("datasets.commands.later")
    module.dataset_module_factory = stock
    monkeypatch.setitem(sys.modules, module.__name__, module)
    seqhub.register()
    assert module.dataset_module_factory is datasets.load.dataset_module_factory
    seqhub.unregister()
    assert module.dataset_module_factory is stock


@pytest.mark.parametrize(
    "path", ["./qrsu", "qrsu/", "someone/qrsu", "hf://datasets/qrsu", "/nowhere/qrsu", "QRSU", "qrsu.py", "csv"]
)
def test_only_task_names_are_resolved_by_the_hook(path, stock, monkeypatch):
    calls = []

    def dataset_module_factory(path, revision=None, data_dir=None, data_files=None, **more):
        calls.append(path)

    monkeypatch.setattr(datasets.load, "dataset_module_factory", dataset_module_factory)
    seqhub.register()
    datasets.load.dataset_module_factory(path)
    assert calls == [path]
    datasets.load.dataset_module_factory("qrsu")
    assert calls == [path]
    seqhub.unregister()


def test_a_folder_of_that_name_can_still_be_read(tmp_path, monkeypatch):
    (tmp_path / "qrsu").mkdir()
    (tmp_path / "qrsu" / "train.csv").write_text("text,label\nyes,1\n")
    monkeypatch.chdir(tmp_path)
    rows = datasets.load_dataset("./qrsu", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["text"][:] == ["yes"]


@pytest.mark.parametrize("arguments", [{"data_files": "a.csv"}, {"data_dir": "a"}, {"revision": "main"}])
def test_arguments_for_files_are_errors(arguments, tmp_path):
    (name,) = arguments
    with pytest.raises(InvalidConfigError, match=f"{name}=.*: must be None for 'qrsu', a task of seqhub"):
        datasets.load_dataset("qrsu", "easy", cache_dir=str(tmp_path), **arguments)
    assert list(tmp_path.iterdir()) == []


def other_parameters(name):
    pass


def no_files(path, revision=None):
    pass


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("dataset_module_factory", None, "has no load.dataset_module_factory"),
        ("dataset_module_factory", other_parameters, "load.dataset_module_factory without path, revision"),
        ("dataset_module_factory", no_files, "load.dataset_module_factory without data_dir, data_files"),
        ("DatasetModule", other_parameters, "load.DatasetModule without module_path"),
        ("BuilderConfigsParameters", None, "has no load.BuilderConfigsParameters"),
    ],
)
def test_incompatible_datasets_gives_one_warning_and_does_not_change(
    name, changed, message, stock, monkeypatch, tmp_path
):
    monkeypatch.setattr(datasets.load, name, changed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seqhub.register()
    assert len(caught) == 1
    assert message in str(caught[0].message)
    assert "seqhub.load_dataset" in str(caught[0].message)
    assert getattr(datasets.load, name) is changed
    assert datasets.inspect.dataset_module_factory is stock
    assert get_builder("qrsu", "easy", cache_dir=str(tmp_path)).info.config_name == "easy"
    seqhub.unregister()


def test_task_names_differ_from_packaged_formats():
    assert not set(list_tasks()) & set(datasets.packaged_modules._PACKAGED_DATASETS_MODULES)
