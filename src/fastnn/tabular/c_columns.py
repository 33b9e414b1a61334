"""The columns of a table in a network's C source: a struct for a row, and its encoding.

The functions that compute codes and look up texts are sections of c_columns.h. Here: the calls of
these functions for each column of a recipe, the arrays that they take, the names of the columns as
identifiers, and texts as literals and comments. A code needs an entry in `FORMS`. Not here: the
files, and what they hold of the network (exchange/c_source.py).
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.tabular.codes import (
    Bounded,
    Clipped,
    Code,
    Missing,
    Month,
    OneHot,
    Ordered,
    PiecewiseLinear,
    TimeOfDay,
    Value,
    Weekday,
)
from fastnn.tabular.numbers import as_number
from fastnn.tabular.reading import MISSING
from fastnn.tabular.recipe import Recipe, recipe_of
from fastnn.tabular.spelling import Lookup, canonical, digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fastnn.mlp import MLP
    from fastnn.tabular.encoding import Entry

#: The largest date in seconds, as tables hold them: in microseconds, it has 64 bits.
_LAST_DATE = 2.0**63 / 1e6

#: Texts in the comment of a column, and characters of each; bytes in a literal of C99, at most.
_SHOWN, _WIDEST, _LONGEST = 4, 40, 4000

#: What cannot be the name of a field: keywords of C and C++, and macros of common headers.
_TAKEN = re.compile(
    "alignas|alignof|and|and_eq|asm|assert|auto|bitand|bitor|bool|break|case|catch|"
    "char|char16_t|char32_t|char8_t|class|co_await|co_return|co_yield|compl|complex|"
    "concept|const|const_cast|consteval|constexpr|constinit|continue|decltype|default|"
    "delete|do|double|dynamic_cast|else|enum|errno|explicit|export|extern|false|far|"
    "float|for|friend|goto|huge|i386|if|imaginary|inline|int|interface|linux|long|"
    "mutable|namespace|near|new|noexcept|noreturn|not|not_eq|nullptr|operator|or|"
    "or_eq|private|protected|public|register|reinterpret_cast|requires|restrict|return|"
    "short|signed|sizeof|small|static|static_assert|static_cast|stderr|stdin|stdout|"
    "struct|switch|template|this|thread_local|throw|true|try|typedef|typeid|typename|"
    "typeof|typeof_unqual|union|unix|unsigned|using|virtual|void|volatile|wchar_t|"
    "while|xor|xor_eq"
)


@dataclass(frozen=True)
class Encoding:
    """The text of a row's encoding in the files of a network.

    Parameters
    ----------
    declarations : str
        For the header: the struct of a row, and two functions.
    definitions : str
        For the source: the functions, and the arrays that they need.
    sections : set of str
        The sections that the definitions need.
    """

    declarations: str
    definitions: str
    sections: set[str]


def encoding_of(nets: Sequence[MLP], name: str, real: str) -> Encoding | None:
    """Return the encoding of a row for networks with the same recipe; None if they have none.

    `name` is the prefix of all names, `real` the type of the inputs.
    """
    tables = [net.metadata.get("table") for net in nets]
    if not any(map(_checks.is_recipe, tables)):
        return None
    _checks.same_recipes("to_c", all(table == tables[0] for table in tables))
    recipe = recipe_of(nets[0])
    fields = identifiers([entry.name for entry in recipe.columns])
    body = _Body()
    body.add_missing(recipe)
    starts = accumulate((len(entry.inputs) for entry in recipe.columns), initial=0)
    for entry, each, start in zip(recipe.columns, fields, starts, strict=False):
        body.add_column(entry, each, start)
    return Encoding(
        _declarations(recipe, fields, name, real),
        body.definitions(recipe, fields, name, real),
        body.sections,
    )


# ---- the header ---------------------------------------------------------------------------------


def _declarations(recipe: Recipe, fields: Sequence[str], name: str, real: str) -> str:
    """Return the struct of a row and the functions, with comments that explain them."""
    members = [
        f"    {_type_of(entry)}{each}; /* {_described(entry)} */"
        for entry, each in zip(recipe.columns, fields, strict=True)
    ]
    example = "\n".join(f" *     {line}" for line in _example(recipe, fields, name, real))
    return "\n".join(
        [
            _comment(
                "A row of the table. NaN is a missing number or date. Texts are UTF-8. NULL is a "
                'missing text, and so are "", "NA" and all texts that stand for missing values in '
                'training. A number in a column of texts is written "3" or "2.5", a bool "true" or '
                '"false"; a bool in a column of numbers is 1 or 0.'
            ),
            f"typedef struct {name}_row {{",
            *members,
            f"}} {name}_row;\n",
            _comment("A row in which all values are missing."),
            f"{name}_row {name}_missing_row(void);\n",
            _comment(
                f"x ({name.upper()}_N_IN numbers) = the inputs for a row. For example:",
                f"\n *\n{example}\n *\n",
                _outputs(recipe),
                "\n *\n",
                "Returns the number of values that are given but were encoded as if they were "
                "missing: unknown texts, numbers beyond the range of float32, dates more than "
                "290,000 years from 1970.",
            ),
            f"int {name}_encode(const {name}_row *row, {real} *x);\n",
        ]
    )


def _comment(*parts: str) -> str:
    """Return a comment; parts that begin with a line break are kept, the others are filled."""
    filled = [
        part
        if part.startswith("\n")
        else textwrap.fill(part, 95, initial_indent=" * ", subsequent_indent=" * ",
                           break_long_words=False, break_on_hyphens=False)
        for part in parts
    ]  # fmt: skip
    return f"/*{''.join(filled)[2:]} */"


def _type_of(entry: Entry) -> str:
    """Return the type of a column's values in C, as the beginning of a declaration."""
    return "double " if entry.category is None else "const char *"


