"""Stages of the physical switches between hosts: ports, VLANs, learning, forwarding."""
