"""Stages of the port group level: VLAN, security policies, BPDU filter."""
