"""Configuration of Sphinx for `make docs`. Building and reading the pages need no network."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # whose report.py figures.py uses

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
    "figures",
    "mathml",
    "members",
    "tables",
]
exclude_patterns = ["gallery/*", "**sg_execution_times.rst"]  # the latter loads scripts
default_role = "autolink"  # `name` in a docstring becomes a link if the name exists
highlight_language = "python"
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"[a-z][a-z_0-9]*"),  # a parameter, in its own docstring
    ("py:obj", r"(scipy|sklearn)\..*"),
    ("py:obj", "NAMES|Schedule"),  # names relative to their own module
]

# ---- docstrings ---------------------------------------------------------------------------------

autosummary_generate = ["api/index.rst"]
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings have types, with shapes and defaults
numpydoc_show_class_members = False  # members.py lists them
templates_path = ["_templates"]

# ---- copy buttons -------------------------------------------------------------------------------

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_selector = "div:not(.no-copy, .highlight-none) > div.highlight > pre"  # not of output

# ---- the executed gallery -----------------------------------------------------------------------

warnings.filterwarnings("ignore", message=".*non-interactive.*")
sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["tutorial"],
    "filename_pattern": ".*",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib", "returned_figure", "returned_page"),
    "ignore_repr_types": "matplotlib|list|Path",  # drawings and pages, which are shown
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1,
    "remove_config_comments": True,
}

# ---- appearance of the pages --------------------------------------------------------------------

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
    name: [] for name in ("index", "maths", "figures", "inside", "promises", "changes", "versions")
}  # these pages have no subpages
html_static_path = ["_static"]
html_css_files = ["fastnn.css"]
html_show_sourcelink = False
html_copy_source = False


def without_notes_to_developers(app, what, name, obj, options, lines):
    """Remove the paragraphs of a module's docstring that are for its developers."""
    if what == "module":
        paragraphs = "\n".join(lines).split("\n\n")
        kept = [p for p in paragraphs if not p.startswith(("Here:", "Not here:"))]
        lines[:] = "\n\n".join(kept).split("\n")


def setup(app):
    """Connect the function to Sphinx's event."""
    app.connect("autodoc-process-docstring", without_notes_to_developers, priority=100)
