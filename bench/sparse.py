"""Sparse rows (CSR): fits, predictions, steps and memory, compared with scikit-learn and PyTorch.

    make bench-sparse

Fits are those of fastnn's and scikit-learn's MLPClassifier with the same parameters: one hidden
layer of 100 units, batches of 200 rows, float32. Both start from the same weights and see the same
rows in the same order, so their losses of the last epoch must agree to 1 %; otherwise no time is
shown. Everything in `fit` is timed. Rows are random, with the same number of nonzeros each, or
real: the words and pairs of words in the paragraphs of Python's own help topics, hashed by
scikit-learn.

Steps use a batch of 32 rows and Adam on the same network: fastnn; PyTorch with an EmbeddingBag and
its dense Adam; and PyTorch's sparse way, an EmbeddingBag with SparseAdam. The last is another
algorithm: it does not update the moments of features that are absent from a batch.

Memory is the peak of a process with a fit of fastnn, minus its memory before. One-hot columns are
also trained as arrays, to see from how many columns on CSR pays. Rounds are interleaved; figures
are medians. Not here: dense rows (compare.py).
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse

from fastnn import MLP, Adam, Dense
from fastnn.benchmarking import machine
from fastnn.benchmarking.protocol import SETTLE

RESULTS = Path(__file__).parent / "results" / "sparse.json"
HIDDEN, STEP_BATCH, EPOCHS = 100, 32, 2
CELLS = [(10_000, 2_000, 50), (10_000, 20_000, 100), (5_000, 100_000, 100)]  # rows, columns, each
ALPHAS = 0.0, 1e-4
LIBRARIES = "fastnn", "scikit-learn"
INTERFACES = "MLPClassifier", "MLP"  # whose memory is measured
WIDTHS = 256, 512, 1024, 8192  # numbers of one-hot columns


def name_of(cell):
    """Return the name of a cell in the tables."""
    if cell == "text":
        return "hashed words of help topics, 100,000 columns"
    return f"{cell[0]:,} x {cell[1]:,}, {cell[2]} nonzeros"


def rows_of(cell):
    """Return X (n, n_in) and labels 0 and 1 (n,)."""
    if cell == "text":
        return text()
    (n, n_in, each), rng = cell, np.random.default_rng(0)
    indices = np.concatenate([np.sort(rng.choice(n_in, each, replace=False)) for _ in range(n)])
    values = rng.random(n * each).astype("f4")
    starts = np.arange(0, n * each + 1, each)
    X = scipy.sparse.csr_matrix((values, indices.astype("i4"), starts), shape=(n, n_in))
    return X, rng.integers(0, 2, n)


def text():
    """Return paragraphs as hashed words, and whether each belongs to one of the longer topics."""
    from pydoc_data.topics import topics

    from sklearn.feature_extraction.text import HashingVectorizer

    longest = sorted(topics, key=lambda name: -len(topics[name]))[:8]
    pairs = [(p, name in longest) for name in topics for p in topics[name].split("\n\n")]
    hashing = HashingVectorizer(n_features=100_000, ngram_range=(1, 2), dtype=np.float32)
    X = hashing.transform([paragraph for paragraph, _ in pairs])
    return X.tocsr(), np.array([label for _, label in pairs], int)


# ---- fits and predictions -----------------------------------------------------------------------


def estimator(library, alpha, threads):
    """Return an MLPClassifier that trains for a few epochs."""
    options = {"alpha": alpha, "max_iter": EPOCHS, "random_state": 0, "n_iter_no_change": 10**6}
    if library == "fastnn":
        from fastnn.sklearn import MLPClassifier

        return MLPClassifier((HIDDEN,), n_threads=threads, **options)
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((HIDDEN,), **options)


def fits(cell, threads, rounds):
    """Return {alpha: {library: seconds per epoch}} and the seconds of a prediction."""
    X, y = rows_of(cell)
    keys = list(itertools.product(ALPHAS, LIBRARIES))
    taken, losses = {key: [] for key in keys}, {}
    predicted = {library: [] for library in LIBRARIES}
    for _ in range(rounds):
        for alpha, library in keys:
            model = estimator(library, alpha, threads)
            time.sleep(SETTLE)  # lets idle threads of the other library's BLAS fall asleep
            began = time.perf_counter()
            model.fit(X, y)
            taken[alpha, library].append((time.perf_counter() - began) / EPOCHS)
            losses[alpha, library] = model.loss_
            for _ in range(3):
                began = time.perf_counter()
                model.predict_proba(X)
                predicted[library].append(time.perf_counter() - began)
    times = {str(alpha): {} for alpha in ALPHAS}
    for alpha, library in keys:
        ours, theirs = (losses[alpha, name] for name in LIBRARIES)
        agrees = abs(ours / theirs - 1) < 0.01
        times[str(alpha)][library] = statistics.median(taken[alpha, library]) if agrees else None
    return {
        "rows": X.shape[0],
        "nonzeros": X.nnz / X.shape[0],
        "fit": times,
        "predict": {name: statistics.median(predicted[name]) for name in LIBRARIES},
    }


# ---- steps --------------------------------------------------------------------------------------


def fastnn_steps(X, y, n):
    """Return a function that makes n steps."""
    layers = [Dense(HIDDEN, "relu"), Dense(1, "sigmoid")]
    options = {"loss": "binary_cross_entropy", "optimizer": Adam(1e-3), "dtype": "float32"}
    net = MLP(X.shape[1], layers, seed=0, n_threads=1, **options)
    X, y = X[: n * STEP_BATCH], y[: n * STEP_BATCH, None].astype("f4")
    return lambda: net.fit(X, y, batch_size=STEP_BATCH, shuffle=False)


def torch_steps(X, y, n, sparse):
    """Return a function that makes n steps, with SparseAdam for the EmbeddingBag or Adam."""
    import torch

    torch.set_num_threads(1)
    embed = torch.nn.EmbeddingBag(X.shape[1], HIDDEN, mode="sum", sparse=sparse)
    bias = torch.nn.Parameter(torch.zeros(HIDDEN))
    last = torch.nn.Linear(HIDDEN, 1)
    rest = [bias, *last.parameters()]
    if sparse:
        rules = [torch.optim.SparseAdam(list(embed.parameters())), torch.optim.Adam(rest)]
    else:
        rules = [torch.optim.Adam([*embed.parameters(), *rest])]
    loss = torch.nn.BCEWithLogitsLoss()
    batches = []
    for i in range(0, n * STEP_BATCH, STEP_BATCH):
        part = X[i : i + STEP_BATCH]
        arrays = part.indices.astype("i8"), part.indptr[:-1].astype("i8"), part.data
        target = torch.from_numpy(y[i : i + STEP_BATCH, None].astype("f4"))
        batches.append((*map(torch.from_numpy, arrays), target))

    def run():
        for indices, starts, values, target in batches:
            for rule in rules:
                rule.zero_grad()
            z = torch.relu(embed(indices, starts, per_sample_weights=values) + bias)
            loss(last(z), target).backward()
            for rule in rules:
                rule.step()

    return run


def steps(cell, rounds, n=30):
    """Return the milliseconds per step, by contender."""
    X, y = rows_of(cell)
    runs = {
        "fastnn": fastnn_steps(X, y, n),
        "torch, SparseAdam (another algorithm)": torch_steps(X, y, n, True),
        "torch, Adam": torch_steps(X, y, n, False),
    }
    taken = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if number > 0:  # the first round is a warm-up
                taken[name].append((time.perf_counter() - began) / n * 1e3)
    return {name: statistics.median(each) for name, each in taken.items()}


# ---- memory -------------------------------------------------------------------------------------


def resident(field):
    """Return a size of this process in bytes, by a field of Linux' status file."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{field}:")[2].split()[0])


