"""Commands on a finished run import the libraries that they use, and no others."""

import json
import subprocess
import sys
from pathlib import Path

# Large libraries, and those that each command may import; all commands run in one process, so the sets grow
LARGE = {"accelerate", "asyncio", "datasets", "huggingface_hub", "jinja2", "matplotlib", "pandas", "pyarrow", "torch",
         "transformers", "wrapt"}  # fmt: skip
_MODELS = {"accelerate", "asyncio", "jinja2", "huggingface_hub", "torch", "transformers", "wrapt"}  # by transformers
ALLOWED: dict[str, set[str]] = {
    "train qrsu/easy --hidden-size 4 --max-sequences 640 --evaluate-size 320 --output-dir run": set(),
    "push run --repo someone/run --dry-run": {"huggingface_hub"},
    "card run": {"huggingface_hub", "jinja2"},
    "evaluate run --num-examples 8 --sibling-examples 8": _MODELS,
    "plot run": _MODELS | {"matplotlib"},
    "verify run": _MODELS | {"matplotlib", "datasets", "pandas", "pyarrow"},  # reads the rows as any client does
}
_PROGRAM = f"""
import json, sys
from seqhub.cli import main
found = {{}}
for line in json.loads(sys.argv[1]):
    sys.argv = ["seqhub", *line.split(), "--quiet"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (line, end.code)
    found[line] = sorted({LARGE!r} & set(sys.modules))
print(json.dumps(found))
"""


def test_commands_import_only_what_they_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(list(ALLOWED))],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    too_many = {line: set(found[line]) - allowed for line, allowed in ALLOWED.items() if set(found[line]) - allowed}
    assert not too_many, too_many
