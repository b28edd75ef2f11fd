"""Makes a picture (SVG) of what a command printed: docs/demo.svg comes from here.

.venv/bin/metaloop learn --budget 3m --out runs/demo | python tools/terminal_picture.py \\
        "metaloop learn --budget 3m" docs/demo.svg
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 122


def main() -> None:
    """Reads the output from stdin; arguments: the command as typed, the file to write."""
    command, path = sys.argv[1:]
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    for line in sys.stdin:
        console.print(Text.from_ansi(line.rstrip("\n")))
    picture = console.export_svg(title="metaloop", theme=MONOKAI)
    # without fonts of another host: the reader's own will do
    Path(path).write_text(re.sub(r"\s*@font-face \{[^}]*\}", "", picture), encoding="utf-8")


if __name__ == "__main__":
    main()
