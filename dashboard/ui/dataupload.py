"""One upload on the page 数据: what was detected, corrected, previewed, wrong, and confirmed."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import streamlit as st

from dashboard.access import Actor
from dashboard.coverage import registry as layers
from dashboard.intake import desk
from dashboard.intake.model import Candidate, Checked, Name, Offer, Order, Outcome, Upload
from dashboard.store import Store
from dashboard.store.commit import LOADING
from dashboard.ui import (
    blocks,
    caches,
    dataissues,
    datapreview,
    datawords,
    escape,
    format,
    offered,
    paging,
    progress,
    screens,
    session,
)
from dashboard.ui.texts import _
from geodata.errors import DudaoError
from loaders import registry
from loaders.model import ReadSheet, Request, Severity
from loaders.readers.encoding import ENCODINGS

_AUTO = ""
"""What a select holds when the person leaves the matter to us."""
_AT_ONCE_S = 0.8
"""A check that ends so soon is shown without progress."""
_NAMES_PER_PAGE = 10
_MONTHS_BACK = 36
_SPAN = re.compile(r"\s*(\d{1,2})\s*(?:[-–—~至到]\s*(\d{1,2}))?\s*")
_SYSTEMS = (
    "EPSG:4490", "EPSG:4326", "gcj02", "bd09", "EPSG:4610", "EPSG:4214", "EPSG:4546", "EPSG:4547",
    "EPSG:4548", "EPSG:4549",
)  # fmt: skip
_NOTE = "data_said_wrong"
_NOTES = "data_notes"


class UploadView:
    """One upload of the actor's, and the others in hand beside it."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        upload: Upload,
        others: Sequence[Upload],
        undone: Container[int] = (),
    ) -> None:
        """``undone`` holds the numbers of the loads that were taken back."""
        self.store, self.actor, self.upload, self.others = store, actor, upload, others
        self.undone = undone

    def show(self) -> None:
        """Everything about the upload, as far as it has come."""
        with st.container(key="upload"):
            self._head()
            job = desk.job_of(self.store, self.actor, self.upload.id)
            if job is not None and not job.is_over:
                title = _("正在导入 {name}") if job.kind == "load" else _("正在检查 {name}")
                progress.show(job, title.format(name=self.upload.name))
                return
            if self.upload.is_done and self.upload.outcome is not None:
                self._done(self.upload.outcome)
                return
            if job is not None and job.error is not None:
                st.error(escape.markdown(job.error.message + job.error.remedy))
                if job.kind == "check":
                    self._again()
                    return
            if self.upload.outcome is not None and self.upload.outcome.problem is not None:
                code, message, remedy = self.upload.outcome.problem
                st.error(f"{escape.markdown(message + remedy)}  \n{escape.markdown(code)}")
            checked = self._checked()
            if checked is not None:
                self._look(checked)

    def _head(self) -> None:
        with st.container(
            key="upload-head", horizontal=True, vertical_alignment="center", wrap=False
        ):
            st.html(
                blocks.render(
                    "data_file.html",
                    name=self.upload.name,
                    size=datawords.size(self.upload.size),
                    received=format.moment(self.upload.received),
                    kept=self.upload.has_file,
                )
            )
            st.button(
                _("移除"),
                key="upload-remove",
                icon=":material/delete:",
                on_click=partial(_discard, self.upload.id),
                help=_("从服务器删除这个文件；已经导入的数据不受影响。"),
            )

    def _again(self) -> None:
        st.button(
            _("重新检查"),
            key="check-again",
            type="primary",
            on_click=partial(_say, self.upload.id, self.upload.request),
        )

    def _checked(self) -> Checked | None:
        """The upload checked; None while that takes longer, with its progress on the page."""
        job = desk.begin_check(self.store, self.actor, self.upload.id, self.upload.request)
        if not job.wait(_AT_ONCE_S):
            progress.show(job, _("正在检查 {name}").format(name=self.upload.name))
            return None
        if job.result is None:
            if job.error is not None:
                st.error(escape.markdown(job.error.message + job.error.remedy))
            self._again()
        return job.result

    def _look(self, checked: Checked) -> None:
        self._counts(checked)
        self._detected(checked)
        self._preview(checked)
        self._names(checked)
        dataissues.show(checked)
        self._decide(checked)

    # What was detected

    def _counts(self, checked: Checked) -> None:
        report = checked.report
        st.html(
            blocks.render(
                "data_counts.html",
                tiles=(
                    (_("读取的行"), format.number(report.rows_read), ""),
                    (
                        _("可以导入"),
                        format.number(report.rows_valid),
                        "good" if report.rows_valid else "",
                    ),
                    (
                        _("不能导入"),
                        format.number(report.rows_rejected),
                        "bad" if report.rows_rejected else "",
                    ),
                    (_("合计、说明等跳过"), format.number(report.rows_skipped), ""),
                ),
            )
        )

    def _detected(self, checked: Checked) -> None:
        """Selects that hold what was found; changing one checks again."""
        wrong = st.session_state.pop(_NOTE, None)
        with st.container(key="detected", border=True):
            st.html(
                blocks.render(
                    "data_heading.html",
                    title=_("识别结果"),
                    note=_("如有不对，直接改，系统会重新检查。"),
                )
            )
            with st.container(key="detected-fields", horizontal=True, gap="small"):
                self._dataset(checked)
                self._layer(checked)
                self._month(checked)
                if checked.report.encoding is not None or _encoding_asked(checked):
                    self._encoding(checked)
                if _has_coordinates(checked):
                    self._crs(checked)
                self._header(checked)
            if wrong:
                st.warning(escape.markdown(wrong))

    def _select(
        self,
        field: str,
        label: str,
        options: Sequence[str],
        current: str | None,
        words: Callable[[str], str],
        make: Callable[[str], Request],
    ) -> None:
        """One select; its widget follows what was said, and what it is changed to is said."""
        key = f"said-{field}-{self.upload.id}"
        listed = [_AUTO, *options]
        if current is not None and current not in listed:
            listed.append(current)
        st.session_state[key] = current or _AUTO

        def changed() -> None:
            chosen = st.session_state[key]
            if chosen in listed:
                _say(self.upload.id, make(chosen))

        st.selectbox(label, listed, key=key, format_func=words, on_change=changed, filter_mode=None)

    def _dataset(self, checked: Checked) -> None:
        found = datawords.dataset_title(checked.report.dataset)
        said = self.upload.request

        def words(option: str) -> str:
            if option:
                return datawords.dataset_title(option)
            return _found_words(found) if said.dataset is None else _("自动识别")

        self._select(
            "dataset",
            _("数据类型"),
            list(registry.datasets()),
            said.dataset,
            words,
            lambda option: replace(said, dataset=option or None),
        )

    def _layer(self, checked: Checked) -> None:
        said = self.upload.request
        found = _layer_names(checked)
        key = f"layers-{self.upload.id}"
        names = list(dict.fromkeys([*st.session_state.get(key, ()), *found]))
        st.session_state[key] = names
        if len(names) < 2 and said.layer is None:
            return
        read = "、".join(
            sheet.name for sheet in checked.prepared.sheets if sheet.read_as and sheet.name
        )

        def words(option: str) -> str:
            if option:
                return option
            return (
                _("自动：{found}").format(found=read or _("未选定"))
                if said.layer is None
                else _("自动识别")
            )

        self._select(
            "layer",
            _("工作表或图层"),
            names,
            said.layer,
            words,
            lambda option: replace(said, layer=option or None, headers={}),
        )

    def _month(self, checked: Checked) -> None:
        if checked.report.dataset not in (None, "figures"):
            return
        said = self.upload.request
        found = datawords.months(checked.months)

        def words(option: str) -> str:
            if option:
                return format.month(option)
            return _("按文件：{found}").format(found=found) if said.month is None else _("按文件")

        self._select(
            "month",
            _("月份"),
            _recent_months(),
            said.month,
            words,
            lambda option: replace(said, month=option or None),
        )

    def _encoding(self, checked: Checked) -> None:
        said = self.upload.request
        found = (checked.report.encoding or _("无法确定")).upper()

        def words(option: str) -> str:
            if option:
                return _encoding_name(option)
            return _found_words(found) if said.encoding is None else _("自动识别")

        self._select(
            "encoding",
            _("文字编码"),
            list(ENCODINGS),
            said.encoding,
            words,
            lambda option: replace(said, encoding=option or None),
        )

    def _crs(self, checked: Checked) -> None:
        said = self.upload.request
        found = checked.report.crs or "WGS84"

        def words(option: str) -> str:
            if option:
                return _system_name(option)
            return _("按文件：{found}").format(found=found) if said.crs is None else _("按文件")

        self._select(
            "crs",
            _("坐标系"),
            _SYSTEMS,
            said.crs,
            words,
            lambda option: replace(said, crs=option or None),
        )

    def _header(self, checked: Checked) -> None:
        sheet = self._sheet(checked)
        if sheet is None or not sheet.top:
            return
        said = self.upload.request
        key = f"said-header-{self.upload.id}"
        rows = () if sheet.table is None else sheet.table.header_rows
        chosen = said.headers.get(sheet.name)
        span = chosen or ((rows[0], rows[-1]) if rows else None)
        st.session_state[key] = "" if span is None else datapreview.span_words(span)

        def changed() -> None:
            text = st.session_state[key]
            others = {name: one for name, one in said.headers.items() if name != sheet.name}
            if not text.strip():
                _say(self.upload.id, replace(said, headers=others))
                return
            match = _SPAN.fullmatch(text)
            first = int(match.group(1)) if match else 0
            last = int(match.group(2) or first) if match else 0
            if not 1 <= first <= last:
                st.session_state[_NOTE] = _("表头行请写行号，如 3，或 3-4。")
                return
            _say(self.upload.id, replace(said, headers={**others, sheet.name: (first, last)}))

        st.text_input(
            _("表头在第几行"), key=key, on_change=changed, placeholder=_("如 3 或 3-4"),
            autocomplete="off", max_chars=12,
        )  # fmt: skip

    # The first rows

    def _sheet(self, checked: Checked) -> ReadSheet | None:
        """The sheet whose rows are shown: the one chosen, else the first that is loaded."""
        sheets = checked.prepared.sheets
        chosen = st.session_state.get(f"preview-{self.upload.id}")
        loaded = [sheet for sheet in sheets if sheet.read_as] or list(sheets)
        return next((one for one in sheets if one.name == chosen), next(iter(loaded), None))

    def _preview(self, checked: Checked) -> None:
        sheet = self._sheet(checked)
        if sheet is None:
            return
        with st.container(key="preview"):
            names = [one.name for one in checked.prepared.sheets if one.name is not None]
            if len(names) > 1:
                key = f"preview-{self.upload.id}"
                st.session_state[key] = sheet.name
                st.selectbox(_("预览的工作表"), names, key=key, filter_mode=None)
            blocks.show("preview-table", datapreview.markup(checked, sheet))

    # Names without a place

    def _names(self, checked: Checked) -> None:
        confirmed = self.upload.request.confirmed
        open_ones = checked.offers
        if not open_ones and not confirmed:
            return
        with st.container(key="names", border=True):
            best = {one.key: one.best.id for one in open_ones if one.best is not None}
            _heading(
                _("地名对应"),
                _("{open} 个名称待确认，{done} 个已确认。").format(
                    open=format.number(len(open_ones)), done=format.number(len(confirmed))
                ),
            )
            with st.container(key="names-all", horizontal=True, gap="small"):
                if best:
                    st.button(
                        _("全部采用首选（{count} 个）").format(count=format.number(len(best))),
                        key="names-take-all",
                        on_click=partial(self._choose, best),
                        help=_("只包括有唯一首选的名称；请先逐个看过。"),
                    )
                if confirmed:
                    st.button(
                        _("撤回全部确认"),
                        key="names-take-back",
                        on_click=partial(
                            _say, self.upload.id, replace(self.upload.request, confirmed={})
                        ),
                    )
            count = -(-len(open_ones) // _NAMES_PER_PAGE)
            number = paging.number(f"names-page-{self.upload.id}", count)
            first = number * _NAMES_PER_PAGE
            for at, offer in enumerate(open_ones[first : first + _NAMES_PER_PAGE], first):
                self._name(at, offer)
            paging.show(f"names-page-{self.upload.id}", count)

    def _name(self, at: int, offer: Offer) -> None:
        key = f"name-{self.upload.id}-{at}"
        options = {candidate.id: candidate for candidate in offer.candidates}
        with st.container(key=f"name-row-{at}", horizontal=True, vertical_alignment="bottom"):
            st.html(
                blocks.render(
                    "data_name.html",
                    name=offer.name,
                    parent=offer.parent,
                    sheet=offer.sheet,
                    row=offer.row,
                )
            )
            if not options:
                st.html(
                    blocks.render("data_note.html", words=_("没有相近的名称，请在文件中改正。"))
                )
                return
            chosen = st.selectbox(
                _("对应到"),
                list(options),
                key=key,
                filter_mode=None,
                format_func=lambda place_id: _candidate(options[place_id]),
                label_visibility="collapsed",
            )
            st.button(
                _("确认"),
                key=f"{key}-take",
                on_click=partial(self._choose, {offer.key: chosen}),
            )

    def _choose(self, chosen: Mapping[Name, str]) -> None:
        said = self.upload.request
        _say(self.upload.id, replace(said, confirmed={**said.confirmed, **chosen}))

    # The decision

    def _decide(self, checked: Checked) -> None:
        report = checked.report
        dataset = checked.prepared.dataset
        action = LOADING.get(dataset or "", "data.load")
        with st.container(key="decide", border=True):
            _heading(_("确认导入"))
            accept = False
            if not self.actor.may(action):
                st.warning(_("您可以检查文件，但没有导入这类数据的权限。请联系系统管理员。"))
                return
            if not checked.loadable:
                st.warning(_("这个文件没有可以导入的行。请按上面的问题清单改正，再重新上传。"))
            elif report.has_errors:
                accept = st.radio(
                    _("有错误的文件怎么处理"),
                    (False, True),
                    key=f"accept-{self.upload.id}",
                    format_func=lambda taken: _accept_words(taken, checked),
                    label_visibility="collapsed",
                )
            else:
                _say_note(_ready_words(checked))
            ready = checked.loadable and (accept or not report.has_errors)
            with st.container(key="decide-buttons", horizontal=True, gap="small"):
                st.button(
                    _("确认导入"),
                    key="confirm",
                    type="primary",
                    disabled=not ready,
                    on_click=partial(
                        _confirm, [Order(self.upload.id, accept, report.rows_rejected)]
                    ),
                )
                waiting = [one for one in self.others if not one.is_done and one.has_file]
                if len(waiting) > 1:
                    st.button(
                        _("依次导入全部 {count} 个文件").format(count=len(waiting)),
                        key="confirm-all",
                        on_click=partial(
                            _confirm,
                            [
                                Order(self.upload.id, accept, report.rows_rejected)
                                if one.id == self.upload.id
                                else Order(one.id)
                                for one in waiting
                            ],
                        ),
                        help=_(
                            "先区划，再机构，后数据；每个文件导入前重新检查，仍有错误的不导入。"
                        ),
                    )

    def _done(self, outcome: Outcome) -> None:
        """What came of it, in plain words, and the next step."""
        taken_back = outcome.batch is not None and outcome.batch in self.undone
        st.html(
            blocks.render(
                "data_done.html",
                words=_("第 {batch} 批已撤销，这个文件的数据不再计入。").format(batch=outcome.batch)
                if taken_back
                else _done_words(outcome),
                tone="warn" if outcome.rejected or taken_back else "",
                reasons=[
                    (datawords.issue_title(code), format.number(count))
                    for code, severity, count in outcome.reasons
                    if severity == Severity.ERROR.value
                ][:5],
                batch=outcome.batch,
            )
        )
        if outcome.rejected:
            address = offered.address(
                self.upload, outcome.at, _("不能导入的行"), desk.rejected_rows
            )  # fmt: skip
            links = [(_("下载不能导入的行（Excel，逐格注明原因）"), address)]
            st.html(blocks.render("data_downloads.html", links=links))
        with st.container(key="done-buttons", horizontal=True, gap="small"):
            if outcome.batch is not None and not taken_back:
                map_link(outcome.months, "done-map")
            st.button(
                _("完成，继续导入下一个"),
                key="done-next",
                on_click=partial(_discard, self.upload.id),
            )


# Links, notes and callbacks


def note(error: DudaoError) -> None:
    """Keep an error of a callback for the page that runs after it."""
    st.session_state.setdefault(_NOTES, []).append(f"{error.message}{error.remedy}")


def show_notes() -> None:
    """Say the errors kept, once."""
    for words in st.session_state.pop(_NOTES, ()):
        st.error(escape.markdown(words))


def map_link(months: Sequence[str], key: str) -> None:
    """The way to the map, at the last of some months."""
    page = next(
        (one for one in screens.pages(session.actor()) if one.url_path in ("", "map")), None
    )
    if page is None:
        return
    params = {"month": months[-1]} if months else {}
    if st.query_params.get("lang"):
        params["lang"] = st.query_params["lang"]
    with st.container(key=key):
        st.page_link(
            page, label=_("在地图上看"), icon=":material/map:", query_params=params or None
        )


def _say(upload_id: str, request: Request) -> None:
    """Check again with what was said; words of refusal go on the page."""
    try:
        desk.begin_check(caches.store(), session.actor(), upload_id, request).wait(_AT_ONCE_S)
    except DudaoError as error:
        note(error)


def _discard(upload_id: str) -> None:
    try:
        desk.discard(caches.store(), session.actor(), upload_id)
    except DudaoError as error:
        note(error)
    if "upload" in st.query_params:
        del st.query_params["upload"]


def _confirm(orders: Sequence[Order]) -> None:
    try:
        desk.confirm(caches.store(), session.actor(), orders, layers.pairs())
    except DudaoError as error:
        note(error)


# Words


def _heading(title: str, note: str = "") -> None:
    st.html(blocks.render("data_heading.html", title=title, note=note))


def _say_note(words: str) -> None:
    st.html(blocks.render("data_note.html", words=words))


def _found_words(found: str) -> str:
    return _("自动：{found}").format(found=found)


def _accept_words(taken: bool, checked: Checked) -> str:
    report = checked.report
    if not taken:
        return _("整份不导入：先改正 {rejected} 行错误，再重新上传").format(
            rejected=format.number(report.rows_rejected)
        )
    return _("接收正确的行：导入 {valid} 行，其余 {rejected} 行不导入").format(
        valid=format.number(report.rows_valid), rejected=format.number(report.rows_rejected)
    )


def _ready_words(checked: Checked) -> str:
    return _("没有错误。将导入 {rows} 行，共 {records} 条记录。").format(
        rows=format.number(checked.report.rows_valid),
        records=format.number(len(checked.prepared.frame)),
    )


def _done_words(outcome: Outcome) -> str:
    if outcome.batch is None:
        return _("文件内容与已有数据一致，没有需要写入的变化。")
    words = _("已导入（第 {batch} 批）：接收 {valid} 行，写入 {changed} 条记录").format(
        batch=outcome.batch,
        valid=format.number(outcome.valid),
        changed=format.number(outcome.changed),
    )
    if outcome.unchanged:
        words += _("，{count} 条与已有数据相同").format(count=format.number(outcome.unchanged))
    if outcome.rejected:
        words += _("；{count} 行没有导入").format(count=format.number(outcome.rejected))
    return words + _("。")


def _candidate(one: Candidate) -> str:
    """A place that may be meant, with the places above it, for names repeat."""
    return f"{one.name}（{'，'.join(filter(None, (' › '.join(one.where), one.id)))}）"


def _recent_months() -> list[str]:
    today = date.today()
    last = today.year * 12 + today.month - 1
    return [f"{at // 12}-{at % 12 + 1:02d}" for at in range(last, last - _MONTHS_BACK, -1)]


def _encoding_asked(checked: Checked) -> bool:
    counts = checked.report.issues.counts()
    return any(counts[code] for code in ("ENCODING_UNKNOWN", "ENCODING_WRONG"))


def _encoding_name(name: str) -> str:
    return {
        "utf-8": "UTF-8",
        "gb18030": _("GB18030（GBK、国标）"),
        "big5": _("Big5（繁体）"),
        "shift_jis": _("Shift-JIS（日文）"),
        "euc-kr": _("EUC-KR（韩文）"),
        "windows-1252": _("Windows-1252（西欧）"),
    }.get(name, name.upper())


def _system_name(name: str) -> str:
    return {
        "EPSG:4490": _("国家大地坐标系 CGCS2000"),
        "EPSG:4326": "WGS84",
        "gcj02": _("火星坐标 GCJ-02（高德、腾讯）"),
        "bd09": _("百度坐标 BD-09"),
        "EPSG:4610": _("西安80"),
        "EPSG:4214": _("北京54"),
        "EPSG:4546": _("CGCS2000 三度带 111°E"),
        "EPSG:4547": _("CGCS2000 三度带 114°E"),
        "EPSG:4548": _("CGCS2000 三度带 117°E"),
        "EPSG:4549": _("CGCS2000 三度带 120°E"),
    }.get(name, name)


def _has_coordinates(checked: Checked) -> bool:
    if checked.report.crs is not None or checked.upload.request.crs is not None:
        return True
    return any("lon" in sheet.read_as for sheet in checked.prepared.sheets)


def _layer_names(checked: Checked) -> list[str]:
    """The sheets or layers of the file, also when none was chosen yet."""
    names = [sheet.name for sheet in checked.prepared.sheets if sheet.name is not None]
    for block in checked.report.issues.blocks:
        if block.code in ("SEVERAL_LAYERS", "LAYER_NOT_FOUND"):
            names += str(block.params["layers"]).split("、")
    return names
