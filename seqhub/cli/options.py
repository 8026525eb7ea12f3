"""Options that several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only values for scripts, such as a path")]
