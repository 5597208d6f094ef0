"""No text reaches the screen as markup without going through ``dashboard.ui.escape``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.screen_lint import EXEMPT, lint, lint_template

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "dashboard" / "ui").glob("**/*.py")),
    *sorted((ROOT / "pages").glob("*.py")),
    ROOT / "dashboard" / "app.py",
]
TEMPLATES = sorted((ROOT / "dashboard").glob("*/templates/*.html"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_our_code_puts_no_raw_text_on_the_screen(path: Path) -> None:
    found = lint(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    assert found == [], "\n".join(map(str, found))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_our_templates_escape_everything(path: Path) -> None:
    assert lint_template(path.read_text(encoding="utf-8"), path.name) == []


def test_nothing_outside_the_screen_draws_or_writes_html() -> None:
    for path in (ROOT / "dashboard").glob("**/*.py"):
        words = path.read_text(encoding="utf-8")
        assert "unsafe_allow_html" not in words, path
        if path.parent.name != "ui":
            assert "import folium" not in words and "from folium" not in words, path


def test_every_exemption_still_exists() -> None:
    for file, function in EXEMPT:
        source = (ROOT / "dashboard" / "ui" / file).read_text(encoding="utf-8")
        assert f"def {function}(" in source, (file, function)


SAYS = """
class V:
    def say(self, label):
        st.info(label)
    def show(self):
        self.say"""
GIVES = """
def words(upload):
    if upload:
        return _('甲')
    return """

BAD = [
    "st.markdown(place.name)",
    "st.markdown(f'**{place.name}**')",
    "st.markdown('a', unsafe_allow_html=True)",
    "st.write(report)",
    "st.write(name)",
    "left.caption(name)",
    "st.error(error.message)",
    "st.warning(escape.html(name))",
    "st.warning(_('文件 {name}').format(name=name))",
    "st.info(_('甲') + name)",
    "st.info(_('甲') if ready else name)",
    "st.info(_('甲') or name)",
    "words = name\nst.info(words)",
    "words = _('甲')\nwords += name\nst.info(words)",
    "a, b = _('甲'), name\nst.info(b)",
    "for name in names:\n    st.info(name)",
    "with opened() as name:\n    st.info(name)",
    "def words(upload):\n    return upload.name\nst.info(words(upload))",
    GIVES + "upload.name\nst.info(words(1))",
    "def say(label):\n    st.info(label)\nsay(upload.name)",
    "def say(label):\n    st.info(label)\nsay(label=upload.name)",
    "def say(label):\n    st.info(label)",
    SAYS + "(self.name)",
    "st.button(upload.name)",
    "st.button(label=upload.name)",
    "st.sidebar.button(upload.name)",
    "st.button(_('甲'), help=upload.name)",
    "st.radio(_('甲'), names, format_func=lambda one: one.name)",
    "st.radio(_('甲'), names, format_func=str)",
    "st.pills(_('甲'), names, format_func=titles.get)",
    "st.segmented_control(_('甲'), names, captions=names, format_func=name_of)",
    "st.page_link(page, label=upload.name)",
    "st.expander(upload.name)",
    "st.html(name)",
    "st.html(f'<p>{name}</p>')",
    "st.html(f'<p>{escape.html(name)}{name}</p>')",
    "st.html(escape.markdown(name))",
    "st.html('<p>' + name + '</p>')",
    "left.html(name)",
    "def row_markup(place):\n    return f'<td>{place.name}</td>'",
    "st.download_button('甲', data)",
    "st.image(data)",
    "st.components.v1.html(text)",
    "import folium",
    "from folium.plugins import Draw",
    "import streamlit_folium",
    "from branca.element import Element",
    "import streamlit.components.v1 as components",
    "from markupsafe import Markup",
]

GOOD = [
    "st.markdown('**甲**')",
    "st.markdown(escape.markdown(place.name))",
    "st.info(_('甲'))",
    "st.info(_('文件 {name}').format(name=escape.markdown(name)))",
    "st.info(_('{count} 个').format(count=format.number(count)))",
    "st.info(f'{escape.markdown(name)}  \\n{escape.markdown(code)}')",
    "st.info(_('甲') if ready else _('乙'))",
    "words = _('甲') if a else _('乙')\nwords += _('丙')\nst.info(words)",
    "a, b = name, _('甲')\nst.info(b)",
    GIVES + "_('乙')\nst.info(words(upload))",
    "def say(label):\n    st.info(label)\nsay(_('甲'))\nsay(label=escape.markdown(name))",
    SAYS + "(_('甲'))",
    "st.selectbox(_('甲'), names, format_func=lambda one: one.name)",
    "st.radio(_('甲'), (1, 2), format_func={1: _('甲'), 2: _('乙')}.__getitem__)",
    "st.radio(_('甲'), names, format_func=lambda one: escape.markdown(one.name))",
    "st.page_link(page, label=_('甲'))",
    "st.html('<p>甲</p>')",
    "st.html(blocks.render('a.html', name=name))",
    "st.html(f'<p>{escape.html(name)}</p>')",
    "st.html(panel.tiles_markup(layer))",
    "def row_markup(place):\n    return blocks.render('a.html', place=place)",
    "file.write(name)",
    "escape.html(name)",
]  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_the_lint_finds(source: str) -> None:
    assert lint(source, "dashboard/ui/page.py")


@pytest.mark.parametrize("source", GOOD)
def test_the_lint_lets_pass(source: str) -> None:
    assert lint(source, "dashboard/ui/page.py") == []


@pytest.mark.parametrize("call", ["Popup", "Tooltip", "DivIcon", "Html"])
def test_raw_text_into_folium_is_found_in_the_map_too(call: str) -> None:
    assert lint(f"import folium\nfolium.{call}(name)", "dashboard/ui/map.py")
    assert lint(f"import folium\nfolium.{call}(html=name)", "dashboard/ui/map.py")
    assert not lint(f"import folium\nfolium.{call}(escape.script(name))", "dashboard/ui/map.py")


@pytest.mark.parametrize(
    "template",
    ["{{ name|safe }}", "{{ name | safe }}", "{% autoescape false %}", "<SCRIPT>x</SCRIPT>"],
)
def test_a_template_that_does_not_escape_is_found(template: str) -> None:
    assert lint_template(template, "a.html")
