"""What a user does wrong is answered in one line, with exit code 2 and nothing changed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest_cli import Command, write_classes  # type: ignore[import-not-found]
