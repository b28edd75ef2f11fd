"""Choosing an algorithm for each instance: scenarios of ASlib, forests that choose, a verdict."""
