"""Networks in other forms: model files, plain data, other libraries' objects, C source.

`MLP` itself uses model_files.py, configuration.py and safetensors.py, which know its state. The
other modules stand on `MLP`, and users import them from the root of the package (``fastnn.onnx``,
``fastnn.from_torch``, ...). Each of these that writes networks has one table of the kinds of
layers, ``RULES``; parts.py says how a layer is looked up in it.
"""
