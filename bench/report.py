"""Tables, plots and the figures of the READMEs from bench/results/*.json: none is typed by hand.

    python bench/report.py    # after compare.py

The script writes a Markdown table and a plot beside every JSON file, the plot `results/summary.svg`
of a few cells, and the text between `<!-- begin NAME -->` and `<!-- end NAME -->` in the pages
READMES, where NAME is a file of results or one of SECTIONS. Not here: measurements (compare.py),
the rounding of figures (fastnn.benchmarking.tables), and drawing the plot (plot.py).
"""

import json
import re
from pathlib import Path

import table_errors

from fastnn.benchmarking.tables import (
    NAMES,
    contenders,
    figure,
    geometric_mean,
    ratio,
    shares,
    time_of,
)

HERE = Path(__file__).parent
ROOT = HERE.parent
READMES = [ROOT / "README.md", HERE / "README.md", ROOT / "packaging" / "index_page.md"]

# The cells in README.md's table and plot; bench/README.md has all cells.
SMALL = [
    "2-3-1 sigmoid, batch 1, sgd",
    "16-64-64-1 tanh, batch 1, adam",
    "16-64-64-1 tanh, batch 32, adam",
    "64-128-10 relu, batch 32, adam",
    "784-256-128-10 relu, batch 128, adam",
    "1024-4096-1024 relu, batch 256, adam",
]

ESTIMATORS = ("fastnn", "scikit-learn")


def load(name, results=HERE / "results"):
    """Return a file of results, or None if there is none."""
    path = results / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def markdown(lines):
    """Return a Markdown table: the first line is the head, and the first column is text."""
    head, *body = ["| " + " | ".join(line) + " |" for line in lines]
    return [head, "| --- |" + " ---: |" * (len(lines[0]) - 1), *body]


def rows(records):
    """Return the rows of the table of these cells; the peak is the highest one of the run."""
    names = contenders(records)
    head = ["µs", *(NAMES.get(name, name) for name in names)]
    head += ["best peer / fastnn", "rows/s", "of peak", "of limit"]
    peak = max(record["peak_gflops"] for record in records)
    lines = [head]
    for record in records:
        lines.append([record["cell"], *(time_of(record, name) for name in names)])
        ours, best = shares(record, peak), ratio(record)
        if ours:
            lines[-1] += [
                f"{best:.2f}" if best else "",
                figure(ours["rows_per_s"]),
                f"{ours['of_peak']:.0%}",
                f"{ours['of_limit']:.0%}" if "of_limit" in ours else "",
            ]
    return markdown(lines)


def means(records):
    """Return a sentence with the geometric means of the ratios."""
    means = []
    for label, peer in (("best peer", None), ("scikit-learn", "scikit-learn")):
        found = [r for r in (ratio(record, peer) for record in records) if r]
        if found:
            means.append(f"{label} / fastnn {geometric_mean(found):.2f} over {len(found)} cells")
    return f"Geometric means: {'; '.join(means)}." if means else ""


def notes(records):
    """Return a sentence for each peer that failed, with its first reason."""
    failed = {}
    for record in records:
        for name, result in record["results"].items():
            if "failed" in result:
                failed.setdefault(name, result["failed"])
    return [f"{name} fails: `{reason}`." for name, reason in failed.items()]


def results_section(found):
    """Return the table of a file of results, and the sentences below it."""
    for key, (render, names_machine) in RENDERERS.items():
        if key in found:
            machine = f"\n\n{machine_sentence(found)}" if names_machine else ""
            return render(found) + machine
    return cells_table(found)


def cells_table(found):
    """Return the table of cells, and the sentences below it."""
    records = found["cells"]
    lines = [*rows(records), "", means(records), *notes(records)]
    if found.get("regime") == "real":  # the machine of the other files is named once
        lines += ["", machine_sentence(found)]
    return "\n".join(lines)


def imports_table(found):
    """Return the table of the time that it takes to import each library."""
    times = found["imports"]
    lines = [["library", "import, s"], *([n, f"{times[n]['median_s']:.3f}"] for n in times)]
    return "\n".join(markdown(lines))


def sets_table(found):
    """Return the table of errors on real tables."""
    return "\n".join(markdown(table_errors.lines(found["sets"])))