def _described(entry: Entry) -> str:
    """Return the name of a column and what its values are, for a comment."""
    if entry.category is None:
        what = "a number" if entry.kind == "number" else "a date, in seconds since 1970"
        return f"{_shown(entry.name)}: {what}"
    texts = entry.category.texts
    shown, more = ", ".join(map(_shown, texts[:_SHOWN])), len(texts) - _SHOWN
    return f"{_shown(entry.name)}: a text, {shown}" + (f" and {more} more" if more > 0 else "")


def _example(recipe: Recipe, fields: Sequence[str], name: str, real: str) -> list[str]:
    """Return lines of C that predict a row."""
    sizes = f"{name.upper()}_N_IN", f"{name.upper()}_N_OUT"
    lines = [f"{name}_row row = {name}_missing_row();", f"{real} x[{sizes[0]}], y[{sizes[1]}];"]
    for entry, each in [*zip(recipe.columns, fields, strict=True)][:_SHOWN]:
        lines.append(f"row.{each} = {_example_of(entry)};")
    return [*lines, f"{name}_encode(&row, x);", f"{name}_predict(x, y);"]


def _example_of(entry: Entry) -> str:
    """Return a value of a column as an expression in C."""
    if entry.category is not None:
        short = (text for text in entry.category.texts if len(_bytes(text)) <= _WIDEST)
        return _literal(_bytes(next(short, "")))
    return repr(next((code.fill for code in entry.codes if hasattr(code, "fill")), 0.0))


def _outputs(recipe: Recipe) -> str:
    """Return a sentence on what the outputs of the example mean."""
    target = "the target" if recipe.target is None else _shown(recipe.target)
    if recipe.classes is not None:
        labels = [_shown(label) if isinstance(label, str) else str(label)
                  for label in recipe.classes]  # fmt: skip
        return f"y has an output for each class of {target}: {', '.join(labels)}."
    what = "the network's outputs" if recipe.task is None else f"the prediction of {target}"
    return f"y is then {what}."


# ---- the source ---------------------------------------------------------------------------------


