"""The page 数据 as Streamlit runs it, and the words on it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import SYSTEM, Actor, Grant, Role
from dashboard.accounts.service import SignedIn
from dashboard.coverage import registry
from dashboard.intake import desk
from dashboard.intake.jobs import Job, JobState
from dashboard.intake.model import Order, Step, Upload
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.model import BatchState
from dashboard.ui import caches, datawords, downloads, progress, session, texts
from loaders.issues import CODES
from loaders.model import Severity

from .conftest import TOWN, VILLAGE

PAGE = Path(__file__).parents[2] / "pages" / "data.py"
CLERK = Actor("account:clerk", "数据员甲", grants=(Grant(Role.CLERK),))
REVIEWER = Actor("account:reviewer", "审核员乙", grants=(Grant(Role.REVIEWER),))
VIEWER = Actor("account:viewer", "查看丙", grants=(Grant(Role.VIEWER),))
HEAD = "区划代码,月份,签约人数,建档立卡人口\n"
NAMED = "乡镇,村名,月份,签约人数,建档立卡人口\n平舒镇,东关,2026-10,80,100\n"


@pytest.fixture
def store(configured: Settings) -> Iterator[Store]:
    """The demonstration's store, with no uploads left in it."""
    found = caches.store()
    yield found
    for upload in desk.uploads(found, CLERK):
        desk.discard(found, CLERK, upload.id)


