"""How Sphinx builds the documentation: `make docs`. Building and reading need no network."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import fastnn

project = "fastnn"
author = copyright = "The fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "example",
    "mathml",
    "members",
    "tables",
]
exclude_patterns = ["gallery/*", "**sg_execution_times.rst"]  # which would load scripts
default_role = "autolink"  # `name` in a docstring is a link where there is such a name
highlight_language = "python"
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"[a-z][a-z_0-9]*"),  # a parameter, in its own docstring
    ("py:obj", r"(scipy|sklearn)\..*"),
    ("py:obj", "NAMES|Schedule"),  # seen from within their module
]

# ---- docstrings ---------------------------------------------------------------------------------

autosummary_generate = ["api/index.rst"]
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # numpydoc's types say more
numpydoc_show_class_members = False  # the templates list them
templates_path = ["_templates"]

# ---- the executed gallery -----------------------------------------------------------------------

warnings.filterwarnings("ignore", message=".*non-interactive.*")
sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["tutorial"],
    "filename_pattern": ".*",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib", "returned_figure"),
    "ignore_repr_types": "matplotlib|list",  # what drawing returns
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1,
    "remove_config_comments": True,
}

# ---- the pages' looks ---------------------------------------------------------------------------

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "header_links_before_dropdown": 7,
    "logo": {"text": "fastnn"},
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_title = "fastnn"
html_sidebars = {
    name: []
    for name in ("index", "coming_from", "maths", "figures", "inside", "promises", "changes")
}  # they have no pages beneath them
html_static_path = ["_static"]
html_css_files = ["fastnn.css"]
html_show_sourcelink = False
html_copy_source = False


def without_notes_to_developers(app, what, name, obj, options, lines):
    """Drop from a module's docstring what it says of other modules' work."""
    if what == "module":
        paragraphs = "\n".join(lines).split("\n\n")
        kept = [p for p in paragraphs if not p.startswith(("Here:", "Not here:"))]
        lines[:] = "\n\n".join(kept).split("\n")


def setup(app):
    """Let it do so."""
    app.connect("autodoc-process-docstring", without_notes_to_developers, priority=100)
