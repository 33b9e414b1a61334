"""Encode a table's columns as a network's inputs, and write the network's predictions to a file.

One module for each step, in the order of their imports:

- `errors`: TableError, and how messages list names
- `table`: a table in memory
- `spelling`, `numbers`, `dates`: the value that a text stands for
- `text_files`, `remedies`: encoding and separator of a text file; remedies in messages
- `columns`: the kind of a column, from a polars Series or an ndarray
- `csv_files`, `frames`, `naming`, `reading`: files and data frames in
- `deviation`, `codes`, `encoding`: the standard deviation of numbers; how values become inputs; the
  encoded rows of a table
- `targets`: the task (classification or regression) that a target column implies
- `recipe`, `learning`, `leaks`: how columns are encoded, as plain data, learned from training rows
- `c_columns`: columns and their codes in C source
- `target_scaling`, `calibration`, `ensemble`: the scaling of a numeric target; temperature scaling;
  networks that suit most tables
- `models`: networks and their recipe in a file
- `onnx_columns`: columns and their codes in ONNX models
- `writing`: prediction files
- `scores`, `report`: scores on held-out rows; a page on networks and these rows

Not here: networks in general, and the output of the command line (cli/). `fastnn.tables` has the
public names. polars reads CSV and Parquet; it is imported when needed: ``pip install polars``.
"""