def opened(actor: Actor = CLERK, **params: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, text in params.items():
        app.query_params[name] = text
    with session.provide(lambda: SignedIn("s1", actor.id, actor, False)):
        return app.run()


def run(app: AppTest) -> AppTest:
    """Run the page, and again once what it began is over."""
    with session.provide(lambda: SignedIn("s1", CLERK.id, CLERK, False)):
        app.run()
        job = desk.job_of(caches.store(), CLERK, app.query_params["upload"])
        assert job is None or job.wait(60)
        return app.run()


def put(store: Store, text: str, name: str = "十月.csv") -> Upload:
    upload = desk.receive(store, CLERK, name, BytesIO(text.encode()), 1 << 20)
    desk.check(store, CLERK, upload.id, upload.request)
    return upload


def markup(app: AppTest) -> str:
    """Everything the page shows as HTML, component markup included."""
    return "\n".join(element.proto.body for element in app.get("html"))


def test_who_may_do_what_sees_what(store: Store) -> None:
    clerk = opened()
    assert not clerk.exception and not clerk.error
    assert clerk.get("file_uploader") and 'class="dd-steps"' in markup(clerk)
    reviewer = opened(REVIEWER)
    assert not reviewer.exception and not reviewer.error
    assert not reviewer.get("file_uploader") and 'class="dd-steps"' not in markup(reviewer)
    viewer = opened(VIEWER)
    assert "PAGE_NOT_ALLOWED" in viewer.error[0].value.replace("&#95;", "_")
    assert not viewer.get("file_uploader")


def test_an_empty_directory_says_where_to_begin(tmp_path: Path, configured: Settings) -> None:
    Store.open(tmp_path).close()
    caches.configure(Settings(data=tmp_path))
    app = opened()
    assert not app.exception and not app.error
    assert "可用 Excel" in markup(app)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_upload_in_every_state_opens(store: Store, lang: str) -> None:
    texts.use(lang)
    good, bad = HEAD + f"{VILLAGE},2026-10,1,2\n", HEAD + f"{VILLAGE},2026-10,很多,2\n"
    for text in (good, bad, NAMED, "", "没有表头\n甲\n", good + f"{TOWN},2026-10,x,2\n"):
        upload = put(store, text)
        app = opened(upload=upload.id, lang=lang)
        assert not app.exception, text
        assert not app.error, [one.value for one in app.error]
        desk.discard(store, CLERK, upload.id)


def test_what_is_chosen_is_checked_again_and_remembered(store: Store) -> None:
    upload = put(store, HEAD + f"{VILLAGE},2026-10,1,2\n")
    app = opened(upload=upload.id)
    app.selectbox(key=f"said-dataset-{upload.id}").select("places")
    run(app)
    assert desk.upload(store, CLERK, upload.id).request.dataset == "places"
    app.selectbox(key=f"said-dataset-{upload.id}").select("")
    run(app)
    assert desk.upload(store, CLERK, upload.id).request.dataset is None
    app.text_input(key=f"said-header-{upload.id}").set_value("2")
    run(app)
    assert desk.upload(store, CLERK, upload.id).request.headers == {None: (2, 2)}
    app.text_input(key=f"said-header-{upload.id}").set_value("")
    run(app)
    assert desk.upload(store, CLERK, upload.id).request.headers == {}
    assert not app.exception


@pytest.mark.parametrize("written", ["一", "0", "5-3", "-1", "1;2", "99999"])
def test_a_header_row_that_is_none_is_refused_in_words(store: Store, written: str) -> None:
    upload = put(store, HEAD + f"{VILLAGE},2026-10,1,2\n")
    app = opened(upload=upload.id)
    app.text_input(key=f"said-header-{upload.id}").set_value(written)
    with session.provide(lambda: SignedIn("s1", CLERK.id, CLERK, False)):
        app.run()
    assert any("请写行号" in one.value for one in app.warning)
    assert desk.upload(store, CLERK, upload.id).request.headers == {}


def test_a_name_is_confirmed_and_taken_back(store: Store) -> None:
    upload = put(store, NAMED)
    app = opened(upload=upload.id)
    app.button(key=f"name-{upload.id}-0-take").click()
    run(app)
    confirmed = desk.upload(store, CLERK, upload.id).request.confirmed
    assert list(confirmed) == [("东关", "平舒镇")]
    app.button(key="names-take-back").click()
    run(app)
    assert desk.upload(store, CLERK, upload.id).request.confirmed == {}
    assert not app.exception


def test_errors_must_be_agreed_to_before_the_load(store: Store) -> None:
    upload = put(store, HEAD + f"{VILLAGE},2026-10,1,900\n{TOWN},2026-10,很多,2\n")
    app = opened(upload=upload.id)
    assert app.button(key="confirm").disabled
    assert [option for option in app.radio(key=f"accept-{upload.id}").options] == [
        "整份不导入：先改正 1 行错误，再重新上传",
        "接收正确的行：导入 1 行，其余 1 行不导入",
    ]
    app.radio(key=f"accept-{upload.id}").set_value(True)
    run(app)
    assert not app.button(key="confirm").disabled


def test_issues_are_filtered_by_what_is_chosen(store: Store) -> None:
    rows = "".join(f"{VILLAGE},2026-10,第{number},2\n" for number in range(120))
    upload = put(store, HEAD + rows + "999,2026-10,1,2\n")
    app = opened(upload=upload.id)
    prefix = f"issues-{upload.id}"
    app.selectbox(key=f"{prefix}-code").select("UNKNOWN_PLACE")
    run(app)
    assert app.session_state[f"{prefix}-page"] == 0
    app.selectbox(key=f"{prefix}-code").select("BAD_NUMBER")
    run(app)
    app.button(key=f"{prefix}-page-on").click()
    run(app)
    assert app.session_state[f"{prefix}-page"] == 1
    app.text_input(key=f"{prefix}-text").set_value("第77")
    run(app)
    assert app.session_state[f"{prefix}-page"] == 0
    assert not app.exception


def test_workbooks_are_offered_to_this_sign_in_only(store: Store) -> None:
    upload = put(store, HEAD + f"{VILLAGE},2026-10,很多,2\n")
    page = markup(opened(upload=upload.id))
    addresses = [part.split('"')[0] for part in page.split('href="/download/')[1:]]
    assert len(addresses) == 2
    for token in addresses:
        found = downloads.find(token)
        assert found is not None and found.session_id == "s1"
        assert found.make()[:2] == b"PK"


def test_an_undo_is_asked_about_first(store: Store) -> None:
    with store.unit(SYSTEM) as unit:
        stored = unit.figures([VILLAGE], ["2026-10"], ["registered_persons"])
    everybody = int(stored["value"].iloc[0])
    upload = put(store, HEAD + f"{VILLAGE},2026-10,{everybody},{everybody}\n")
    job = desk.confirm(store, CLERK, [Order(upload.id)], registry.pairs())
    assert job.wait(60) and job.state is JobState.DONE
    batch = desk.batches(store, CLERK)[0]
    assert batch.dataset == "figures"
    app = opened(undo=str(batch.id))
    assert f"撤销第 {batch.id} 批导入？" in markup(app)
    assert desk.batches(store, CLERK)[0].state is BatchState.COMMITTED
    with session.provide(lambda: SignedIn("s1", CLERK.id, CLERK, False)):
        app.button(key="undo-close").click().run()
    assert "undo" not in app.query_params
    for wrong in ("999999", "-1", "x", "1 OR 1=1"):
        assert not opened(undo=wrong).exception
    assert "已导入（第" in markup(opened(upload=upload.id))
    undone = desk.undo(store, CLERK, batch.id, registry.pairs())
    assert undone.wait(60) and undone.state is JobState.DONE
    after = markup(opened(upload=upload.id))
    assert f"第 {batch.id} 批已撤销，这个文件的数据不再计入" in after
    assert "已导入（第" not in after


def test_nothing_looks_good_where_nothing_or_not_everything_goes_in(store: Store) -> None:
    upload = put(store, HEAD + f"{TOWN},2026-10,很多,2\n")
    assert 'dd-figure good">0<' not in markup(run(opened(upload=upload.id)))
    half = put(store, HEAD + f"{VILLAGE},2026-10,1,900\n{TOWN},2026-10,很多,2\n")
    order = Order(half.id, accept_valid_rows=True, rejected=1)
    job = desk.confirm(store, CLERK, [order], registry.pairs())
    assert job.wait(60) and job.state is JobState.DONE
    assert 'class="dd-done warn"' in markup(opened(upload=half.id))
    undone = desk.undo(store, CLERK, desk.batches(store, CLERK)[0].id, registry.pairs())
    assert undone.wait(60)


def test_every_kind_of_issue_has_a_short_title_in_both_languages() -> None:
    for lang in ("zh", "en"):
        texts.use(lang)
        for code in CODES:
            title = datawords.issue_title(code)
            assert title and "{" not in title and len(title) <= 90, (code, title)
            assert title != code
            assert (lang == "en") != any("\u4e00" <= sign <= "\u9fff" for sign in title)
    assert datawords.issue_title("NO_SUCH_CODE") == "NO_SUCH_CODE"
    texts.use("zh")
    assert datawords.issue_title("ENCODING_UNKNOWN") == "看不出文字编码"
    assert datawords.issue_title("DATASET_UNKNOWN") == "从列名看不出是哪类数据"


def test_every_state_step_and_severity_has_its_word() -> None:
    for lang in ("zh", "en"):
        texts.use(lang)
        words = [
            *map(datawords.state_title, BatchState),
            *map(datawords.step_title, Step),
            *map(datawords.severity_title, Severity),
        ]
        assert all(words)
        assert (lang == "en") != any("\u4e00" <= sign <= "\u9fff" for sign in "".join(words))


def test_months_are_told_in_few_words() -> None:
    assert datawords.months(()) == "—"
    assert datawords.months(("2026-10",)) == "2026年10月"
    assert datawords.months(tuple(f"2026-{at:02d}" for at in range(1, 11))) == (
        "2026年1月至2026年10月，共 10 个月"
    )


def test_progress_never_says_it_is_done_before_it_is() -> None:
    job: Job[None] = Job("load", 0.0, lambda _job: None)
    job.tell("正在检查 a.csv")
    job.pause(0.12)
    job.tell("正在发布")
    assert progress.percent(job) == 95
    assert "比预计的久" in progress.time_words(job)
    assert 'value="95"' in progress.markup(job, "甲")
    slow: Job[None] = Job("load", 1000, lambda _job: None)
    slow.tell("正在汇总 2026-10")
    assert progress.percent(slow) == 45
    assert "预计还需" in progress.time_words(slow)
    over = Job.finished("check", None)
    assert progress.percent(over) == 100


def test_every_kind_of_job_has_its_steps() -> None:
    for kind, steps in progress.STEPS.items():
        job: Job[None] = Job(kind, 1, lambda _job: None)
        assert progress.markup(job, "甲").count("<li") == len(steps)
        job.tell("另一个导入正在进行，等待其完成")
        assert progress.markup(job, "甲").count("<li") == len(steps) + 1


def test_a_file_of_targets_is_recognised_and_its_bad_cells_are_listed(store: Store) -> None:
    text = f"指标,区划代码,年度,目标值\n宫颈癌筛查率,{TOWN},2027,110%\n满意度,{TOWN},2027,99%\n"
    upload = put(store, text, "2027年目标.csv")
    app = opened(upload=upload.id)
    assert not app.exception and not app.error
    checked = desk.check(store, CLERK, upload.id, upload.request)
    assert checked.report.dataset == "targets"
    assert checked.report.issues.counts() == {"OUT_OF_BOUNDS": 1}
    assert "年度目标" in app.selectbox(key=f"said-dataset-{upload.id}").options
