"""Reads our own code for ways in which text from data could reach the screen as markup.

Streamlit renders labels, messages and some options as Markdown, ``st.html`` as HTML, folium as
HTML inside a script. What goes in there must be a literal, our own words, or escaped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARKDOWN = frozenset(
    [
        "markdown",
        "caption",
        "title",
        "header",
        "subheader",
        "info",
        "warning",
        "error",
        "success",
        "toast",
        "badge",
        "latex",
    ]
)
"""Calls whose first argument is Markdown, whatever they are called on."""
WRITES = frozenset({"write", "write_stream"})
LABELLED = frozenset(
    [
        "button",
        "selectbox",
        "multiselect",
        "radio",
        "checkbox",
        "toggle",
        "pills",
        "segmented_control",
        "text_input",
        "text_area",
        "number_input",
        "date_input",
        "time_input",
        "slider",
        "select_slider",
        "file_uploader",
        "expander",
        "popover",
        "metric",
        "page_link",
        "link_button",
        "form_submit_button",
        "color_picker",
        "status",
        "spinner",
        "progress",
        "menu_button",
        "camera_input",
        "audio_input",
        "chat_message",
        "dialog",
        "feedback",
    ]
)
"""Calls on ``st`` whose first argument or ``label`` is Markdown."""
MARKDOWN_OPTIONS = frozenset({"radio", "pills", "segmented_control"})
MARKDOWN_WORDS = frozenset({"label", "help", "body", "caption", "text"})
"""Named arguments that are Markdown wherever they stand."""
PUBLIC = frozenset(
    {"download_button", "image", "audio", "video", "pdf", "logo", "iframe", "components"}
)
"""What puts bytes into Streamlit's public media store, or foreign pages into ours."""
FOLIUM_TEXT = frozenset(
    {"Popup", "Tooltip", "DivIcon", "Html", "Element", "GeoJsonPopup", "GeoJsonTooltip"}
)
DRAWING = ("folium", "branca", "streamlit_folium")
DRAWERS = frozenset({"map.py", "tiles.py"})
"""The map, and the base tiles it is given: addresses of ours, no text from data."""

