"""An image scraper of sphinx-gallery for blocks whose value is the path of an HTML page.

The page is put into a frame, as text of the page that shows it, so that no file must be copied.
"""

from html import escape
from pathlib import Path

_shown = set()


def show(block, block_vars, gallery_conf):
    """Return the rst of a frame with the page that is the value of a block; none if it is not."""
    path = block_vars["example_globals"].get("___")
    if not isinstance(path, Path) or path.suffix != ".html" or path in _shown:
        return ""
    _shown.add(path)
    text = escape(path.read_text(encoding="utf-8")).replace("\n", "&#10;")
    size = "width: 100%; height: 48rem; margin-bottom: 1rem"
    style = f"{size}; border: 1px solid var(--pst-color-border)"
    title = "The report that the program wrote"
    frame = f'<iframe title="{title}" style="{style}" srcdoc="{text}"></iframe>'
    return f"\n.. raw:: html\n\n    {frame}\n\n"


def _get_sg_image_scraper():
    return show
