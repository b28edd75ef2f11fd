"""Where and when a run happened: versions, platform, processors, the time."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata

_PACKAGES = ("metaloop", "torch", "numpy", "scipy", "scikit-learn", "safetensors")


def utc_now() -> str:
    """Returns the time as ISO text in UTC; all times in archives are made here."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def describe_environment() -> dict[str, str | int | None]:
    """Returns what a result may depend on besides its inputs, without importing torch."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        **{package: _version(package) for package in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
