"""Networks as ONNX models: `export` writes a model for other runtimes, `from_onnx` reads one.

This needs the package onnx: ``pip install onnx``. The code is in fastnn/exchange.
"""

from fastnn.exchange.onnx_reader import from_onnx
from fastnn.exchange.onnx_writer import export

__all__ = ["export", "from_onnx"]
