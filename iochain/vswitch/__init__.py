"""Stages of the virtual switch: forwarding, reverse path, teaming, shaping."""
