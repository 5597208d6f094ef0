"""The page 管理 as Streamlit runs it: who sees which section, and what its callbacks do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import ACTIONS, Actor, Grant, Role, operator
from dashboard.accounts import service as accounts
from dashboard.accounts.audit import Query
from dashboard.accounts.model import Account, Change, SessionInfo, SignedIn, State
from dashboard.settings import Settings
from dashboard.store import Store, integrity
from dashboard.store import audit as chain
from dashboard.store.audit import Break, Broken, Outcome, Record
from dashboard.ui import (
    adminedits,
    adminsessions,
    adminview,
    adminwords,
    caches,
    downloads,
    session,
    texts,
)
from dashboard.ui.adminedits import EditRefused

from .conftest import COUNTY, TOWN, VILLAGE

PAGE = Path(__file__).parents[2] / "pages" / "admin.py"
OPERATOR = operator("tests")
ADMINISTRATOR = Actor("a" * 16, "李某", grants=(Grant(Role.ADMINISTRATOR),))
REVIEWER = Actor("b" * 16, "王某", grants=(Grant(Role.REVIEWER),))
CLERK = Actor("c" * 16, "张三", grants=(Grant(Role.CLERK),))


@pytest.fixture
def store(demo_directory: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of the demonstration to change."""
    copied = shutil.copytree(demo_directory, tmp_path / "county")
    caches.configure(Settings(data=copied))
    yield caches.store()
    caches.configure(Settings(data=demo_directory))


def run(app: AppTest, actor: Actor = ADMINISTRATOR) -> AppTest:
    with session.provide(lambda: SignedIn("s1", "li", actor, False)):
        return app.run()


