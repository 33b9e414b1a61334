"""From a table's columns to a network's inputs, and from its outputs to a file.

A module for each step, in the order of their imports:

- `errors`: TableError, and how messages list names
- `table`: a table in memory
- `spelling`, `numbers`, `dates`: what a text means
- `columns`: the kind of a column, from a polars Series or an ndarray
- `text_files`, `csv_files`, `frames`, `naming`, `reading`: files and data frames in
- `targets`: the task that a target column sets
- `codes`, `encoding`: how values become inputs, and the rows of a table as inputs
- `recipe`, `learning`, `leaks`: how columns are encoded, as plain data; learned from training rows
- `calibration`, `ensemble`: the networks that suit most tables, and their probabilities
- `models`: networks with their recipe, in a file
- `writing`: files out

Not here: other networks, and what the command line prints (cli/). `fastnn.tables` has the public
names. polars reads CSV and Parquet and is imported when it is needed: ``pip install polars``.
"""
