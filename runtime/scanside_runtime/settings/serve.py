"""To whom results are shown by the network."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.settings.bounds import Within, check
from scanside_runtime.settings.table import Table

THIS_MACHINE = ("127.0.0.0/8", "::1/128")
LOCAL_NETWORKS = (
    *THIS_MACHINE, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServeSettings(Table):
    """`[serve]`: `scanside serve` shows the worklist and its pages to browsers, behind a password, and no more.

    host: address to listen on. The default is this machine alone; `0.0.0.0` is every network that it is on.
    port: to listen on; below 1024 it wants a right of its own.
    tls_certificate, tls_key: PEM files of this box. Without them only this machine is served.
    insecure_network: other machines are served without TLS: whoever can listen on the network reads names and password.
    networks: from which addresses browsers may come. The default is every private network, and nothing of the internet.
    connections: so many at once, a quarter of them from one address; more wait.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Within(1, 65_535)] = 8040
    tls_certificate: str = ""
    tls_key: str = ""
    insecure_network: bool = False
    networks: tuple[str, ...] = LOCAL_NETWORKS
    connections: Annotated[int, Within(4, 256)] = 48

    def _check_together(self) -> None:
        check(_is_address(self.host), "serve.host", "it must be an IP address, 127.0.0.1 for example")
        both = bool(self.tls_certificate) == bool(self.tls_key)
        check(both, "serve.tls_key", "certificate and key go together")
        for one in self.networks:
            check(_is_network(one), "serve.networks", f"{one!r} is no network such as 192.168.1.0/24")

    @property
    def this_machine_alone(self) -> bool:
        """Whether no other machine can call."""
        return ipaddress.ip_address(self.host).is_loopback

    def lets_in(self, address: str) -> bool:
        """Whether a browser at this address may come."""
        caller = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(caller, "ipv4_mapped", None) or caller
        return any(mapped in ipaddress.ip_network(one) for one in self.networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