def opened(actor: Actor = ADMINISTRATOR, **params: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, text in params.items():
        app.query_params[name] = text
    return run(app, actor)


def fine(app: AppTest) -> AppTest:
    assert not app.exception and [error.value for error in app.error] == []
    return app


def markup(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def actions(store: Store, action: str) -> list[Record]:
    with store.engine.connect() as connection:
        return chain.find(connection, chain.Filters(action=action), chain.EVERYTHING)


# Who sees what


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("section", adminview.SECTIONS)
def test_every_section_opens_without_an_error(store: Store, section: str, lang: str) -> None:
    fine(opened(section=section, lang=lang))


def test_only_what_one_may_do_is_offered(store: Store) -> None:
    found = {
        actor.name: fine(opened(actor)).segmented_control(key="admin-section").options
        for actor in (ADMINISTRATOR, REVIEWER)
    }
    assert len(found["李某"]) == len(adminview.SECTIONS)
    assert [words.rpartition(" ")[2] for words in found["王某"]] == [
        "审计", "个人数据路径", "备份与检查",
    ]  # fmt: skip


def test_the_page_fails_closed_when_forced(store: Store) -> None:
    app = opened(CLERK, section="accounts")
    assert "PAGE" in app.error[0].value and "权限" in app.error[0].value
    assert "demo-clerk" not in markup(app) and not app.button and not app.get("dataframe")


def test_a_section_that_is_not_ones_own_is_not_shown(store: Store) -> None:
    app = fine(opened(REVIEWER, section="accounts"))
    assert app.segmented_control(key="admin-section").value == "audit"
    assert not app.get("dataframe")


# Accounts


def test_a_new_account_shows_its_link_once(store: Store) -> None:
    app = opened()
    app.text_input(key="admin-add-login").set_value("xin.zhang")
    app.text_input(key="admin-add-title").set_value("<b>张某</b> *副主任*")
    run(app)
    run(app.button(key="admin-add-go").click())
    link = app.code[0].value
    assert "/login/link/" in link
    assert accounts.link_login(store, link.rpartition("/")[2]) == "xin.zhang"
    assert app.text_input(key="admin-add-login").value == ""
    run(app.button(key="admin-link-done").click())
    assert not fine(app).code


def test_what_was_typed_stays_when_an_account_cannot_be_made(store: Store) -> None:
    app = opened()
    app.text_input(key="admin-add-login").set_value("demo-clerk")
    app.text_input(key="admin-add-title").set_value("张某")
    run(app)
    run(app.button(key="admin-add-go").click())
    assert "已存在" in app.error[0].value
    assert app.text_input(key="admin-add-login").value == "demo-clerk"


def test_closing_asks_first_and_reopens(store: Store) -> None:
    who = accounts.account(store, OPERATOR, "demo-viewer")
    app = opened()
    run(app.selectbox(key="admin-account").set_value(who.id))
    run(app.button(key="admin-close").click())
    assert accounts.account(store, OPERATOR, "demo-viewer").state is State.ACTIVE
    run(app.button(key="admin-yes").click())
    assert accounts.account(store, OPERATOR, "demo-viewer").state is State.CLOSED
    run(app.button(key="admin-reopen").click())
    run(app.button(key="admin-yes").click())
    assert accounts.account(store, OPERATOR, "demo-viewer").state is State.ACTIVE
    fine(app)


def test_the_second_of_two_editors_is_told_and_loses_nothing(store: Store) -> None:
    app = opened()
    seen = accounts.account(store, OPERATOR, "demo-clerk")
    accounts.change_account(store, OPERATOR, Change(seen, title="别人改的"))
    app.session_state["admin-pending"] = {seen.id: {"title": "我改的"}}
    run(app)
    run(app.button(key="admin-save-all").click())
    assert "别人改的" in app.warning[0].value
    assert accounts.account(store, OPERATOR, "demo-clerk").title == "别人改的"
    # What was typed is still in the table, over the account as it is now.
    assert "我改的" in app.data_editor[0].value["title"].tolist()
    run(app.button(key="admin-save-all").click())
    assert accounts.account(store, OPERATOR, "demo-clerk").title == "我改的"
    fine(app)


# Grants


def test_a_grant_is_given_on_the_tree_and_taken_back(store: Store) -> None:
    who = accounts.account(store, OPERATOR, "demo-viewer")
    app = opened(section="grants")
    run(app.selectbox(key="admin-grantee").set_value(who.id))
    app.selectbox(key="admin-grant-role").set_value(Role.CLERK)
    run(app)
    assert app.button(key="admin-grant-go").disabled, "no place was chosen yet"
    place = "admin-grant-place"
    run(app.selectbox(key=f"{place}-down-").set_value(COUNTY))
    run(app.selectbox(key=f"{place}-down-{COUNTY}").set_value(TOWN))
    run(app.selectbox(key=f"{place}-down-{TOWN}").set_value(VILLAGE))
    run(app.button(key=f"{place}-step-1").click())
    run(app.button(key="admin-grant-go").click())
    given = accounts.account(store, OPERATOR, "demo-viewer").grants[-1]
    assert (given.role, given.place_id) == (Role.CLERK, TOWN)
    run(app.button(key=f"admin-revoke-{given.id}").click())
    assert given in accounts.account(store, OPERATOR, "demo-viewer").grants
    run(app.button(key=f"admin-revoke-yes-{given.id}").click())
    assert given not in accounts.account(store, OPERATOR, "demo-viewer").grants
    fine(app)


def test_a_place_is_found_by_searching(store: Store) -> None:
    who = accounts.account(store, OPERATOR, "demo-viewer")
    app = opened(section="grants")
    run(app.selectbox(key="admin-grantee").set_value(who.id))
    run(app.text_input(key="admin-grant-place-find").set_value("平舒镇"))
    run(app.button(key=f"admin-grant-place-found-{TOWN}").click())
    assert app.session_state["admin-grant-place-at"] == TOWN
    assert app.text_input(key="admin-grant-place-find").value == ""


def test_a_grant_on_an_account_changed_meanwhile_keeps_what_was_chosen(store: Store) -> None:
    who = accounts.account(store, OPERATOR, "demo-viewer")
    app = opened(section="grants")
    run(app.selectbox(key="admin-grantee").set_value(who.id))
    app.selectbox(key="admin-grant-role").set_value(Role.CLERK)
    run(app)
    run(app.button(key="admin-grant-place-any").click())
    accounts.change_account(store, OPERATOR, Change(who, title="别人改的"))
    run(app.button(key="admin-grant-go").click())
    assert "别人改的" in app.warning[0].value
    assert app.selectbox(key="admin-grant-role").value is Role.CLERK
    run(app.button(key="admin-grant-go").click())
    assert accounts.account(store, OPERATOR, "demo-viewer").grants[-1].place_id is None


# Sign-ins


def test_rows_that_were_not_shown_select_nothing() -> None:
    seen = [SessionInfo(str(n), "a", "li", "李某", 0.0, 0.0, 1.0, "::1", "") for n in range(3)]
    assert adminsessions.chosen(seen, [2, 0]) == [seen[0], seen[2]]
    assert adminsessions.chosen(seen, [-1, 3, "1", None]) == []


# Audit


def test_the_search_is_asked_and_audited_once_until_the_question_changes(store: Store) -> None:
    app = opened(section="audit")
    run(app)
    assert len(actions(store, "audit.search")) == 1
    app.text_input(key="admin-ask-text").set_value("places")
    run(app.button[[each.label for each in app.button].index("查询")].click())
    assert len(actions(store, "audit.search")) == 2
    assert actions(store, "audit.search")[0].details["text"] == "places"
    fine(app)


def test_the_audit_pages_back_and_forth(store: Store) -> None:
    for number in range(120):
        store.record(
            OPERATOR, "backup.make", subject=f"file-{number}", details={"file": f"f{number}"}
        )
    app = opened(section="audit")
    assert "“f119”" in markup(app) and "“f20”" not in markup(app)
    run(app.button(key="admin-older").click())
    run(app.button(key="admin-older").click())
    assert "“f19”" in markup(app) and app.button(key="admin-older").disabled
    run(app.button(key="admin-newer").click())
    assert "“f50”" in markup(app) and "“f119”" not in markup(app)
    fine(app)


def test_the_audit_is_taken_along_as_a_file(store: Store) -> None:
    app = opened(section="audit")
    run(app.button(key="admin-audit-export").click())
    told = markup(fine(app))
    token = told.partition('href="/download/')[2].partition('"')[0]
    offered = downloads.find(token)
    assert offered is not None and offered.session_id == "s1" and offered.make()[:2] == b"PK"
    last = actions(store, "audit.search")[0]
    assert last.details["format"] == "xlsx" and last.details["rows"] > 0


def test_text_in_a_row_is_shown_literally(store: Store) -> None:
    store.record(OPERATOR, "data.load", details={"file": "<script>alert(1)</script>${x}"})
    told = markup(opened(section="audit"))
    assert "<script>" not in told and "&lt;script&gt;" in told


def test_the_question_from_the_first_section_opens_the_results(store: Store) -> None:
    app = opened()
    app.text_input(key="admin-look-actor").set_value("无此人")
    run(app.button[[each.label for each in app.button].index("查询")].click())
    assert app.query_params["section"] == "audit"
    assert app.text_input(key="admin-ask-actor").value == "无此人"
    assert "没有符合条件的记录" in markup(fine(app))


# Persons, backups, checks


def test_somebody_unknown_is_told_and_the_number_does_not_stay(store: Store) -> None:
    app = opened(section="persons")
    app.text_input(key="admin-person").set_value("13102519900101123X")
    run(app)
    run(app.button(key="admin-person-go").click())
    assert "没有登记" in app.error[0].value
    assert app.text_input(key="admin-person").value == ""
    assert "1990" not in markup(app)


def test_a_backup_is_made_and_listed(store: Store) -> None:
    app = opened(section="keep")
    assert "还没有备份" in markup(app)
    run(app.button(key="admin-backup").click())
    (made,) = (store.directory / "backups").iterdir()
    told = markup(fine(app))
    assert made.name in told and "不含密钥" in told
    assert actions(store, "backup.make")[0].details["sha256"] in told


def test_checks_say_what_they_found_in_plain_words(store: Store) -> None:
    app = opened(section="keep")
    run(app.button(key="admin-verify").click())
    assert "全部完好" in app.success[-1].value
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor_name = '别人' WHERE seq = 2")
    run(app.button(key="admin-verify").click())
    assert "第 2 条" in app.error[0].value
    run(app.button(key="admin-check").click())
    assert "AUDIT_BROKEN" in markup(app) and "DATABASE_DAMAGED" not in markup(app)


# Words


def test_everything_a_check_looks_at_has_a_name(store: Store) -> None:
    looked = integrity.check(store, ADMINISTRATOR).checked
    texts.use("zh")
    assert [name for name in looked if adminwords.checked_name(name) == name] == []


def test_every_action_outcome_and_break_has_its_words() -> None:
    for lang in ("zh", "en"):
        texts.use(lang)
        for action in ACTIONS:
            name = adminwords.action_name(action)
            assert name != action
            assert lang == "zh" or name.isascii(), f"{action} has no English name"
            assert adminwords.group_name(action.partition(".")[0]) != action.partition(".")[0]
        for outcome in Outcome:
            assert adminwords.outcome_name(outcome.value).isascii() == (lang == "en")
        for kind in Break:
            assert "{" not in adminwords.broken_words(Broken(7, kind, 9, 2))


def record(**values: Any) -> Record:
    fields: dict[str, Any] = {
        "seq": 1, "at": datetime(2026, 11, 22, tzinfo=UTC), "actor": "a", "actor_name": "张三",
        "via": "web", "action": "data.load", "place_id": None, "subject": "", "outcome": "done",
        "details": {},
    }  # fmt: skip
    return Record(**(fields | values))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (record(details={"file": "十月.xlsx"}), "张三 导入文件“十月.xlsx”"),
        (record(outcome="denied", action="backup.make"), "张三 试图备份，被拒绝"),
        (record(outcome="failed", details={"file": "a.csv"}), "张三 导入文件“a.csv”，未成功"),
        (record(action="accounts.reset", subject="x1"), "张三 重置登录“li”"),
        (record(action="persons.reveal", subject="0123456789abcdef"),
         "张三 查看人员完整信息“0123456789ab…”"),
        (record(action="later.added"), "张三 later.added"),
    ],
)  # fmt: skip
def test_a_row_reads_as_a_sentence(given: Record, said: str) -> None:
    assert adminwords.sentence(given, {"x1": "li"}) == said


