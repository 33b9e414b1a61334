"""The picture of a comparison: microseconds of each library, cell by cell, on a logarithmic scale.

A dot is a median, its line the range of the rounds. Text stays text in the SVG, and the same
results give the same file. Not here: where results come from (report.py).
"""

import matplotlib
from matplotlib.figure import Figure

matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "fastnn",
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
        "font.size": 9,
    }
)

# Colours that colour-blind eyes can tell apart, with markers for those who print (Okabe and Ito).
STYLES = {
    "fastnn": ("#d55e00", "D", "fastnn"),
    "jax": ("#0072b2", "o", "JAX"),
    "onnxruntime": ("#000000", "h", "onnxruntime"),
    "torch": ("#009e73", "s", "PyTorch"),
    "torch.compile": ("#56b4e9", "^", "PyTorch compiled"),
    "scikit-learn": ("#cc79a7", "v", "scikit-learn"),
    "numpy": ("#777777", "P", "NumPy"),
}
UNITS = {"epochs": "a step, whole epochs", "calls": "a step, one call each", "predict": "a call"}


def draw(found, names, path):
    """Write the plot of a file of results."""
    records = found["cells"]
    fig = Figure(figsize=(8.5, 1.3 + 0.32 * len(records)), layout="constrained")
    ax = fig.subplots()
    for name in reversed(names):  # fastnn last, on top
        colour, marker, label = STYLES[name]
        points = [(r["results"].get(name, {}), y) for y, r in enumerate(records)]
        points = [(result, y) for result, y in points if result.get("median_us")]
        medians, y = [p["median_us"] for p, _ in points], [y for _, y in points]
        low, high = ([pick(p["times_us"]) for p, _ in points] for pick in (min, max))
        ax.hlines(y, low, high, color=colour, linewidth=1.2)
        size = 48 if name == "fastnn" else 30
        ax.scatter(medians, y, s=size, color=colour, marker=marker, label=label, zorder=3)
    decorate(ax, found)
    fig.savefig(path, metadata={"Date": None, "Creator": None})


def decorate(ax, found):
    """Label a plot's rows, axis and markers."""
    m, records = found["machine"], found["cells"]
    threads = "one thread" if m["threads"] == 1 else f"{m['threads']} threads"
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda us, _: f"{us:,.0f}" if us >= 1 else f"{us:g}")
    ax.set_yticks(range(len(records)), [record["cell"] for record in records])
    ax.invert_yaxis()
    ax.set_xlabel(f"µs {UNITS[found['regime']]}: {m['dtype']}, {threads}; left is faster")
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.grid(axis="y", color="#eeeeee", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(
        handles[::-1], labels[::-1], loc="outside upper center", ncols=7, frameon=False,
        handletextpad=0.1, columnspacing=1.2,
    )  # fmt: skip
