"""Hugging Face transformers: nets in a folder or by name, as frozen encoders.

Weights are read as tensors by metaloop; code that a folder brings is never run.
Wolf et al. 2020, arXiv:1910.03771.
"""

from metaloop.guests.transformers.images import transformers_encoder
from metaloop.guests.transformers.recordings import transformers_recording_encoder
from metaloop.guests.transformers.texts import transformers_text_encoder

__all__ = [
    "transformers_encoder",
    "transformers_recording_encoder",
    "transformers_text_encoder",
]
