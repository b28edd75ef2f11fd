"""`select` on a table of mixed columns: race pipelines, join the good ones, fit, test once."""
