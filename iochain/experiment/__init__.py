"""Networks that change while they run: the agenda of control events, what they do, and the run between them."""