def extras_table(found):
    """Return the table of the cost of the options of a training, by number of threads."""
    one, two = found["extras"]["1"], found["extras"]["2"]
    lines = [["training with", "1 thread, s", "cost", "2 threads, s", "cost"]]
    for name in one:
        cells = [name]
        for record in (one[name], two[name]):
            cells += [f"{record['median_s']:.2f}", f"{record['cost']:+.1%}"]
        lines.append(cells)
    return "\n".join(markdown(lines))


def bfloat16_tables(found):
    """Return the tables for bfloat16: times per step, and scores."""
    times = found["bfloat16_us"]
    names = list(next(iter(times.values())))
    plain, rounded, *peers = names
    lines = [["µs", *names, "float32 / bfloat16", "best peer / fastnn"]]
    for cell, us in times.items():
        best = min((us[peer] for peer in peers if us[peer]), default=None)
        lines.append([cell, *(figure(us[name]) if us[name] else "disagrees" for name in names)])
        lines[-1] += [f"{us[plain] / us[rounded]:.2f}", f"{best / us[rounded]:.2f}" if best else ""]
    dtypes = list(next(iter(found["scores"].values())))
    scores = [["score", *dtypes]]
    for name, of_dtype in found["scores"].items():
        scores.append([name, *(f"{s['mean']:.4f} ± {s['sd']:.4f}" for s in of_dtype.values())])
    return "\n".join([*markdown(lines), "", *markdown(scores)])


def neighbours_table(found):
    """Return the table of time on one thread over two, a column for each of the surroundings."""
    by_cell = {}
    for row in found["rows"]:
        by_cell.setdefault(row["cell"], {})[row["beside"]] = row
    places = list(next(iter(by_cell.values())))
    lines = [["time on one thread / on two, beside", *places, "one thread alone, µs"]]
    for cell, row in by_cell.items():
        ratios = (f"{row[place]['ratio']:.2f}" for place in places)
        lines.append([cell, *ratios, figure(row[places[0]]["one"] * 1e6)])
    times = ", ".join(f"{ns:.0f}" for ns in found["core_to_core_ns"])
    return "\n".join(
        [*markdown(lines), "", f"Latency between the cores before each column: {times} ns."]
    )


def many_table(found):
    """Return the tables of many networks in one call: networks per second, and overhead of one."""
    sizes = {"networks_per_s": "16-64-64-1, batch 32", "tiny_networks_per_s": "2-8-1, batch 1"}
    names = list({name: None for size in sizes for name in found[size]})
    lines = [["networks/s", *sizes.values()]]
    for name in names:
        rates = (found[size].get(name) for size in sizes)
        lines.append([name, *(figure(rate) if rate else "" for rate in rates)])
    costs, search = found["overhead"], ""
    if "search" in found:
        search = (
            " A search of 200 candidates on 5 folds of the digits by MLPSearchCV is "
            f"{found['search']['ratio']:.2f} times as fast as by GridSearchCV with n_jobs=2, with "
            "the same scores."
        )
    return "\n".join(
        [
            *markdown(lines),
            "",
            f"A network of `networks` takes {figure(costs['built_us'])} µs to build and "
            f"{figure(costs['member_us'])} µs in `fit_many` in addition to its steps; a `fit` of "
            f"one step takes {figure(costs['fit_of_a_step_us'])} µs. Two threads train 60 networks "
            f"of 1 to 10 epochs {found['uneven_speedup']:.2f} times as fast as one.{search}",
        ]
    )


def many_sentence(found):
    """Return a sentence on the networks per second of `fit_many` and of the best other library."""
    rates = dict(found["networks_per_s"])
    ours, loop = rates.pop("fit_many, 2 threads"), rates.pop("loop over fit")
    rates.pop("fit_many, 1 thread")
    sklearn = rates.pop("scikit-learn, joblib")
    best = max((name for name in rates if name.startswith("JAX")), key=rates.get)
    return (
        f"`fit_many` trains {figure(ours)} networks a second on two threads (16-64-64-1, 1,024 "
        f"rows, 10 epochs of batches of 32); a loop over `fit` trains {figure(loop)}, the fastest "
        f"variant with JAX ({best.removeprefix('JAX, ')}) {figure(rates[best])}, and scikit-learn "
        f"in two processes {figure(sklearn)}. CPU: {found['machine']['cpu']}. Script: "
        "`bench/many.py`, run by `make bench-many`."
    )


