"""The training of one network: its specification, its state, the rows it reads, and the fit.

Each module imports only those above it in this list:

    specification.py    the checked arguments that define a network
    custom_loss.py      compiled networks whose loss is a user's function
    binding.py          compiled networks from specifications
    state.py            the state of a network: what is copied, pickled and saved
    weights.py          weights of rows by their classes
    mapped.py           memory-mapped files: their paths, and advice about their pages
    ahead.py            a thread that prepares the next item of an iterator
    streams.py          items that a fit took from an iterator and did not use
    rows.py             rows in memory, and rows that are converted block by block
    batches.py          rows from an iterable of batches
    standardizing.py    mean and scale of each column of a source's rows
    sources.py          conversion of a user's arguments to these kinds of rows
    totals.py           losses and outputs of the blocks of an epoch, added up
    calls.py            single calls: predictions, a step, gradients, an evaluation
    orders.py           orders of rows as scikit-learn draws them
    rules.py            callbacks in the form in which the engine carries them out
    whole.py            fits that the engine carries out as a whole
    plan.py             the checked arguments of a fit
    loop.py             a fit: epochs, hooks, validation, divergence

Not here: files (exchange/model_files.py), callbacks, arithmetic (the kernels).
"""
