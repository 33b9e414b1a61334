"""Networks as ONNX files: `export` writes one for other runtimes, `from_onnx` reads one.

Needs the package onnx: ``pip install onnx``. The code is in fastnn/exchange.
"""

from fastnn.exchange.onnx_reader import from_onnx
from fastnn.exchange.onnx_writer import export

__all__ = ["export", "from_onnx"]
