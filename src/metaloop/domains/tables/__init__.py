"""Tables of mixed columns: what a column is, how it becomes numbers, and pipelines that learn.

No torch here: workers that fit pipelines start in a second.
"""
