"""What runs a lab: walks, paths, windows, counters."""
