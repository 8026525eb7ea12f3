"""Addresses at which other machines reach a server."""

import ipaddress
import socket

import psutil

from seqhub.server.settings import Settings

_FAMILIES = {"0.0.0.0": (socket.AF_INET,), "::": (socket.AF_INET, socket.AF_INET6)}


def urls_for_others(settings: Settings, port: int) -> list[str]:
    """Return the URLs with which other machines reach a server: its host names, then its addresses.

    Args:
        settings: Settings of the server.
        port: Port on which it listens.

    Returns:
        Empty if only this machine reaches it.

    >>> urls_for_others(Settings(host="127.0.0.1"), 8080)
    []
    >>> urls_for_others(Settings(host="192.0.2.7", allowed_hosts=("lab.example", "localhost")), 8080)
    ['http://lab.example:8080', 'http://192.0.2.7:8080']
    """
    hosts = _addresses_of_machine(settings.host) if settings.host in _FAMILIES else [settings.host]
    others = [host for host in hosts if not _is_local(host)]
    names = [name.partition(":")[0] for name in settings.allowed_hosts if not _is_local(name)] if others else []
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}" for host in dict.fromkeys([*names, *others])]


def _addresses_of_machine(host: str) -> list[str]:
    families = _FAMILIES[host]
    found = [each for addresses in psutil.net_if_addrs().values() for each in addresses if each.family in families]
    return [each.address for each in sorted(found, key=lambda each: families.index(socket.AddressFamily(each.family)))]


def _is_local(host: str) -> bool:
    """Return whether a name or address is of no use on other machines."""
    if host == "localhost" or "%" in host:  # an address with the name of an interface of this machine
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local
