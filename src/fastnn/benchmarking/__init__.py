"""Measuring fastnn and its peers: the code of `fastnn bench`, and of the scripts in bench/.

The cells (`cells`), what each library makes of them (`contenders`, `jax_peer`, `torch_peer`,
`predictors`), how they are compared (`protocol`) on which machine (`machine`), and what that could
do at best (`limits`); the command (`command`), its measuring process (`session`), and what it shows
(`tables`, `notes`). `python -m fastnn.benchmarking` is the command alone.

Not here: a user's own network (profiling.py). Nothing of fastnn imports this package, but for the
command line when it is asked to. NumPy is needed, and whichever peers are there.
"""
