"""One network and its training: what it is built with, its state, its rows, its fit.

Each module imports only those above it in this list:

    specification.py    what a network is built with, checked
    binding.py          the specification as the kernels take it
    state.py            the state of a network: what is copied, pickled and saved
    weights.py          weights of rows by their classes
    mapped.py           advice to the system about memory-mapped files
    ahead.py            a thread that prepares the next item of an iterator
    streams.py          what a fit took from an iterator and did not use
    rows.py             rows in memory, and rows that are converted block by block
    batches.py          rows of an iterable of batches
    standardizing.py    mean and scale of each column of a source's rows
    sources.py          from what a user passes to these
    totals.py           losses and outputs of the blocks of an epoch, added up
    calls.py            one call: predictions, a step, gradients, an evaluation
    whole.py            fits that the engine carries out by itself
    plan.py             what a fit was asked for, checked
    loop.py             a fit: epochs, hooks, validation, divergence

Not here: files (exchange/model_files.py), callbacks, arithmetic (the kernels).
"""
