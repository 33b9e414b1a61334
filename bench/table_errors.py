"""Tables of errors on real tables: by set, and relative to LightGBM.

Results are {set: {contender: {"error", "log_loss" or None, "seconds"}}}. Not here: the measurements
(real_tables.py, embedded_tables.py, ensemble_tables.py).
"""

import numpy as np

REFERENCE = "LightGBM"


def ratio(results, contender, value):
    """Return the geometric mean over the sets of a value relative to LightGBM's; NaN without it."""
    pairs = [
        (of_set[contender][value], of_set[REFERENCE][value])
        for of_set in results.values()
        if REFERENCE in of_set and of_set[contender][value] is not None
    ]
    logs = [np.log(ours / theirs) for ours, theirs in pairs if ours > 0 and theirs > 0]
    return float(np.exp(np.mean(logs))) if logs else float("nan")


def mean_rank(results, contender):
    """Return the mean rank by error, 1 for the least; equal errors share a rank."""
    ranks = []
    for of_set in results.values():
        errors = np.array([each["error"] for each in of_set.values()])
        mine = of_set[contender]["error"]
        ranks.append(1 + (errors < mine).sum() + ((errors == mine).sum() - 1) / 2)
    return float(np.mean(ranks))


def lines(results):
    """Return the rows of a table: errors by set, and their summary."""
    names = list(next(iter(results.values())))
    rows = [["set", *names]]
    for name, of_set in results.items():
        rows.append([name, *(f"{of_set[c]['error']:.3f}" for c in names)])
    rows.append(["error over LightGBM's", *(f"{ratio(results, c, 'error'):.3f}" for c in names)])
    losses = (f"{ratio(results, c, 'log_loss'):.3f}" for c in names)
    rows.append(["log-loss over LightGBM's", *losses])
    seconds = {c: np.mean([of_set[c]["seconds"] for of_set in results.values()]) for c in names}
    rows.append(["CPU seconds", *(f"{seconds[c]:.1f}" for c in names)])
    rows.append(["mean rank", *(f"{mean_rank(results, c):.2f}" for c in names)])
    return rows


def table(results):
    """Return the table as text."""
    rows = lines(results)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w)
                  for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )  # fmt: skip
