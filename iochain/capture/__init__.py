"""Captures: reading and writing pcap and pcapng."""
