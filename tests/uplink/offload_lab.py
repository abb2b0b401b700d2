"""A small lab whose NIC, settings and guests can be said."""

from collections.abc import Mapping
from typing import Any

from iochain import Lab

WEB, DB, ROUTER = (bytes.fromhex(mac) for mac in ("005056000001", "005056000002", "0200000000fe"))
CUT_BY_KERNEL = {"driver": "ntg3", "tso": False, "cso": False}


def lab(
    *,
    nic: Mapping[str, Any] | None = None,
    settings: Mapping[str, int] | None = None,
    version: str = "8.0",
    options: Mapping[str, str] | None = None,
    db: Mapping[str, Any] | None = None,
    web: Mapping[str, Any] | None = None,
    mtu: int = 1500,
) -> Lab:
    """Web and db behind one uplink; promiscuous ports are allowed."""
    made = Lab(version, options=dict(options or {}))
    host = made.host("esx1", settings=dict(settings or {}))
    host.nic("vmnic0", **(nic or {}))
    prod = host.vswitch("vSwitch0", uplinks=["vmnic0"], mtu=mtu, promiscuous="accept").portgroup("Prod")
    prod.vm("web", mac=WEB.hex(":"), **(web or {}))
    prod.vm("db", mac=DB.hex(":"), **(db or {}))
    return made
