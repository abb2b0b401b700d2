"""The lowest room: compiled loads and copies, the parser, and the row that everything above is a view of."""