def peak_memory(cell, interface):
    """Return MB of a fit in this process: the peak, weights and moments, and the data.

    An `MLP` keeps a copy of its weights, to go back to if the loss is no longer finite; an
    estimator is then left as it was before the fit, and needs no copy.
    """
    X, y = rows_of(cell)
    options = {"loss": "binary_cross_entropy", "optimizer": "adam", "dtype": "float32"}
    layers = [Dense(HIDDEN, "relu"), Dense(1, "sigmoid")]
    estimator("fastnn", 0.0, 1)  # the memory of imports is not that of the fit
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = resident("VmRSS")
    if interface == "MLP":
        net = MLP(X.shape[1], layers, seed=0, n_threads=1, **options)
        net.fit(X, y[:, None].astype("f4"), batch_size=200)
    else:
        net = estimator("fastnn", 0.0, 1).fit(X, y).net_
    peak = resident("VmHWM") - before
    data = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    return {
        f"peak of {interface}": peak / 1e6,
        "weights_and_moments": 3 * 4 * net.n_parameters / 1e6,
        "data": data / 1e6,
    }


def as_dense(width):
    """Return the milliseconds per epoch with one-hot columns, as an array and as CSR."""
    n, each, rng = 8192, 24, np.random.default_rng(0)
    per = width // each
    indices = rng.integers(0, per, (n, each)) + np.arange(each) * per
    starts = np.arange(0, n * each + 1, each)
    arrays = np.ones(n * each, "f4"), indices.ravel().astype("i4"), starts
    X, y = scipy.sparse.csr_matrix(arrays, shape=(n, width)), rng.random((n, 1)).astype("f4")
    taken = {"array": [], "CSR": []}
    for _ in range(3):
        for name, rows in zip(taken, (X.toarray(), X), strict=True):
            layers = [*(Dense(256, "silu") for _ in range(3)), Dense(1)]
            options = {"loss": "squared_error", "optimizer": "adamw", "dtype": "float32"}
            net = MLP(width, layers, seed=0, n_threads=1, **options)
            net.fit(rows, y, batch_size=128)
            began = time.perf_counter()
            net.fit(rows, y, batch_size=128)
            taken[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(each) for name, each in taken.items()}