def bfloat16_sentence(found):
    """Return the sentence with the times of the largest network in bfloat16 and in float32."""
    cell, times = list(found["bfloat16_us"].items())[-1]
    plain, mixed, autocast = (
        figure(times[name])
        for name in ("fastnn, float32", "fastnn, mixed_bfloat16", "torch, autocast")
    )
    return (
        f'With `dtype="mixed_bfloat16"`, a training step of {cell}, takes {mixed} µs instead of '
        f"{plain} µs in float32; PyTorch's takes {autocast} µs under autocast to bfloat16. One "
        f"thread. CPU: {found['machine']['cpu']}, instruction set "
        f"{found['machine']['fastnn']['instruction_set']}. Script: `bench/bfloat16.py`, run by "
        "`make bench-bfloat16`."
    )


def scores_as_well(record):
    """Whether fastnn's mean score is at least scikit-learn's minus one standard deviation."""
    ours, theirs = (record[who] for who in ESTIMATORS)
    return ours["score_mean"] >= theirs["score_mean"] - theirs["score_sd"]


def sparse_tables(found):
    """Return the tables for CSR rows: fits and predictions, steps, memory, and dense rows."""
    tables = []
    for threads in (1, 2):
        lines = [["fastnn on one thread" if threads == 1 else "fastnn on two threads"]]
        for what in ("epoch, alpha 0", "epoch, alpha 1e-4", "prediction"):
            lines[0] += [f"{what}: fastnn, ms", "scikit-learn, ms", "ratio"]
        for cell, record in found["sparse"].get(f"fits-{threads}", {}).items():
            pairs = [*record["fit"].values(), record["predict"]]
            lines.append([cell])
            for pair in pairs:
                both = [pair[name] for name in ("fastnn", "scikit-learn")]
                if None in both:
                    lines[-1] += ["disagrees", "", ""]
                else:
                    lines[-1] += [*(figure(1e3 * s) for s in both), f"{both[1] / both[0]:.1f}"]
        tables.append(lines)
    for name, unit in (("steps", "ms"), ("memory", "MB"), ("dense", "ms")):
        cells = found["sparse"].get(name, {})
        heads = list(next(iter(cells.values()), {}))
        lines = [[f"{name}, {unit}", *heads]]
        for cell, record in cells.items():
            lines.append([cell, *(figure(record[head]) for head in heads)])
        tables.append(lines)
    return "\n\n".join("\n".join(markdown(lines)) for lines in tables if len(lines) > 1)


def estimators_table(found):
    """Return the table of both classifiers: scores, and times of whole fits."""
    head = ["rows"]
    for what in ("score", "fit, s", "one row, µs"):
        head += [f"{what}, {NAMES.get(who, who)}" for who in ESTIMATORS]
        head += ["ratio"] if what != "score" else []
    lines = [head]
    for record in found["estimators"]:
        both = [record[who] for who in ESTIMATORS]
        scores = [f"{of['score_mean']:.4f} ± {of['score_sd']:.4f}" for of in both]
        lines.append([f"{record['data']}, {record['dtype']}", *scores])
        if not scores_as_well(record):  # no time is shown
            lines[-1] += ["disagrees", "", "", "", "", ""]
            continue
        lines[-1] += [
            *(figure(of["fit_median_s"]) for of in both),
            f"{record['fit_ratio']:.1f}",
            *(figure(1e6 * of["predict_median_s"]) for of in both),
            f"{record['predict_ratio']:.1f}",
        ]
    return "\n".join(markdown(lines))


def estimators_sentence(found):
    """Return a sentence with the ranges of the ratios of scikit-learn's times to fastnn's."""

    def span(what, digits):
        right = filter(scores_as_well, found["estimators"])
        ratios = [record[f"{what}_ratio"] for record in right]
        return f"{min(ratios):.{digits}f} to {max(ratios):.{digits}f}"

    ours, theirs = ([r[who]["score_mean"] for r in found["estimators"]] for who in ESTIMATORS)
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    return (
        "`fastnn.sklearn.MLPClassifier` compared with scikit-learn's on the data sets digits, "
        f"letter and 5,000 rows of MNIST, with {found['machine']['threads']} threads: `fit` is "
        f"{span('fit', 1)} times as fast and `predict` of one row {span('predict', 0)} times; the "
        f"mean scores differ by at most {apart:.4f}. CPU: {found['machine']['cpu']}."
    )


