"""Where jobs run: in this process or on worker processes. Nothing here knows what a job does.

There are no names here: a worker process takes hold of its pipes before torch loads.
"""
