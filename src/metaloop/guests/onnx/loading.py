"""ONNX files as onnxruntime runs them: whole, and with operators that it has.

Weights in other files are refused: a file could name any file of the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.onnx_parts import has_other_files

EXTRA = "onnx"
MOST_BYTES = 2 << 30  # protocol buffers have no more
THREADS = 2


def name_of(path: Path, output: str | None) -> str:
    """Returns what the backbone in a file is called: `onnx:FILE` or `onnx:FILE#OUTPUT`."""
    return f"onnx:{path}" + (f"#{output}" if output else "")


def content_of(path: Path) -> bytes:
    """Returns the bytes of a file; raises `DataError` if it cannot be read or is too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(
                f"'{path}' has {path.stat().st_size / 1e9:.1f} GB; an ONNX file has at most "
                f"{MOST_BYTES / 1e9:.1f} GB"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def library_for(called: str) -> Any:
    """Returns onnxruntime; raises `MissingExtraError` without it."""
    try:
        import onnxruntime  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", EXTRA) from error
    return onnxruntime


def session_of(content: bytes, path: Path, called: str) -> Any:
    """Returns the file ready to run; raises `DataError` if it is damaged or names other files."""
    library = library_for(called)
    try:
        if has_other_files(content):
            raise DataError(
                f"'{path}' cannot be used as a backbone: its weights are in other files; save it "
                f"as one file"
            )
    except ValueError as error:
        raise DataError(f"'{path}' is no ONNX file: {error}") from error
    options = library.SessionOptions()
    options.intra_op_num_threads = min(THREADS, torch.get_num_threads())
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is told by the error
    try:
        return library.InferenceSession(
            content,
            sess_options=options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would try again, and print that
        )
    except Exception as error:  # onnxruntime's errors have no common class
        raise DataError(f"'{path}' cannot be used as a backbone: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Returns what onnxruntime says, without its codes."""
    text = " ".join(str(error).split())
    return text.rpartition("] : ")[2].partition(" : ")[2][:200] or text[:200]


def output_of(session: Any, output: str | None, called: str, axes: tuple[int, ...] = (2,)) -> str:
    """Returns the output of that name, or the last one that has as many axes as are wanted.

    Raises `DataError` if there is none.
    """
    outputs = session.get_outputs()
    names = [each.name for each in outputs]
    if output is not None:
        if output not in names:
            raise DataError(
                f"backbone '{called}' has no output '{output}'; it has {', '.join(names)}"
            )
        return output
    found = [each.name for each in outputs if len(each.shape or ()) in axes]
    if not found:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in outputs)[:200]
        raise DataError(
            f"backbone '{called}' has no output [N, D] for features: {shapes}; name one: "
            f"'{called}#OUTPUT'"
        )
    return str(found[-1])
