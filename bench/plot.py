"""The plot of a comparison, as SVG: the time of each library in every cell, on a log scale.

A marker is a median, and its line is the range of the rounds. The picture is narrow, so that its
letters stay readable on a phone, and follows the reader's light or dark colour scheme. The same
results give the same file. Not here: the source of the results (report.py).
"""

import math
from xml.sax.saxutils import escape

from fastnn.benchmarking.tables import NAMES, ratio, threads

# Units of the drawing: pixels at the width of a phone's text, a little more on larger screens.
WIDTH, SHOWN, EDGE = 400, 460, 14
HEAD, LEGEND, ROW, FOOT = 62, 19, 37, 34

# Colours that colour-blind readers can tell apart (Okabe and Ito; lighter on black), and markers
# for prints in grey.
STYLES = {  # name: (colour on white, colour on black, outline of the marker within -1 ... 1)
    "fastnn": ("#d55e00", "#ff8533", "M0-1.3 1.3 0 0 1.3-1.3 0Z"),
    "jax": ("#0072b2", "#3d9be9", "M-1 0A1 1 0 0 1 1 0 1 1 0 0 1-1 0Z"),
    "onnxruntime": ("#000000", "#f0f0f0", "M0-1.1 1-.55V.55L0 1.1-1 .55V-.55Z"),
    "torch": ("#009e73", "#2fc79a", "M-.9-.9H.9V.9H-.9Z"),
    "torch.compile": ("#56b4e9", "#a3d9ff", "M0-1.1 1.1.9H-1.1Z"),
    "scikit-learn": ("#cc79a7", "#e8a3c9", "M0 1.1 1.1-.9H-1.1Z"),
    "numpy": ("#777777", "#a8adb3", "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z"),
}
PAPER, INK = ("#ffffff", "#14181e"), ("#1f2328", "#e6e9ed")
FAINT, GRID = ("#57606a", "#a8b0b9"), ("#dfe3e8", "#343b45")
SIZES = {"fastnn": 5.5}  # size of a marker; 4.3 for the others
TITLES = {
    "epochs": "Training, whole epochs: µs a step",
    "calls": "Training, one call each: µs a step",
    "predict": "Prediction: µs a call",
}


def style(names):
    """Return the style sheet, with every colour twice, for light and for dark schemes."""
    colours = {"paper": PAPER, "ink": INK, "faint": FAINT, "grid": GRID}
    colours |= {class_of(name): STYLES[name][:2] for name in names}
    light, dark = (
        "".join(f".{name}{{color:{pair[i]}}}" for name, pair in colours.items()) for i in (0, 1)
    )
    return (
        "text{font-family:system-ui,Helvetica,Arial,sans-serif;font-size:13px}"
        ".faint{font-size:12px}text,rect,.marker{fill:currentColor}.line{stroke:currentColor;stroke-width:1.3}"
        ".title{font-weight:600;font-size:15px}.end{text-anchor:end}.middle{text-anchor:middle}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def class_of(name):
    """Return the style sheet's class for a library."""
    return name.replace(".", "-")


def text(x, y, words, classes="ink"):
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{classes}">{escape(words)}</text>'


def marker(name, x, y):
    """Return a library's marker at a position."""
    size = SIZES.get(name, 4.3)
    place = f"translate({x:.1f} {y:g}) scale({size})"
    return f'<path class="marker {class_of(name)}" transform="{place}" d="{STYLES[name][2]}"/>'


def scale_of(records):
    """Return (function from µs to x, the powers of ten within its range)."""
    results = [result for record in records for result in record["results"].values()]
    times = [us for result in results if result.get("median_us") for us in result["times_us"]]
    low, high = math.log10(min(times)) - 0.1, math.log10(max(times)) + 0.1
    span = WIDTH - 2 * EDGE

    def place(us):
        return EDGE + span * (math.log10(us) - low) / (high - low)

    return place, [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]


def legend(names, columns=3):
    """Yield every library's marker and name, in columns."""
    step = (WIDTH - 2 * EDGE) / columns
    for i, name in enumerate(names):
        x, y = EDGE + 6 + step * (i % columns), HEAD + LEGEND * (i // columns)
        yield marker(name, x, y - 4.5)
        yield text(x + 11, y, NAMES.get(name, name))


def axis(place, ticks, top, bottom):
    """Yield the vertical lines of the scale and their numbers."""
    for us in ticks:
        x = place(us)
        yield f'<path class="line grid" d="M{x:.1f} {top}V{bottom}"/>'
        anchor = "faint end" if x > WIDTH - 30 else "faint middle" if x > EDGE + 12 else "faint"
        yield text(round(x, 1), bottom + 17, f"{us:,.0f}" if us >= 1 else f"{us:g}", anchor)


def row(record, names, place, y):
    """Yield a cell: its name, the ratio of the best peer to fastnn, and a marker per library."""
    yield text(EDGE, y, record["cell"])
    best = ratio(record)
    if best:
        yield text(WIDTH - EDGE, y, f"{best:.2f}", "ink end")
    y += 14
    yield f'<path class="line grid" d="M{EDGE} {y}H{WIDTH - EDGE}"/>'
    for name in reversed(names):  # fastnn last, on top
        result = record["results"].get(name, {})
        if result.get("median_us"):
            low, high = place(min(result["times_us"])), place(max(result["times_us"]))
            yield f'<path class="line {class_of(name)}" d="M{low:.1f} {y}H{high:.1f}"/>'
            yield marker(name, place(result["median_us"]), y)


def draw(found, names, path):
    """Write the plot of a file of results."""
    m, records = found["machine"], found["cells"]
    top = HEAD + LEGEND * math.ceil(len(names) / 3) + 8
    bottom = top + ROW * len(records) - 8
    height = bottom + FOOT
    place, ticks = scale_of(records)
    title = f"{TITLES[found['regime']]}; {m['dtype']}, {threads(m['threads'])}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{SHOWN}" '
        f'height="{round(height * SHOWN / WIDTH)}" role="img">',
        f"<title>{title}</title>",
        f"<style>{style(names)}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        text(EDGE, 23, TITLES[found["regime"]], "ink title"),
        text(EDGE, 41, f"{m['dtype']}, {threads(m['threads'])}; left is faster", "faint"),
        text(WIDTH - EDGE, 41, "best peer / fastnn", "faint end"),
        *legend(names),
        *axis(place, ticks, top - 10, bottom),
    ]
    for i, record in enumerate(records):
        lines += row(record, names, place, top + 4 + ROW * i)
    path.write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")
