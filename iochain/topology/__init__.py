"""The lab: what its file says, the mistakes in it, and the graph that it wires."""
