"""Benchmarks of fastnn and other libraries: `fastnn bench`, and what the scripts in bench/ use.

- `cells`, `real_rows`: networks, batches, optimizers, rows, and the correct results
- `modes`: rows with zeros, sparse rows and bfloat16 beside dense rows in float32
- `contenders`, `jax_peer`, `torch_peer`, `predictors`: the cells in each library
- `protocol`, `machine`, `limits`: the comparison, the machine, and a model of its limits
- `command`, `session`: the command, and its measuring process
- `tables`, `notes`: the text that the command prints

``python -m fastnn.benchmarking`` runs the command alone. Only the command line imports this
package. It needs NumPy; other libraries are measured if they are installed. Not here: profiles of a
user's own network (profiling.py).
"""
