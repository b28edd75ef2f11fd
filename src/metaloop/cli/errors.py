"""Whatever goes wrong becomes one line on stderr and an exit code; a traceback is a bug.

2: something the user can mend. 130 and 143: stopped by Ctrl-C and SIGTERM. 70: a bug in metaloop;
`METALOOP_DEBUG=1` then shows the traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from metaloop.api.speaking import drop, one_line, say
from metaloop.cli.output import tidy_streams
from metaloop.core.errors import ERRNOS_OF_THE_MACHINE, MetaloopError, is_out_of_memory

# click's UsageError: typer brings it along, under a name of its own in each version
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
MENDABLE, BUG, INTERRUPTED = 2, 70, 130


def guarded(command: Callable[[], object]) -> int:
    """Returns the exit code of a command: the number it returned, else 0; or that of its error."""
    try:
        tidy_streams()
        result = command()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return _say("interrupted", INTERRUPTED)
    except KeyboardInterrupt as stop:
        code = stop.args[0] if stop.args and isinstance(stop.args[0], int) else INTERRUPTED
        return _say("interrupted; nothing new was saved", code)
    except BrokenPipeError:
        drop(sys.stdout)
        return 0
    except MetaloopError as error:
        return _explain(str(error), error)
    except USAGE_ERROR as error:
        return _explain(_usage(error), error)
    except MemoryError as error:
        return _explain("out of memory; use smaller images or less data", error)
    except OSError as error:
        _flush_or_drop()
        if error.errno not in ERRNOS_OF_THE_MACHINE:
            return _bug(error)
        where = f"'{error.filename}': " if error.filename else ""
        return _explain(f"{where}{error.strerror}", error)
    except Exception as error:
        if is_out_of_memory(error):
            return _explain("out of memory; use smaller images, less data or a smaller net", error)
        return _bug(error)


def _flush_or_drop() -> None:
    """Stdout may be what cannot be written: Python must not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        drop(sys.stdout)


def _explain(text: str, error: BaseException) -> int:
    _maybe_trace(error)
    return _say(f"error: {text}", MENDABLE)


def _bug(error: Exception) -> int:
    _maybe_trace(error)
    return _say(
        f"error: this is a bug in metaloop, please report it: {type(error).__name__}: "
        f"{one_line(str(error))[:300]} (METALOOP_DEBUG=1 shows where)",
        BUG,
    )


def _say(text: str, code: int) -> int:
    if "postgres" in text.lower():  # whichever verb was given a URL, and quotes it
        from metaloop.archive.address import without_passwords  # lazy: only then

        text = without_passwords(text)
    say(f"metaloop: {one_line(text)}")
    return code


def _usage(error: BaseException) -> str:
    """What click says of wrong options, and where help is."""
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    verb = context.command_path if context is not None else "metaloop"
    text = text.strip().rstrip(".?")
    return f"{text[:1].lower()}{text[1:]}; see '{verb} --help'"


def _maybe_trace(error: BaseException) -> None:
    if os.environ.get("METALOOP_DEBUG", "0") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
