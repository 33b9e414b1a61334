"""What the build compiles, read from src/fastnn/meson.build, for programs that compile it as well.

Not here: the compilations (test_leaves.py, other_systems.py).
"""

import ast
import re
from pathlib import Path

MESON = Path(__file__).parent.parent / "src/fastnn/meson.build"
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]


def list_of_the_build(name):
    """Return a list that the build defines, whose text is the same in Meson and in Python."""
    [text] = re.findall(rf"^{name} = (\[.*?\])$", MESON.read_text(), re.MULTILINE | re.DOTALL)
    return ast.literal_eval(text)


def set_macro(isa, flags):
    """Return the macro that names an instruction set in dispatch.c."""
    names = (flag[2:].replace("-", "_") for flag in flags if flag.startswith("-m"))
    return f"SET({isa},{isa},{''.join(f'HAS({name})' for name in names)})"
