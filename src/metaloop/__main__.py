"""`python -m metaloop`: the same as the `metaloop` command."""

from __future__ import annotations

from metaloop.cli import main

if __name__ == "__main__":
    main()
