"""iochain: a packet-level emulator of the ESXi network IOChain."""

from iochain.version import __version__

__all__ = ["__version__"]