def machine_sentence(found):
    """Return a sentence with the machine and the versions of a file of results."""
    m = found["machine"]
    ours = m["fastnn"]
    versions = ", ".join(f"{NAMES.get(name, name)} {v}" for name, v in m["versions"].items())
    return (
        f"Measured on: {m['cpu']}, {ours['platform']}, {ours['instruction_set']} kernels by "
        f"{ours['compiler']}, Python {m['python']}, {versions}."
    )


def small(found):
    """Return a file of results with only the cells of the small table."""
    return found | {"cells": [record for record in found["cells"] if record["cell"] in SMALL]}


def small_table(found):
    """Return README.md's table: some cells, whole epochs, float32, one thread."""
    records = small(found)["cells"]
    names = contenders(records)
    lines = [["net, batch, optimizer", *(NAMES.get(name, name) for name in names)]]
    lines += [[r["cell"], *(time_of(r, name) for name in names)] for r in records]
    return "\n".join([*markdown(lines), "", machine_sentence(found), means(found["cells"])])


def training_sentence(found):
    """Return a sentence with the geometric means over all cells, and the CPU."""
    best, sklearn = (
        [r for r in (ratio(record, peer) for record in found["cells"]) if r]
        for peer in (None, "scikit-learn")
    )
    peers = [NAMES.get(name, name) for name in contenders(found["cells"])[1:]]
    machine = found["machine"]
    return (
        f"A training step of fastnn is **{geometric_mean(best):.2f} times** as fast as that of the "
        f"fastest other library ({', '.join(peers[:-1])} or {peers[-1]}) and "
        f"**{geometric_mean(sklearn):.2f} times** as fast as scikit-learn's: geometric means over "
        f"{len(best)} and {len(sklearn)} combinations of network, batch size and optimizer, in "
        f"{machine['dtype']} on one thread. CPU: {machine['cpu']}, with the "
        f"{machine['fastnn']['instruction_set']} kernels. Script: `bench/compare.py`, run by "
        "`make bench-peers`."
    )


#: What the name of a cell with real rows adds to that of the same cell with Gaussian rows.
REAL = ", MNIST"


def real_rows_sentence(found):
    """Return sentences with the mean over all cells if some of them have real rows."""
    records = {record["cell"]: record["results"] for record in load("real-float32-1")["cells"]}
    ratios = []
    for record in found["cells"]:
        real = records.get(record["cell"] + REAL)
        if real is not None:
            times = [
                ratio({"results": {**peers, "fastnn": real["fastnn"]}})
                for peers in (real, records[record["cell"]])
            ]
            ratios.append(min(times))
        elif ratio(record):
            ratios.append(ratio(record))
    plain = geometric_mean([r for r in map(ratio, found["cells"]) if r])
    return (
        "With MNIST's rows instead of Gaussian rows in these cells, the geometric mean of best "
        f"peer / fastnn over the {len(ratios)} cells of the first table is "
        f"{geometric_mean(ratios):.2f} instead of {plain:.2f}. The other libraries compute all "
        "products, so the shorter of each library's two times is used."
    )


def sentence(found, cell, call):
    """Return a sentence with the time of a call in one cell, and that of the best peer."""
    record = next(record for record in found["cells"] if record["cell"] == cell)
    medians = {name: result.get("median_us") for name, result in record["results"].items()}
    ours = medians.pop("fastnn")
    best = min((name for name in medians if medians[name]), key=medians.get)
    return (
        f"`{call}` called from Python takes {figure(ours)} µs ({cell}); the fastest other library, "
        f"{NAMES.get(best, best)}, takes {figure(medians[best])} µs."
    )


def predict_sentence(found):
    """Return a sentence with the time of predicting one row."""
    return sentence(found, "16-64-64-1 tanh, 1 row", "predict(x, out=out)")


def calls_sentence(found):
    """Return a sentence with the time of one on-line step."""
    return sentence(found, "16-64-64-1 tanh, batch 1, sgd", "train_on_batch(x, y)")


#: The sets that the recipe for tables was tuned on.
TUNED_SETS = ("airfoil", "medical", "wine", "diamonds", "german", "spambase", "letter")

#: fastnn's contender in README.md's sentence on tables; names of fastnn's begin with FASTNNS.
TABULAR, FASTNNS = "Tabular, 5 networks", ("fastnn", "Tabular")


def untuned(sets):
    """Return the results on the sets that the recipe for tables was not tuned on."""
    return {name: of_set for name, of_set in sets.items() if name not in TUNED_SETS}


