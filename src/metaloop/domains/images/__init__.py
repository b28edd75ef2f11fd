"""Images: photographs, and drawings of one channel, uint8 `[channels, height, width]`."""

from metaloop.domains.images.domain import IMAGES

__all__ = ["IMAGES"]
