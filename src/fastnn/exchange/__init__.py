"""Networks in other forms: files, other libraries' objects, C source.

Users import these from the root of the package (``fastnn.onnx``, ``fastnn.from_torch``, ...). Each
module that writes networks has one table of the kinds of layers, ``RULES``; parts.py says how a
layer is looked up in it.
"""
