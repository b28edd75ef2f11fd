"""Data into episodes: stores, readers, parts that share no class, episode sampling."""