def shown_tables(found):
    """Return the means over the sets that the recipe for tables was not tuned on."""
    shown = untuned(found["sets"])
    head, *body = table_errors.lines(shown)
    return "\n".join(markdown([[", ".join(shown), *head[1:]], *body[len(shown) :]]))


def tables_sentence(found):
    """Return the sentence with errors and CPU seconds on tables, of fastnn and its peers."""
    sets = found["sets"]
    names = [n for n in next(iter(sets.values())) if n == TABULAR or not n.startswith(FASTNNS)]
    results = []
    for name in names:
        error = f"{table_errors.ratio(sets, name, 'error'):.2f}"
        if name == TABULAR:
            others = untuned(sets)
            error += f" ({table_errors.ratio(others, name, 'error'):.2f} over the {len(others)} "
            error += "tables that they were not tuned on)"
        seconds = sum(each[name]["seconds"] for each in sets.values()) / len(sets)
        label = "`TabularClassifier` and `TabularRegressor`" if name == TABULAR else name
        results.append(f"{label} {error} in {figure(seconds)} s")
    return (
        f"Error relative to LightGBM's on {len(sets)} real tables of at most 6,000 rows, and CPU "
        f"seconds of a fit: {'; '.join(results)}. The figures are means over {found['splits']} "
        "splits and over the tables: geometric means of errors, arithmetic means of seconds. All "
        f"libraries have their default settings. CPU: {found['machine']['cpu']}. Script: "
        "`bench/real_tables.py`, run by `make bench-tables`."
    )


def further_sentence(found):
    """Return the sentence with errors on the further tables, of fastnn only."""
    sets = found["sets"]
    five, one = (
        f"{table_errors.ratio(sets, name, 'error'):.2f}" for name in (TABULAR, "Tabular, 1 network")
    )
    return (
        f"On {len(sets)} further tables, the error is {five} times LightGBM's with five networks "
        f"and {one} times with one. The estimators were not tuned on these tables, except for two "
        "changes after a first run, which `bench/README.md` describes. Script: "
        "`bench/real_tables.py --further`."
    )


#: A key of a file of results: (function that makes its tables, whether the machine is named).
RENDERERS = {
    "imports": (imports_table, False),
    "extras": (extras_table, True),
    "networks_per_s": (many_table, True),
    "bfloat16_us": (bfloat16_tables, True),
    "sparse": (sparse_tables, True),
    "sets": (sets_table, True),
    "core_to_core_ns": (neighbours_table, True),
    "estimators": (estimators_table, True),
}

SECTIONS = {  # name: (file of results, function that makes the text)
    "small-training": ("epochs-float32-1", training_sentence),
    "machine": ("epochs-float32-1", machine_sentence),
    "small-table": ("epochs-float32-1", small_table),
    "small-predict": ("predict-float32-1", predict_sentence),
    "small-calls": ("calls-float32-1", calls_sentence),
    "small-estimators": ("estimators-2", estimators_sentence),
    "small-many": ("many", many_sentence),
    "small-bfloat16": ("bfloat16", bfloat16_sentence),
    "small-tables": ("real-tables", tables_sentence),
    "shown-tables": ("real-tables", shown_tables),
    "real-rows": ("epochs-float32-1", real_rows_sentence),
    "small-further": ("further-tables", further_sentence),
}


def fill(text, results=HERE / "results"):
    """Return a README with its marked sections filled from the results."""

    def section(match):
        name = match[1]
        source, make = SECTIONS.get(name, (name, results_section))
        found = load(source, results)
        body = make(found) if found else "Not measured yet."
        return f"<!-- begin {name} -->\n{body.strip()}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (\S+) -->\n.*?<!-- end \1 -->", section, text, flags=re.DOTALL)


def main():
    """Write every table, plot and marked section."""
    import plot

    for path in sorted((HERE / "results").glob("*.json")):
        found = json.loads(path.read_text())
        path.with_suffix(".md").write_text(results_section(found).strip() + "\n")
        if "cells" in found and found["regime"] in plot.TITLES:
            plot.draw(found, contenders(found["cells"]), path.with_suffix(".svg"))
    few = small(load("epochs-float32-1"))
    plot.draw(few, contenders(few["cells"]), HERE / "results" / "summary.svg")
    for readme in READMES:
        readme.write_text(fill(readme.read_text()))


if __name__ == "__main__":
    main()