@dataclass
class _Body:
    """The lines of the function that encodes a row; the arrays and the sections that they need.

    `texts` and `numbers` are arguments that pass the texts and numbers for missing values.
    """

    texts: str = "0, NULL"
    numbers: str = "0, NULL"
    lines: list[str] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    sections: set[str] = field(default_factory=lambda: {"column"})

    def definitions(self, recipe: Recipe, fields: Sequence[str], name: str, real: str) -> str:
        """Return the arrays and the two functions."""
        absent = [
            f"    row.{each} = {'not_a_number()' if entry.category is None else 'NULL'};"
            for entry, each in zip(recipe.columns, fields, strict=True)
        ]
        return "\n".join(
            [
                *self.arrays,
                f"{name}_row {name}_missing_row(void) {{",
                f"    {name}_row row;",
                *absent,
                "    return row;\n}\n",
                f"int {name}_encode(const {name}_row *row, {real} *x) {{",
                "    int n_replaced = 0;",
                f"    for (int j = 0; j < {name.upper()}_N_IN; j++) x[j] = 0;",
                *self.lines,
                "    return n_replaced;\n}\n",
            ]
        )

    def add_missing(self, recipe: Recipe) -> None:
        """Add arrays of the texts and the numbers that stand for missing values."""
        texts = dict.fromkeys([*MISSING, *recipe.missing])
        found = (as_number(text) for text in texts)
        numbers = sorted({number for number in found if abs(number) <= _checks.LARGEST})
        if any(entry.category is not None for entry in recipe.columns):
            self.texts = self.known("missing_texts", {text: i for i, text in enumerate(texts)})
        if numbers and any(entry.kind == "number" for entry in recipe.columns):
            self.array("double missing_numbers", map(repr, numbers))
            self.numbers = f"{len(numbers)}, missing_numbers"

    def add_column(self, entry: Entry, name: str, start: int) -> None:
        """Add the lines of a column, whose inputs begin at `start`; `name` is that of its field."""
        if not entry.codes:
            return
        self.lines.append(f"    {{ /* {_shown(entry.name)} */")
        if entry.category is None:
            self._add_number(entry, name)
        else:
            self._add_text(entry.category, name, start)
        for code in entry.codes:
            self.sections.add(f"code_{code.kind}")
            arguments = FORMS[type(code)](code, entry.category is not None, start, self)
            self.lines.append(f"        code_{code.kind}({arguments},")
            self.lines.append(f"            x + {start});")
            start += len(code.names(entry.name))
        self.lines.append("    }")

    def _add_number(self, entry: Entry, name: str) -> None:
        """Add the lines that read a number or a date."""
        is_number = entry.kind == "number"
        missing, largest = (self.numbers, _checks.LARGEST) if is_number else ("0, NULL", _LAST_DATE)
        self.lines += [
            "        const double value =",
            f"            column_number(row->{name}, {missing}, {largest!r}, &n_replaced);",
        ]

    def _add_text(self, code: OneHot | Ordered, name: str, start: int) -> None:
        """Add the lines that look a text up, in the same steps as `Lookup`."""
        self.sections.add("column_text")
        first, *further = self._searches(Lookup(code.texts, are_all=not code.other), start)
        self.lines += [
            f"        const column_text text = column_stripped(row->{name});",
            "        int index = MISSING;",
            f"        if (column_find(text, {self.texts}) == UNKNOWN) {{",
            f"            index = {first};",
            *(f"            if (index == UNKNOWN) index = {search};" for search in further),
        ]
        if not code.other:
            self.lines.append("            n_replaced += index == UNKNOWN;")
            self.lines.append("            if (index == UNKNOWN) index = MISSING;")
        self.lines.append("        }")

    def _searches(self, lookup: Lookup, start: int) -> list[str]:
        """Return the calls that look a text up, one after the other until one finds it.

        A call is left out if the next one finds the same: usually, the spellings of known texts
        have different values.
        """
        steps = [
            ("column_text", "text", lookup.exact, canonical, lookup.by_value),
            ("column_value", "column_value(text)", lookup.by_value, digits, lookup.by_number),
            ("column_number_text", "column_number_text(text)", lookup.by_number, digits, {}),
        ]
        found = []
        for i, (section, text, index_of, form, following) in enumerate(steps):
            if any(following.get(form(key)) != index for key, index in index_of.items()):
                self.sections.add(section)
                found.append(f"column_find({text}, {self.known(f'texts_{start}_{i}', index_of)})")
        if lookup.by_truth:
            self.sections.add("column_truth")
            places = f"{lookup.by_truth[True]}, {lookup.by_truth[False]}"
            found.append(f"column_truth(text, {places})")
        return found or ["UNKNOWN"]

    def array(self, declared: str, items: Iterable[str], in_line: int = 6) -> None:
        """Add a constant array, such as ``double edges_0``, with some items in each line."""
        listed = [*items]
        lines = (", ".join(listed[i : i + in_line]) for i in range(0, len(listed), in_line))
        text = ",\n    ".join(lines)
        self.arrays.append(f"static const {declared}[{len(listed)}] = {{\n    {text}}};\n")

    def known(self, name: str, index_of: Mapping[str, int]) -> str:
        """Add an array of texts with their indices; return the arguments that pass it.

        A text with a NUL character is left out, since no text in C has one.
        """
        by_bytes = {_bytes(text): i for text, i in index_of.items() if "\0" not in text}
        items = []
        for key, i in sorted(by_bytes.items()):
            text = _literal(key)
            if len(key) > _LONGEST:
                text = f"(const char *){name}_{i}"
                self.array(f"unsigned char {name}_{i}", map(str, [*key, 0]))
            items.append(f"{{{text}, {i}}}")
        if items:
            self.array(f"known_text {name}", items, in_line=1)
        return f"{len(items)}, {name if items else 'NULL'}"


