"""Options that several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the code of the model's module, which is in its folder")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only values for scripts, such as a path")]
