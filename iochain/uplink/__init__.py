"""Stages of the uplink: tags at the physical NIC, MTU, the wire."""
