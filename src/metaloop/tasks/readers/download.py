"""Fetching Omniglot from its author's repository, each file checked against a known checksum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from metaloop.core.errors import DataError

OMNIGLOT_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
OMNIGLOT_CHECKSUMS = {  # as published by torchvision
    "images_background.zip": "md5:68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "md5:6b91aef0f799c5bb55b94e3f2daec811",
}
_TIMEOUT_SECONDS = 30.0


def download_omniglot(
    folder: str | Path,
    *,
    base_url: str = OMNIGLOT_URL,
    checksums: Mapping[str, str] = OMNIGLOT_CHECKSUMS,
) -> Path:
    """Returns `folder`, with Omniglot's two zips in it; files already there are only checked.

    Raises `DataError` if a file cannot be fetched or is not what its checksum says.
    """
    folder = Path(folder).expanduser()
    fetch = pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS)
    pooch.get_logger().setLevel("WARNING")  # its chatter is not for users
    for name, checksum in checksums.items():
        url = base_url.rstrip("/") + "/" + name
        try:
            pooch.retrieve(url, known_hash=checksum, fname=name, path=folder, downloader=fetch)
        except ValueError as error:
            raise DataError(
                f"{url} is not the file that was expected: its checksum differs; "
                "try again later, or get the file from another place"
            ) from error
        except OSError as error:  # those of the network are among these
            raise DataError(
                f"{url} cannot be fetched into {str(folder)!r} "
                f"({error.strerror or type(error).__name__}); check the network and the folder, "
                f"or put {name} there by hand"
            ) from error
    return folder
