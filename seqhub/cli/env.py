"""The `seqhub env` command."""

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show


def env_command(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show versions and the machine.

    The output also says whether recurrences run natively, and if not, why.
    """
    from seqhub.native.loader import instruction_sets, reason
    from seqhub.records import environment

    info = environment()
    reason_not_native = reason()
    path = "torch" if reason_not_native else instruction_sets()[0]
    flat = {name: info[name] for name in ("python", "platform", "cores")} | info["versions"]
    recurrence = f"torch ({reason_not_native})" if reason_not_native else f"native ({path})"
    show(
        Form.of(as_json, quiet),
        info | {"recurrence": path, "reason": reason_not_native},
        brief=[path],
        table=lambda console: console.print(
            grid(
                ("property", "value"),
                [(name, "-" if value is None else str(value)) for name, value in flat.items()]
                + [("recurrence", recurrence)],
            )
        ),
    )
