"""ONNX files as frozen encoders, of images and of recordings, run by onnxruntime."""

from metaloop.guests.onnx.images import onnx_encoder
from metaloop.guests.onnx.recordings import onnx_recording_encoder

__all__ = ["onnx_encoder", "onnx_recording_encoder"]
