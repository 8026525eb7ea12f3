"""Options that many commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="print only what a script would read.")]
