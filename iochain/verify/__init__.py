"""Policies of a lab as data: statements, the search for a frame that breaks one, and what two labs do differently."""
