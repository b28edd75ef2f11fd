"""Other libraries behind metaloop's contracts: one file each, and an extra that installs it.

No guest imports another, and none is imported before it is asked for: what is missing is told with
the extra that brings it.
"""
