"""The Hub behind nginx with TLS, with the configuration in examples/hub."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from seqhub.errors import InvalidConfigError
from seqhub.server.serve import Running, running
from seqhub.server.settings import Settings
from tests.helpers.training_processes import free_port

EXAMPLES = Path(__file__).parents[2] / "examples" / "hub"
LIMIT = 60

CLIENT = """
import os, sys
from pathlib import Path
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("ada/net")
Path("folder").mkdir()
Path("folder/README.md").write_text("# Net")
Path("folder/weights.bin").write_bytes(os.urandom(3_000_000))
print(api.upload_folder(repo_id="ada/net", folder_path="folder"))
found = api.hf_hub_download("ada/net", "weights.bin", local_dir="copy")
assert Path(found).read_bytes() == Path("folder/weights.bin").read_bytes()
"""


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[tuple[int, Path]]:
    """Start nginx with the server block of the examples; yield its port and its certificate."""
    port = free_port()
    _make_certificates(folder)
    block = (EXAMPLES / "nginx.conf").read_text()
    for given, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server_name hub.example": "server_name localhost",
        "/etc/ssl/hub.example/fullchain.pem": str(folder / "certificate.pem"),
        "/etc/ssl/hub.example/privkey.pem": str(folder / "key.pem"),
        "http://127.0.0.1:8080": upstream,
    }.items():
        assert block.count(given) == 1
        block = block.replace(given, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off;\n{paths}{block} }}"
    )
    line = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as process:
        try:
            yield port, folder / "authority.pem"
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT)


def _make_certificates(folder: Path) -> None:
    """Make a certificate for localhost, signed by an authority of its own: a client in Rust rejects any other."""
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout authority.key -out authority.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names "
        "-out certificate.pem",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True, timeout=LIMIT)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str, Path]]:
    if not all(map(shutil.which, ("nginx", "openssl"))):
        pytest.skip("needs nginx and openssl")
    folder = tmp_path_factory.mktemp("proxy")
    with (
        running(folder / "hub", trusted_proxies=("127.0.0.1",), max_wrong_tokens=3) as hub,
        nginx(folder, hub.url) as (port, certificate),
    ):
        url = f"https://localhost:{port}"
        for _ in range(100):  # until it listens; each attempt waits for the kernel only
            try:
                get(f"{url}/healthz", certificate)
                break
            except OSError:
                continue
        yield hub, url, certificate


def get(url: str, certificate: Path, **headers: str) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(certificate))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=LIMIT) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("xet", ["xet", "lfs"])
def test_a_client_uploads_and_downloads_over_tls(proxied: tuple[Running, str, Path], tmp_path: Path, xet: str) -> None:
    hub, url, certificate = proxied
    environment = os.environ | hub.environment(tmp_path / "home") | {"HF_ENDPOINT": url}
    environment |= {"SSL_CERT_FILE": str(certificate), "HF_HUB_DISABLE_XET": "1" if xet == "lfs" else "0"}
    program = CLIENT.replace("ada/net", f"seqhub/net-{xet}")
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{url}/seqhub/net-{xet}/commit/" in done.stdout


def test_links_of_the_pages_have_the_address_of_the_proxy(proxied: tuple[Running, str, Path]) -> None:
    hub, url, certificate = proxied
    status, page = get(f"{url}/", certificate, Accept="text/html")
    assert status == 200
    assert hub.url not in page
    assert urlsplit(hub.url).netloc not in page


def test_wrong_tokens_are_limited_by_client_and_not_by_proxy(proxied: tuple[Running, str, Path]) -> None:
    """The proxy replaces the header of a client, so that a client cannot choose an address."""
    hub, url, certificate = proxied
    statuses = [
        get(f"{url}/api/whoami-v2", certificate, Authorization="Bearer hf_no", **{"X-Forwarded-For": f"192.0.2.{n}"})[0]
        for n in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]
    direct = {"Authorization": "Bearer hf_no", "X-Forwarded-For": "192.0.2.9"}  # as another client over the proxy
    request = urllib.request.Request(f"{hub.url}/api/whoami-v2", headers=direct)
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LIMIT)
    with found.value as response:
        assert response.code == 401


def test_headers_of_others_are_ignored(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        headers = {"X-Forwarded-Proto": "https", "Authorization": f"Bearer {hub.token('ada')}"}
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            urllib.request.Request(f"{hub.url}/api/repos/create", data=b'{"name": "net"}', headers=headers),
            timeout=LIMIT,
        ) as response:
            assert json.load(response)["url"].startswith(hub.url)


def test_a_proxy_has_an_address() -> None:
    with pytest.raises(InvalidConfigError, match="trusted_proxy='nginx': must be an IP address"):
        Settings(trusted_proxies=("nginx",))