ESCAPES = frozenset({"escape.markdown"})
HTML_ESCAPES = frozenset({"escape.html", "escape.script", "blocks.render", "caches.markup"})
OWN_WORDS = frozenset(
    {
        "_", "len", "round", "int", "layer_title", "group_name", "page_name", "role_title",
        "level_name", "kind_name", "status_name", "site_status_name", "unit_name",
        "measure_title", "LANGUAGES.__getitem__", "texts.language",
    }
)  # fmt: skip
"""Functions that give words of ours or numbers, never text from data."""
OWN_MODULES = frozenset({"format", "texts"})
OWN_TITLES = ("datawords.",)
"""Modules whose functions ending in ``_title``, ``_name`` or of numbers give words of ours."""
FORMATS = frozenset(
    {
        "datawords.months", "datawords.moment", "datawords.size", "datawords.seconds",
        "adminwords.moment",
    }
)  # fmt: skip
MARKUP_FILES = frozenset({"escape.py", "tables.py", "charts.py", "blocks.py"})
EXEMPT = frozenset(
    {
        ("frame.py", "line"),  # a style's name of ours and escaped words
        ("frame.py", "open_page"),  # our style sheet
        ("adminview.py", "show"),  # our style sheet; sections of ours as options
        ("placepick.py", "pick"),  # labels the pages give, each a literal
        ("placepick.py", "_way"),
        ("adminseen.py", "choose"),
        ("adminview.py", "_choose"),
    }
)
"""(file, function) looked at by eye."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that breaks a rule."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}"


def lint(source: str, file: str) -> list[Finding]:
    """What is wrong in one file of ``dashboard/ui`` or ``pages``."""
    return sorted(set(_Linter(ast.parse(source), file).findings()), key=lambda one: one.line)


def lint_template(source: str, file: str) -> list[Finding]:
    """What is wrong in one template: everything is escaped unless it says otherwise."""
    return [
        Finding(file, number, "a template must not switch escaping off")
        for number, line in enumerate(source.splitlines(), 1)
        if "|safe" in line.replace(" ", "") or "autoescape" in line or "<script" in line.lower()
    ]


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name; ``?`` for a part that is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return "?"


class _Linter:
    def __init__(self, tree: ast.Module, file: str) -> None:
        self._tree = tree
        self._file = Path(file).name
        self._shown = file
        self._functions = {
            node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        }
        self._asked: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from self._imports(node)
            elif isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.FunctionDef) and node.name.endswith("markup"):
                yield from self._maker(node)

    def _found(self, node: ast.AST, rule: str) -> Finding:
        return Finding(self._shown, getattr(node, "lineno", 0), rule)

    def _imports(self, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] in DRAWING and self._file not in DRAWERS:
                yield self._found(node, "folium belongs in dashboard/ui/map.py")
            if name.startswith("streamlit.components.v1"):
                yield self._found(node, "no components.v1: it renders raw HTML")
            if name == "markupsafe.Markup" and self._file not in MARKUP_FILES:
                yield self._found(node, "text is declared to be markup in too many places")

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        for word in node.keywords:
            if word.arg == "unsafe_allow_html":
                yield self._found(node, "no unsafe_allow_html")
        if not isinstance(node.func, ast.Attribute) or (self._file, self._around(node)) in EXEMPT:
            return
        name, base = node.func.attr, _dotted(node.func.value)
        on_streamlit = base == "st" or base.startswith("st.")
        if base in ("escape", "format", "datawords", "paging", "self", "texts"):
            return
        if name in PUBLIC and on_streamlit:
            yield self._found(node, f"st.{name}: its bytes are public; use ui/downloads")
        if name == "html":
            yield from self._html(node)
        if name in FOLIUM_TEXT and base.split(".")[0] in DRAWING:
            first = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "html")]
            if not all(self._is_html(one) for one in first):
                yield self._found(node, f"folium's {name} takes escaped text only")
        if name in MARKDOWN or (on_streamlit and name in WRITES | LABELLED):
            if node.args and name != "page_link" and not self._is_safe(node.args[0]):
                yield self._found(node, f"{name}: text that is neither ours nor escaped")
            for word in node.keywords:
                if word.arg in MARKDOWN_WORDS and not self._is_safe(word.value):
                    yield self._found(node, f"{name}({word.arg}=): neither ours nor escaped")
                if (
                    word.arg in ("format_func", "captions")
                    and name in MARKDOWN_OPTIONS
                    and not self._is_safe_function(word.value)
                ):
                    yield self._found(node, f"{name}: options that are neither ours nor escaped")

    def _html(self, node: ast.Call) -> Iterator[Finding]:
        if not node.args or not self._is_html(node.args[0]):
            yield self._found(node, "html: markup that is neither a template's nor escaped")

    def _maker(self, node: ast.FunctionDef) -> Iterator[Finding]:
        """A function that says it makes markup must make it from templates or escaped parts."""
        if self._file in ("caches.py",):
            return
        for inner in ast.walk(node):
            given = inner.value if isinstance(inner, ast.Return) else None
            if given is not None and not self._is_html(given):
                yield self._found(inner, "markup that is neither a template's nor escaped")

    def _around(self, node: ast.AST) -> str:
        line = getattr(node, "lineno", 0)
        inside = [
            one
            for one in self._functions.values()
            if one.lineno <= line <= (one.end_lineno or one.lineno)
        ]
        return max(inside, key=lambda one: one.lineno).name if inside else ""

    # What is safe

    def _is_html(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            return name in HTML_ESCAPES or name.split(".")[-1].endswith("markup")
        if isinstance(node, ast.JoinedStr):
            return all(
                self._is_html(part.value)
                for part in node.values
                if isinstance(part, ast.FormattedValue)
            )
        if isinstance(node, ast.IfExp):
            return self._is_html(node.body) and self._is_html(node.orelse)
        return False

    def _is_safe(self, node: ast.expr) -> bool:
        """Whether an expression can hold nothing but our own words, numbers and escaped text."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.JoinedStr):
            return all(
                self._is_safe(part.value)
                for part in node.values
                if isinstance(part, ast.FormattedValue)
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._is_safe(node.left) and self._is_safe(node.right)
        if isinstance(node, ast.IfExp):
            return self._is_safe(node.body) and self._is_safe(node.orelse)
        if isinstance(node, ast.BoolOp):
            return all(self._is_safe(one) for one in node.values)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            return all(map(self._is_safe, node.value.values))
        if isinstance(node, ast.Call):
            return self._is_safe_call(node)
        if isinstance(node, ast.Name):
            return self._is_safe_name(node)
        return False

    def _is_safe_call(self, node: ast.Call) -> bool:
        name = _dotted(node.func)
        if name in ESCAPES | OWN_WORDS | FORMATS or name.split(".")[0] in OWN_MODULES:
            return True
        if name.startswith(OWN_TITLES) and name.endswith("_title"):
            return True
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            parts = [*node.args, *(word.value for word in node.keywords)]
            return self._is_safe(node.func.value) and all(map(self._is_safe, parts))
        return self._gives_safe(name)

    def _gives_safe(self, name: str) -> bool:
        """Whether a function of the same file returns safe text only."""
        function = self._functions.get(name.removeprefix("self."))
        if function is None or name in self._asked:
            return False
        self._asked.add(name)
        try:
            returned = [
                inner.value
                for inner in ast.walk(function)
                if isinstance(inner, ast.Return) and inner.value is not None
            ]
            return bool(returned) and all(map(self._is_safe, returned))
        finally:
            self._asked.discard(name)

    def _is_safe_name(self, node: ast.Name) -> bool:
        """A variable that is only ever given safe values where it is used.

        A parameter is safe when every call of its function in this file gives it safe text.
        """
        where = self._functions.get(self._around(node))
        key = f"{where.name if where else ''} {node.id}"
        if key in self._asked:
            return True
        self._asked.add(key)
        try:
            values = list(_assigned(where if where is not None else self._tree, node.id))
            if where is not None and node.id in _parameters(where):
                values += self._given(where, node.id)
            return bool(values) and all(one is not None and self._is_safe(one) for one in values)
        finally:
            self._asked.discard(key)

    def _given(self, function: ast.FunctionDef, name: str) -> list[ast.expr | None]:
        """What the calls in this file give a parameter; None for what cannot be told."""
        parameters = [one for one in _parameters(function) if one != "self"]
        found: list[ast.expr | None] = []
        for node in ast.walk(self._tree):
            if not isinstance(node, ast.Call):
                continue
            if _dotted(node.func) not in (function.name, f"self.{function.name}"):
                continue
            named = {word.arg: word.value for word in node.keywords}
            at = parameters.index(name)
            if name in named:
                found.append(named[name])
            elif at < len(node.args):
                found.append(node.args[at])
        return found or [None]

    def _is_safe_function(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Lambda):
            return self._is_safe(node.body)
        name = _dotted(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Dict):
            return all(map(self._is_safe, node.value.values))
        if name in OWN_WORDS or name.split(".")[0] in OWN_MODULES:
            return True
        if name.startswith(OWN_TITLES) and name.endswith("_title"):
            return True
        return self._gives_safe(name)


def _parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def _assigned(scope: ast.AST, name: str) -> Iterator[ast.expr | None]:
    """What a variable is set to in a scope; None where that cannot be read off."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif name in _names(target):
                    yield _same_place(target, node.value, name)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            if isinstance(node.target, ast.Name) and node.target.id == name:
                yield node.value
        elif (isinstance(node, ast.For | ast.comprehension) and name in _names(node.target)) or (
            isinstance(node, ast.withitem) and name in _names(node.optional_vars)
        ):
            yield None


def _same_place(target: ast.expr, value: ast.expr, name: str) -> ast.expr | None:
    """The value that ``a, b = x, y`` gives a name."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, given in zip(target.elts, value.elts, strict=False):
            if isinstance(one, ast.Name) and one.id == name:
                return given
    return None


def _names(target: ast.expr | None) -> set[str]:
    if target is None:
        return set()
    return {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}
