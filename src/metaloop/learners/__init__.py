"""Learning algorithms, one published method per file; none imports another."""