def test_details_of_every_shape_are_readable() -> None:
    found = adminwords.details(
        record(
            details={
                "changes": [{"login": "li", "state": "closed"}], "role": "clerk", "leaving": True,
                "to": None, "action": "data", "unknown": 3, "grants": ["viewer"],
            }
        )
    )  # fmt: skip
    assert [value for _, value in found] == [
        "账号 li，状态 停用", "数据员", "是", "—", "数据导入", "3", "查看人员",
    ]  # fmt: skip


def test_details_hold_no_code_where_there_is_a_word() -> None:
    loaded = adminwords.details(
        record(
            details={
                "dataset": "services", "months": ["2026-01", "2026-02", "2026-03"], "rows": 7410,
                "columns": [], "error": "",
            }
        )
    )  # fmt: skip
    assert loaded == [
        ("数据集", "服务记录"), ("月份", "2026年1月至2026年3月，共 3 个月"), ("行数", "7,410"),
    ]  # fmt: skip
    exported = adminwords.details(
        record(
            details={
                "layer": "contract_coverage", "month": "2026-10", "source": "records",
                "mode": "change", "against": "2025-10", "level": "village", "part": "miss",
                "period": "counted", "dataset": "contracts", "columns": ["team_id"],
                "way": "demonstration",
            }
        )
    )  # fmt: skip
    assert [value for _, value in exported] == [
        "家庭医生签约率", "2026年10月", "台账", "变化", "2025年10月", "村", "将完不成",
        "计入当月指标", "签约记录", "团队编号", "演示账号",
    ]  # fmt: skip
    gone = adminwords.details(record(details={"dataset": "gone", "layer": "gone", "mode": "gone"}))
    assert {value for _, value in gone} == {"gone"}


