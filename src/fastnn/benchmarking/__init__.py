"""Benchmarks of fastnn and other libraries: `fastnn bench`, and functions for bench/'s scripts.

- `cells`, `real_rows`: networks, batches, optimizers, rows, and the reference results
- `modes`: rows with zeros, sparse rows and bfloat16 compared with dense rows in float32
- `contender`, `contenders`, `jax_peer`, `torch_peer`, `predictors`: the cells in each library
- `protocol`, `machine`, `limits`: the comparison, the machine, and a model of its limits
- `command`, `session`: the command, and its measuring process
- `tables`, `notes`: the text that the command prints

``python -m fastnn.benchmarking`` runs the command without the rest of the command line, which alone
imports this package. Only NumPy is required; other libraries are measured if they are installed.
Not here: profiles of a user's own network (profiling.py).
"""
