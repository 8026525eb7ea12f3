"""The `seqhub env` command."""

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show


def env_command(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show versions and the machine.

    The output also says whether recurrences run natively, and if not, why.
    """
    from seqhub.native.loader import instruction_sets, reason
    from seqhub.records import environment

    facts = environment()
    why_not = reason()
    path = "torch" if why_not else instruction_sets()[0]
    flat = {name: facts[name] for name in ("python", "platform", "cores")} | facts["versions"]
    recurrence = f"torch ({why_not})" if why_not else f"native ({path})"
    show(
        Form.of(as_json, quiet),
        facts | {"recurrence": path, "reason": why_not},
        brief=[path],
        table=lambda console: console.print(
            grid(
                ("property", "value"),
                [(name, "-" if value is None else str(value)) for name, value in flat.items()]
                + [("recurrence", recurrence)],
            )
        ),
    )