# Edits


def shown() -> list[Account]:
    return [
        Account(
            f"id{n}", f"login{n}", f"职务{n}", State.ACTIVE, 1, False, False, True, "", (), False
        )
        for n in range(3)
    ]


def test_honest_edits_become_changes_and_edits_back_do_not() -> None:
    typed = adminedits.judged(
        shown(),
        {"edited_rows": {0: {"title": "新"}, 1: {"state": "closed"}, 2: {"title": "职务2"}}},
    )
    found = adminedits.changes(shown(), typed)
    assert [(each.seen.id, each.title, each.state) for each in found] == [
        ("id0", "新", None),
        ("id1", None, State.CLOSED),
    ]


def test_later_edits_stand_over_earlier_ones() -> None:
    before = {"id0": {"title": "一", "state": "closed"}}
    assert adminedits.merged(before, {"id0": {"title": "二"}, "id1": {"title": "三"}}) == {
        "id0": {"title": "二", "state": "closed"},
        "id1": {"title": "三"},
    }


@pytest.mark.parametrize(
    "reported",
    [
        {"edited_rows": {0: {"login": "evil"}}},
        {"edited_rows": {3: {"title": "evil"}}},
        {"edited_rows": {-1: {"title": "evil"}}},
        {"edited_rows": {"x": {"title": "evil"}}},
        {"edited_rows": {0: {"title": 7}}},
        {"edited_rows": {0: {"state": "administrator"}}},
        {"added_rows": [{}]},
        {"deleted_rows": [0]},
    ],
)
def test_forged_edits_are_refused(reported: dict[str, Any]) -> None:
    with pytest.raises(EditRefused):
        adminedits.judged(shown(), reported)


def test_a_query_tells_what_it_limits() -> None:
    assert Query(since=date(2026, 11, 1), outcome=Outcome.DENIED).told() == {
        "since": "2026-11-01",
        "outcome": "denied",
    }
