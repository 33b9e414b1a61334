"""A page about a program of `examples/`: ``.. example:: digits`` runs it.

The page gets what the program's docstring says, what it printed, its picture, and its text. It is
run again only when the program has changed; `make clean` forgets all.
"""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def ran(script, folder):
    """Run a program in a folder, unless that has been done; return what it printed."""
    printed = folder / "printed.txt"
    if not printed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-X", "utf8", str(script)],
            cwd=folder,
            check=True,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        printed.write_text(done.stdout, encoding="utf-8")
    return printed.read_text(encoding="utf-8")


class Example(SphinxDirective):
    """The page's content: docstring, output, picture, program."""

    required_arguments = 1

    def run(self):
        """Return it as nodes."""
        name = self.arguments[0]
        script = EXAMPLES / f"{name}.py"
        self.env.note_dependency(str(script))
        text = script.read_text(encoding="utf-8")
        folder = Path(self.env.doctreedir) / "examples" / hashlib.sha256(text.encode()).hexdigest()
        try:
            printed = ran(script, folder)
        except subprocess.CalledProcessError as error:
            raise self.error(f"{script} failed: {error.stderr}") from error
        about = ast.get_docstring(ast.parse(text)).partition("\n\n")[2].rpartition("\n\nRun it:")[0]
        pictures = sorted(folder.glob("out/*.png"))
        lines = [*about.splitlines(), "", ".. rubric:: What it prints", ""]
        lines += [".. code-block:: text", "", *(f"   {line}" for line in printed.splitlines()), ""]
        for picture in pictures:
            place = os.path.relpath(picture, Path(self.env.doc2path(self.env.docname)).parent)
            lines += [f".. image:: {place}", f"   :alt: the picture that {name}.py draws", ""]
        place = os.path.relpath(script, Path(self.env.doc2path(self.env.docname)).parent)
        lines += [f".. rubric:: examples/{name}.py", "", f".. literalinclude:: {place}", ""]
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(script)), 0, container)
        return container.children


def setup(app):
    """Register the directive."""
    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
