"""What can be wrong with a program: one line that names the place and the remedy."""

from __future__ import annotations

from metaloop.core.errors import MetaloopError


class ProgramError(MetaloopError):
    """The text is not a learning algorithm in metaloop's language of programs."""
