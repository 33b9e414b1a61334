"""Networks in other forms: model files, plain data, other libraries' objects, C source.

`MLP` itself uses model_files.py, configuration.py and safetensors.py, which work on its state. The
other modules use `MLP`, and users import them from the root of the package (``fastnn.onnx``,
``fastnn.from_torch``, ...). Each module that writes networks has a table ``RULES`` with an entry
for each kind of layer; parts.py looks layers up in it.
"""
