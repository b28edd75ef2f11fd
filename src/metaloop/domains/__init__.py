"""Domains: what is particular to one kind of data, a folder each; none of them imports another."""
