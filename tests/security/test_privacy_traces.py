"""Attack: look for identity numbers, phones and names wherever the program writes."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from typer.testing import CliRunner, Result

from dashboard.__main__ import app
from dashboard.access import EVERYTHING, SYSTEM, operator
from dashboard.intake.copies import COPIES
from dashboard.privacy import service
from dashboard.store import Store, database
from geodata.errors import DudaoError
from tests.privacy import world
from tests.privacy.world import id_number
from tests.security.actors import CLERK_A, HEAD_A1, HEAD_B1

NAMES = tuple(f"迹{family}寻不见" for family in "赵钱孙李周吴郑王")
PHONES = tuple(f"1397777{number:04d}" for number in range(1001, 1009))
LINES = tuple(
    (name, id_number(600 + number), phone, "", "V00" if number % 2 else "V06")
    for number, (name, phone) in enumerate(zip(NAMES, PHONES, strict=True))
)
CLEAR = tuple(value for line in LINES for value in line[:3])


def _faulty(path: Path) -> Path:
    """Every kind of wrong row, each around a real number or phone."""
    lines = [
        *LINES,
        (NAMES[0], LINES[0][1], PHONES[0], "", "V01"),  # in two villages
        (NAMES[1], LINES[1][1][:17], PHONES[1], "", "V00"),
        (NAMES[2], LINES[2][1][:16] + "99", PHONES[2], "", "V00"),
        (NAMES[3] + PHONES[3], LINES[3][1], "电话" + PHONES[3], "", "V00"),
        (NAMES[4], id_number(650), PHONES[4] + "1", "女?", LINES[4][1]),
        (NAMES[5], "", PHONES[5], "", PHONES[5]),
    ]
    return world.write(path, lines)


def _of_rows(store: Store) -> str:
    """Every table but the register and what undo keeps of it, as text."""
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        found = []
        for table in inspect(store.engine).get_table_names():
            if table not in ("person", "batch_before"):
                rows = connection.execute(text(f"SELECT * FROM {table}")).all()
                found.append(f"{table}: {rows}")
    return "\n".join(found)


def test_nothing_the_program_writes_beside_the_register_names_anybody(
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    world.county(store)
    said: list[str] = []
    # The file's own name holds a number too.
    report = world.load(store, CLERK_A, _faulty(tmp_path / f"名册{LINES[0][1]}.csv"), True)
    assert report.has_errors
    report.write_issues_csv(tmp_path / "issues.csv")
    said += [str(report.as_dict(limit=1000)), (tmp_path / "issues.csv").read_text("utf-8")]
    report = world.load(store, operator("t"), world.write(tmp_path / "r.csv", LINES))
    assert report.committed
    said.append(json.dumps(report.as_dict(), ensure_ascii=False))
    keys = [row.key for row in service.persons(store, SYSTEM, "C").rows]
    assert len(keys) == len(LINES)
    first = service.reveal(store, SYSTEM, keys[0], "随访核对电话")
    assert first.name in NAMES
    service.reveal(store, SYSTEM, keys[0], f"核对{first.name}和{PHONES[0]}、{LINES[0][1]}")
    said += [repr(first), repr(service.trace(store, SYSTEM, LINES[1][1]))]
    for wrong in (LINES[1][1], PHONES[1], keys[0]):
        with pytest.raises(DudaoError) as raised:
            service.reveal(store, HEAD_B1, wrong, "随访核对电话")
        said.append(str(raised.value))
    with pytest.raises(DudaoError) as raised:
        service.persons(store, HEAD_A1, LINES[0][1])
    result = service.erase(store, SYSTEM, keys[0], f"{first.name}申请删除", COPIES)
    said += [json.dumps(result.as_dict(), ensure_ascii=False), _of_rows(store)]
    said += [caplog.text, *capfd.readouterr()]
    for path in store.directory.rglob("*"):
        if path.is_file() and not path.name.startswith(database.SQLITE_FILE):
            said.append(path.read_bytes().decode("utf-8", errors="replace"))
    text_of_all = "\n".join(said)
    assert [value for value in CLEAR if value in text_of_all] == []
    assert keys[0] in text_of_all and "PERSON_TWICE" in text_of_all  # it was not looking at nothing


def test_the_command_line_says_no_name_and_proves_the_erasure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = world.county(Store.open(data))
    store.close()
    path = _faulty(tmp_path / "r.csv")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["--data", str(data), *arguments])

    loads = [
        run("load", str(path), "--accept-valid-rows", "--issues", str(tmp_path / "issues.csv")),
        run("load", str(path), "--accept-valid-rows", "--json"),
    ]
    store = Store.open(data)
    keys = [row.key for row in service.persons(store, SYSTEM, "C").rows]
    store.close()
    assert keys
    unknown = run("erase", "--person", LINES[1][1], "--json")
    assert unknown.exit_code == 2
    assert json.loads(unknown.stdout)["error"]["code"] == "PERSON_NOT_FOUND"
    done = run("erase", "--person", keys[0], "--reason", "本人申请删除", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] and told["erased"][0]["key"] == keys[0] and told["erased"][0]["proof"]
    again = run("erase", "--person", keys[0])
    assert again.exit_code == 0 and "再次" in again.stdout
    late = run("erase", "--expired")
    assert late.exit_code == 0 and "没有超过" in late.stdout
    for wrong in (run("erase"), run("erase", "--expired", "--person", keys[0])):
        assert wrong.exit_code == 2 and "ERASE_FORM" in wrong.stderr
    said = "".join(each.stdout + each.stderr for each in (*loads, unknown, done, again))
    said += (tmp_path / "issues.csv").read_text("utf-8")
    assert [value for value in CLEAR if value in said] == []
    assert "ID_NUMBER_FORM" in said


@pytest.mark.parametrize("database_url", [None])
def test_a_failure_while_writing_names_nobody(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The database refuses the rows half way: error, traceback and log hold none of them."""
    world.county(store)
    with database.writing(store.engine) as connection:
        connection.execute(
            text(
                "CREATE TRIGGER no_more BEFORE INSERT ON person "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )
    with pytest.raises(DudaoError) as raised:
        world.load(store, CLERK_A, world.write(tmp_path / "r.csv", LINES[1::2]))
    assert raised.value.code == "PERSONS_NOT_WRITTEN"
    said = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert [value for value in CLEAR if value in said] == []
    assert service.persons(store, SYSTEM, "C").total == 0
