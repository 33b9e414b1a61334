"""Pages and cards of the programs in `examples/`.

``.. example:: digits`` runs a program and shows its docstring, what it printed, its picture and its
text. ``.. example-cards::`` shows every page of `docs/examples/` as a card with the picture. A
program runs once; it runs again when its text has changed, or after `make clean`.
"""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).resolve().parents[1]
EXAMPLES = DOCS.parent / "examples"
# The order of the cards, from the simplest on; a page that isn't named here comes last.
ORDER = [
    "worked_example",
    "digits",
    "diamonds",
    "stream",
    "imbalanced",
    "quantiles",
    "intervals",
    "careers",
    "halving",
    "cartpole",
]


def run(script, folder):
    """Run a program in a folder unless its output is there; return what it printed."""
    printed = folder / "printed.txt"
    if not printed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                [sys.executable, "-X", "utf8", str(script)],
                cwd=folder,
                check=True,
                capture_output=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except subprocess.CalledProcessError as error:
            raise ExtensionError(f"{script} failed: {error.stderr}") from error
        printed.write_text(done.stdout, encoding="utf-8")
    return printed.read_text(encoding="utf-8")


class ExampleDirective(SphinxDirective):
    """What the two directives share: a program's output, and paths relative to the page."""

    def output(self, name):
        """Return (text of a program, what it printed, its pictures)."""
        script = EXAMPLES / f"{name}.py"
        self.env.note_dependency(str(script))
        text = script.read_text(encoding="utf-8")
        folder = Path(self.env.doctreedir) / "examples" / hashlib.sha256(text.encode()).hexdigest()
        printed = run(script, folder)
        return text, printed, sorted(folder.glob("out/*.png"))

    def relative(self, path):
        """Return a path as this page's directives read it."""
        return os.path.relpath(path, Path(self.env.doc2path(self.env.docname)).parent)

    def parsed(self, lines):
        """Return lines of rst as nodes."""
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, container)
        return container.children


class Example(ExampleDirective):
    """The content of an example's page: docstring, picture, output, program."""

    required_arguments = 1

    def run(self):
        """Return it as nodes."""
        name = self.arguments[0]
        text, printed, pictures = self.output(name)
        about = ast.get_docstring(ast.parse(text)).partition("\n\n")[2].rpartition("\n\nRun it:")[0]
        lines = [*about.splitlines(), ""]
        for picture in pictures:
            lines += [f".. image:: {self.relative(picture)}", f"   :alt: plot of {name}.py", ""]
        lines += [".. rubric:: Output", "", ".. code-block:: text", "   :class: no-copy", ""]
        lines += [*(f"   {line}" for line in printed.splitlines()), ""]
        lines += [f".. rubric:: examples/{name}.py", ""]
        lines += [f".. literalinclude:: {self.relative(EXAMPLES / name)}.py", ""]
        return self.parsed(lines)


class ExampleCards(ExampleDirective):
    """A grid of cards, each with an example's picture, title and first sentence."""

    def run(self):
        """Return it as nodes."""
        names = [path.stem for path in (DOCS / "examples").glob("*.rst") if path.stem != "index"]
        names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
        lines = [".. grid:: 1 2 3 3", "   :gutter: 3", "   :class-container: pictures", ""]
        for name in names:
            text, _, (picture, *_) = self.output(name)
            title = (DOCS / "examples" / f"{name}.rst").read_text(encoding="utf-8").splitlines()[0]
            about = ast.get_docstring(ast.parse(text)).partition("\n")[0].partition(": ")[2]
            lines += [
                f"   .. grid-item-card:: {title}",
                f"      :link: /examples/{name}",
                "      :link-type: doc",
                f"      :img-top: {self.relative(picture)}",
                f"      :img-alt: plot of {name}.py",
                "",
                f"      {about[0].upper()}{about[1:]}",
                "",
            ]
        return self.parsed(lines)


def setup(app):
    """Register the directives."""
    app.add_directive("example", Example)
    app.add_directive("example-cards", ExampleCards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
