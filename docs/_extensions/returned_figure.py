"""An image scraper of sphinx-gallery for figures that a block returns, as ``history.plot()`` does.

sphinx-gallery shows the figures that pyplot manages; fastnn draws without pyplot.
"""

import weakref

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_shown = weakref.WeakSet()


def show(block, block_vars, gallery_conf):
    """Save the figure that is the value of a block; return the rst that shows it."""
    figure = block_vars["example_globals"].get("___")
    if not isinstance(figure, Figure) or hasattr(figure, "number") or figure in _shown:
        return ""
    _shown.add(figure)
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=100)
    return figure_rst([path], gallery_conf["src_dir"])


def _get_sg_image_scraper():
    return show