def memory(cell):
    """Return the results of `peak_memory`, each from a process of its own."""
    found = {}
    for interface in INTERFACES:
        command = [sys.executable, __file__, "--memory-of", json.dumps([cell, interface])]
        printed = subprocess.run(command, check=True, capture_output=True).stdout
        found |= json.loads(printed)
    return found


def main():
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of fastnn's fits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="fits,steps,memory,dense", help="what is measured")
    parser.add_argument("--cells", default="0,1,2,3", help="numbers of cells; 3 is the text")
    parser.add_argument("--write", action="store_true", help="add to results/sparse.json")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.memory_of:
        print(json.dumps(peak_memory(*json.loads(args.memory_of))))
        return
    machine.pin(args.threads)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"sparse": {}}
    found["machine"] = machine.describe(args.threads, "float32")
    measures = {
        "fits": lambda cell: fits(cell, args.threads, args.rounds),
        "steps": lambda cell: steps(cell, args.rounds),
        "memory": memory,
    }
    for part in args.parts.split(","):
        name = f"fits-{args.threads}" if part == "fits" else part
        for number in map(int, args.cells.split(",") if part != "dense" else ()):
            cell = [*CELLS, "text"][number]
            record = found["sparse"].setdefault(name, {})
            record[name_of(cell)] = measures[part](cell)
            print(name, name_of(cell), record[name_of(cell)], flush=True)
        for width in WIDTHS if part == "dense" else ():
            record = found["sparse"].setdefault(part, {})
            record[f"{width:,} columns"] = as_dense(width)
            print(width, record[f"{width:,} columns"], flush=True)
    if args.write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
