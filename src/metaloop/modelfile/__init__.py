"""`model.metaloop`: one zip with `learner.json` and tensors in safetensors. No pickle, no code."""

from metaloop.modelfile.model import ModelFile, TrainingRecord
from metaloop.modelfile.reading import file_hash, read_model
from metaloop.modelfile.tensors import flatten_tensors, unflatten_tensors
from metaloop.modelfile.writing import write_model

__all__ = [
    "ModelFile",
    "TrainingRecord",
    "file_hash",
    "flatten_tensors",
    "read_model",
    "unflatten_tensors",
    "write_model",
]
