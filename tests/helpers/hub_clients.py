"""Client code in a process like that of a user: an unmodified huggingface_hub, online, with its own cache."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60  # time limit of a client


@dataclass(frozen=True)
class Client:
    """A user with one Hub and one token.

    Args:
        endpoint: URL of the Hub.
        home: Folder for the caches of huggingface_hub.
        token: Value of HF_TOKEN; None to leave it unset.
        xet: Enable Xet, the default of huggingface_hub, which then uploads folders in another way.
    """

    endpoint: str
    home: Path
    token: str | None
    xet: bool = False

    def run(self, code: str, *arguments: object) -> str:
        """Return the standard output of Python code, which must succeed. `sys` and `Path` are imported."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SEQHUB_"))}
        environment |= {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "0" if self.xet else "1",
            "HF_HUB_OFFLINE": "0",
            **({"HF_TOKEN": self.token} if self.token else {}),
        }
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-W",
                "ignore:Use 'content=:DeprecationWarning",  # huggingface_hub's own way to upload by LFS
                "-c",
                f"import sys\nfrom pathlib import Path\n{code}",
                *map(str, arguments),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hub_error(self, call: str, *arguments: object) -> str:
        """Return the message of the HubError that `call` raises within 5 seconds."""
        return self.run(
            "import time\n"
            "from seqhub.errors import HubError\n"
            "from seqhub.hub.fetch import fetch\n"
            "from seqhub.hub.push import push\n"
            "began = time.monotonic()\n"
            "try:\n"
            f"    {call}\n"
            "except HubError as error:\n"
            "    assert time.monotonic() - began < 5\n"
            "    print(error, end='')\n",
            *arguments,
        )
