"""The `seqhub serve` command."""

from pathlib import Path
from typing import Annotated

import typer

from seqhub.cli.output import stderr

Root = Annotated[
    Path,
    typer.Option(
        envvar="SEQHUB_ROOT",
        help="Folder of the Hub",
        default_factory=lambda: Path.home() / ".local" / "share" / "seqhub" / "hub",
        show_default="SEQHUB_ROOT, or ~/.local/share/seqhub/hub",
    ),
]


def serve_command(
    root: Root,
    host: Annotated[
        str, typer.Option(help="Address to listen on; an address that is not local needs an existing token")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name that clients may use for this machine; may be repeated", show_default=False),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of a reverse proxy, which tells the addresses and scheme of clients; may be repeated",
            show_default=False,
        ),
    ] = None,
    safetensors_only: Annotated[
        bool, typer.Option("--safetensors-only", help="Reject files that may contain pickles")
    ] = False,
    examples: Annotated[
        bool,
        typer.Option("--examples", help="Add the released datasets and models that the Hub does not have (410 MB)"),
    ] = False,
    access_log: Annotated[
        bool,
        typer.Option(
            "--access-log/--no-access-log", help="Log of requests on standard error, one line of JSON for each"
        ),
    ] = True,
) -> None:
    """Serve a Hub of models and datasets.

    Unmodified Hugging Face clients can use it, and people a browser. Press Ctrl-C to stop it.
    """
    from seqhub.cli.examples import add_examples
    from seqhub.server.addresses import urls_for_others
    from seqhub.server.middleware import is_loopback
    from seqhub.server.serve import serve
    from seqhub.server.settings import Settings

    def ready(url: str) -> None:
        typer.echo(f"export HF_ENDPOINT={url}")
        hints = stderr()
        hints.print(f"Open {url} in a browser.")
        if not is_loopback(host):
            _print_urls(urls_for_others(settings, int(url.rpartition(":")[2])))
        hints.print(
            f"Set this variable for clients. Pushed repositories are stored in {root}. To create a token for pushing:"
        )
        hints.print(f"  seqhub hub user add NAME --root {root}")
        hints.print(f"  export HF_TOKEN=$(seqhub hub token create NAME --role write --quiet --root {root})")

    settings = Settings(
        host=host,
        port=port,
        allowed_hosts=tuple(allow_host or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        safetensors_only=safetensors_only,
    )
    serve(root, settings, ready=ready, prepare=add_examples if examples else None, log=access_log)


def _print_urls(urls: list[str]) -> None:
    """Print what other machines need."""
    hints = stderr()
    if not urls:
        hints.print("This machine has no address that other machines can reach.")
        return
    hints.print("On other machines:")
    for url in urls:
        hints.print(f"  export HF_ENDPOINT={url}", soft_wrap=True)
    hints.print("They read public repositories without a token. Private repositories and all changes need a token.")
    advice = "outside a trusted network use a proxy with TLS, see docs/hub-for-colleagues.md"
    hints.print(f"Tokens are not encrypted on the way; {advice}.")
