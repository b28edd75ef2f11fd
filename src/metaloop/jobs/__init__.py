"""What workers do, a file each, and what they find and leave in the folder of a run.

There are no names here: a worker process (`python -m metaloop.jobs`) takes hold of its pipes before
torch loads.
"""
