"""What surrounds every page: title, style sheet, language, and errors said in plain words."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial

import streamlit as st
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.access import Actor
from dashboard.coverage.model import Source
from dashboard.store.unit import Unit
from dashboard.ui import blocks, caches, escape, format, screens, session, state, texts
from dashboard.ui.assets import STATIC
from dashboard.ui.state import Address
from dashboard.ui.texts import LANGUAGES, _, role_title
from geodata.errors import DudaoError

_log = logging.getLogger(__name__)

MAP = "map"
"""The name of the page that opens where an address names none."""
HERE = "page-here"
"""Key of the box around the link of the page shown."""


@cache
def _icon() -> str:
    """The icon as an address: Streamlit would read a file's name anew at every rerun."""
    drawing = b64encode((STATIC / "icon.svg").read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{drawing}"


def open_page() -> None:
    """Set up the page and its language; first thing of every rerun."""
    texts.use(state.wanted_language(st.query_params.to_dict(), caches.settings().lang))
    st.set_page_config(
        page_title=_("督导一张图"),
        page_icon=_icon(),
        layout="wide",
        initial_sidebar_state="auto",
    )
    st.html(STATIC / "page.css")  # a path: Streamlit spends a millisecond on a text's indentation


def not_open(found: Sequence[StreamlitPage]) -> None:
    """Say so where an address names a page that is not among those somebody may open: Streamlit
    shows the first one instead and says nothing."""
    context = get_script_run_ctx()
    wanted = "" if context is None else context.pages_manager.intended_page_name or ""
    if wanted in ("", MAP, *(page.url_path for page in found)):
        return
    screen = screens.SCREENS.get(wanted)
    if screen is None:
        problem = _("没有页面“{page}”，已改为一张图。").format(page=wanted)
    else:
        problem = _(
            "您没有打开“{page}”页面的权限，已改为一张图。如确需使用，请联系系统管理员授权。"
        ).format(page=texts.page_name(screen.title))
    st.html(blocks.render("corrected.html", problems=[problem]))


def sidebar_head(here: str, actor: Actor) -> None:
    """The name of the program and the pages this person may open; first thing in the sidebar.

    Args:
        here: the name of the page shown; ``actor``: who looks at it.
    """
    line("dd-brand", _("督导一张图"))
    found = screens.pages(actor)
    if len(found) > 1:
        with st.container(key="pages"):
            for page in found:
                name = page.url_path or "map"
                # Disabled is every link while the server is away: that alone does not mark a page.
                with st.container(key=HERE) if name == here else nullcontext():
                    st.page_link(
                        page,
                        icon=f":material/{screens.SCREENS[name].icon}:",
                        query_params=_view_of(name),
                        disabled=name == here,
                        width="stretch",
                    )


def _view_of(name: str) -> dict[str, str]:
    """The query of a link: views open where they were left, every page in the chosen language."""
    left = state.left() if name in ("map", "indicators", "comparison", "ledgers") else None
    if left is not None:
        return (left if name == "comparison" else left.alone()).params()
    chosen, default = texts.language(), caches.settings().lang
    return {} if chosen == default else {"lang": chosen}


def month_picker(address: Address, unit: Unit, *, versions: bool = True) -> None:
    """The month of the view, with the one before and after; a choice moves the page there.

    A month that was corrected can be seen as it was, where the page's values have ``versions``.
    """
    months = unit.months()
    at = months.index(address.month)
    st.session_state["month"] = address.month
    line("dd-group", _("月份"))
    with st.container(key="months", horizontal=True, gap="small", wrap=False):
        st.button(
            _("上月"),
            key="month-before",
            disabled=at == 0,
            on_click=partial(state.go, month=months[max(at - 1, 0)]),
        )
        st.selectbox(
            _("月份"),
            list(months[::-1]),
            key="month",
            format_func=format.month,
            filter_mode=None,
            label_visibility="collapsed",
            on_change=lambda: state.go(month=st.session_state["month"]),
        )
        st.button(
            _("下月"),
            key="month-after",
            disabled=at == len(months) - 1,
            on_click=partial(state.go, month=months[min(at + 1, len(months) - 1)]),
        )
    kept = unit.editions(address.month) if versions else []
    if len(kept) > 1:
        made = {edition.version: edition.created for edition in kept}
        st.session_state["version"] = address.version or kept[0].version
        line("dd-group", _("版本"))
        st.selectbox(
            _("版本"),
            list(made),
            key="version",
            format_func=lambda version: _("第{version}版 · {when}").format(
                version=version, when=format.moment(made[version])
            ),
            filter_mode=None,
            label_visibility="collapsed",
            on_change=lambda: state.go(version=st.session_state["version"]),
        )


def version_banner(unit: Unit, address: Address) -> None:
    """Say that an earlier version of the month is shown, and lead back to the one that stands."""
    if address.version is None:
        return
    kept = unit.editions(address.month)
    made = next(one.created for one in kept if one.version == address.version)
    with st.container(key="old-version", horizontal=True, vertical_alignment="center"):
        line(
            "dd-banner",
            _(
                "您看到的是{month}第{version}版（{when}汇总），此后已更正；现行为第{current}版。"
            ).format(
                month=format.month(address.month),
                version=address.version,
                when=format.moment(made),
                current=kept[0].version,
            ),
        )
        st.button(_("看现行版本"), key="version-back", on_click=partial(state.go, version=None))


def source_picker(unit: Unit, address: Address) -> None:
    """Who says so; a choice moves the page there."""
    line("dd-group", _("数据来源"))
    blocks.show(
        "sources",
        caches.markup(
            unit, ("sources", address, texts.language()), lambda: _sources_markup(address)
        ),
        selected=address.source.value,
    )


def _sources_markup(address: Address) -> str:
    return blocks.render(
        "modes.html",
        label=_("数据来源"),
        modes=[
            (source.value, texts.source_name(source), address.href(source=source))
            for source in Source
        ],
    )


def demonstration_banner() -> None:
    """Say that the figures are not real."""
    line(
        "dd-banner",
        _(
            "演示数据：区划名录和县界取自公开资料，其余边界为示意；"
            "除“源文件指标”所列外，数字由程序生成，不代表实际情况。"
        ),
    )


def sidebar_foot(demonstration: bool) -> None:
    """Language, who is signed in, and the way out; last thing in the sidebar.

    Args:
        demonstration: whether the data directory holds invented data.
    """
    with st.container(key="foot"):
        st.session_state["lang"] = texts.language()
        st.segmented_control(
            _("语言"),
            list(LANGUAGES),
            key="lang",
            required=True,
            format_func=LANGUAGES.__getitem__,
            label_visibility="collapsed",
            on_change=_speak,
        )
        if demonstration:
            line("dd-demo", _("演示数据"))
        who = session.current()
        st.html(
            blocks.render(
                "account.html",
                name=who.actor.name,
                roles=[role_title(role) for role in who.actor.roles()],
                password=caches.settings().password_sign_in and not who.demonstration,
            )
        )


def _speak() -> None:
    """Keep the chosen language in the address."""
    chosen: str = st.session_state["lang"]
    params = st.query_params.to_dict()
    params.pop("lang", None)
    if chosen != caches.settings().lang:
        params["lang"] = chosen
    st.query_params.from_dict(params)


def line(style: str, words: str) -> None:
    """One line of text in a style of our sheet."""
    st.html(f'<p class="{style}">{escape.html(words)}</p>')


@contextmanager
def reporting() -> Iterator[None]:
    """Show an error where the page would have been: what, where, how to mend."""
    try:
        yield
    except Exception as error:
        failed(error)


def failed(error: Exception) -> bool:
    """Say an error in plain words and keep an unexpected one in the log; True for Streamlit.

    Streamlit's own way of showing one is English and may hold a traceback.
    """
    if isinstance(error, DudaoError):
        told, code = f"{error.message}{error.remedy}", error.code
    else:
        _log.error("page failed", exc_info=error)
        told, code = (
            _("页面出错了。请刷新页面；若仍出错，请把出现的时间告诉维护人员。"),
            "PAGE_FAILED",
        )
    st.error(f"{escape.markdown(told)}  \n{escape.markdown(code)}")
    return True


def tell(problems: tuple[str, ...]) -> None:
    """Say what of the address was corrected."""
    if problems:
        st.html(blocks.render("corrected.html", problems=problems))
