"""Contracts, records, statistics, random streams and errors: what every other part stands on."""
