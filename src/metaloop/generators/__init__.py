"""Generated learning data: operators that make new training classes out of a family's own."""
