"""Functions that run after the import of a module, each case in a new process."""

import subprocess
import sys
import textwrap

import pytest

SECONDS = 60


def run(code: str, folder) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def package(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "__init__.py").write_text("print('executed')\n")
    (tmp_path / "one" / "two.py").write_text("VALUE = 2\n")
    (tmp_path / "one" / "text.txt").write_text("text")
    (tmp_path / "broken.py").write_text("raise ImportError('broken')\n")
    return tmp_path


def test_before_and_after_the_import(package):
    out = run(
        """
        from seqhub._import_hooks import after_import
        after_import("one", lambda module: print("first", module.__name__))
        after_import("one", lambda module: print("second"))
        import one
        after_import("one", lambda module: print("at-once"))
        from one import two
        """,
        package,
    )
    assert out == ["executed", "first", "one", "second", "at-once"]


def test_a_submodule_and_a_second_import(package):
    out = run(
        """
        import importlib, sys
        from seqhub._import_hooks import after_import
        after_import("one.two", lambda module: print(module.VALUE))
        import one.two
        importlib.reload(one.two)
        del sys.modules["one.two"]
        import one.two
        """,
        package,
    )
    assert out == ["executed", "2", "2", "2"]


def test_the_module_keeps_its_loader_and_resources(package):
    out = run(
        """
        import importlib.resources, importlib.util, inspect
        from seqhub._import_hooks import after_import
        after_import("one", lambda module: None)
        after_import("one.two", lambda module: None)
        assert importlib.util.find_spec("one").loader.is_package("one")
        assert importlib.util.find_spec("absent") is None
        import one, one.two
        assert type(one.__loader__).__name__ == type(one.__spec__.loader).__name__ == "SourceFileLoader"
        assert inspect.getsource(one.two) == "VALUE = 2\\n"
        print(importlib.resources.files("one").joinpath("text.txt").read_text())
        """,
        package,
    )
    assert out == ["executed", "text"]


def test_a_module_that_fails_or_does_not_exist(package):
    out = run(
        """
        from seqhub._import_hooks import after_import
        after_import("broken", lambda module: print("called"))
        after_import("absent", lambda module: print("called"))
        for name in ("broken", "absent"):
            try:
                __import__(name)
            except ImportError as error:
                print(error.msg.split()[0])
        """,
        package,
    )
    assert out == ["broken", "No"]


def test_threads_import_once(package):
    out = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from seqhub._import_hooks import after_import
        after_import("one", lambda module: print("called"))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(__import__, ["one"] * 64))
        """,
        package,
    )
    assert out == ["executed", "called"]