# ---- codes --------------------------------------------------------------------------------------


def _value(code: Value | Clipped, is_text: bool, start: int, body: _Body) -> str:
    return f"value, {code.fill!r}, {code.shift!r}, {code.scale!r}"


def _bounded(code: Bounded, is_text: bool, start: int, body: _Body) -> str:
    return f"{_value(code, is_text, start, body)}, {code.low!r}, {code.high!r}"


def _piecewise_linear(code: PiecewiseLinear, is_text: bool, start: int, body: _Body) -> str:
    body.array(f"double edges_{start}", map(repr, code.edges))
    return f"value, {code.fill!r}, {len(code.edges)}, edges_{start}"


def _missing(code: Missing, is_text: bool, start: int, body: _Body) -> str:
    return "index == MISSING" if is_text else "!is_known(value)"


def _one_hot(code: OneHot, is_text: bool, start: int, body: _Body) -> str:
    return f"index, {len(code.texts) if code.other else -1}"


def _ordered(code: Ordered, is_text: bool, start: int, body: _Body) -> str:
    steps = accumulate(text in code.known[1:] for text in code.texts)
    body.array(f"int order_{start}", map(str, map(int, steps)))
    return f"index, {len(code.known)}, order_{start}"


def _of_date(code: Code, is_text: bool, start: int, body: _Body) -> str:
    return "value"


#: For each code, the function that returns the arguments of its function in C, code_NAME, except
#: the inputs. It takes the code, whether the column has texts, the number of its first input, and
#: the body, which it may add arrays to.
FORMS: dict[type[Code], Callable[[Any, bool, int, _Body], str]] = {
    Value: _value,
    Bounded: _bounded,
    Clipped: _value,
    PiecewiseLinear: _piecewise_linear,
    Missing: _missing,
    OneHot: _one_hot,
    Ordered: _ordered,
    Month: _of_date,
    Weekday: _of_date,
    TimeOfDay: _of_date,
}


# ---- names and texts ----------------------------------------------------------------------------


def identifiers(names: Sequence[str]) -> list[str]:
    """Return a different identifier of C for each name, in lower-case letters without accents.

    They are keywords neither of C nor of C++: ["Größe (m²)", "int"] gives ["grosse_m2", "int_"].
    """
    found: dict[str, None] = {}
    for name in names:
        plain = unicodedata.normalize("NFKD", name.casefold())
        plain = "".join(char for char in plain if not unicodedata.combining(char))
        base = re.sub("[^a-z0-9]+", "_", plain)[:_WIDEST].strip("_")
        if not base or base[0].isdigit():
            base = f"column_{base}".rstrip("_")
        base = f"{base}_" if _TAKEN.fullmatch(base) else base
        unique, count = base, 1
        while unique in found:
            count += 1
            unique = f"{base.rstrip('_')}_{count}"
        found[unique] = None
    return list(found)


def _bytes(text: str) -> bytes:
    """Return a text as UTF-8, also a text that is not valid Unicode."""
    return text.encode("utf-8", "surrogatepass")


def _literal(text: bytes) -> str:
    """Return a literal of a string in C, in ASCII, that may also stand in a comment.

    Question marks are escaped, since several may be a trigraph.
    """
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?*' else f"\\{b:03o}" for b in text)
    return f'"{"".join(plain)}"'


def _shown(text: str) -> str:
    """Return a text in quotes for a comment, shortened, which it cannot end."""
    short = text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
    plain = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
    return f'"{"".join(plain)}"'.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
