"""The reading process with a reader that has turned hostile: what it reaches and what it costs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from loaders.readers import checked, read
from loaders.readers.problem import ReadProblem
from loaders.sandbox.environment import KEPT_DRIVERS
from loaders.sandbox.handover import give, give_problem, take
from loaders.sandbox.limits import Limits
from loaders.sandbox.protect import WANTED
from loaders.sandbox.run import PACKAGES, Stop, run
from loaders.table import UNNAMED_CRS, Factor, RawSheet, Source
from tests.security.listener import Listener

ATTACKER = {"attacker": Path(__file__).parents[1] / "security" / "attacker"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp and Landlock are Linux's")


@contextmanager
def attacked(
    entry: str,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    stop: Stop | None = None,
) -> Iterator[Path]:
    with (
        tempfile.TemporaryFile() as source,
        run(
            f"attacker.tries:{entry}",
            arguments or {},
            source,
            limits,
            stop,
            packages={**PACKAGES, **ATTACKER},
        ) as folder,
    ):
        yield folder


def tried(entry: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    with attacked(entry, arguments) as folder:
        found: dict[str, Any] = json.loads((folder / "tried.json").read_text())
        return found


def refusal(entry: str, limits: Limits | None = None, stop: Stop | None = None) -> ReadProblem:
    with pytest.raises(ReadProblem) as raised, attacked(entry, None, limits, stop):
        pass
    return raised.value


def alive() -> int:
    """Processes below this one, ended but not waited for included."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        count += parent == os.getpid()
    return count


@linux
def test_every_protection_is_in_force(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    # Own networks and Landlock depend on the kernel; the rest every Linux has.
    optional = {"own_network", "files"}
    active = set(read(path).protections)
    assert active >= set(WANTED) - optional
    assert active <= set(WANTED)


@linux
def test_no_socket_of_any_kind_can_be_opened() -> None:
    with Listener() as listener:
        found = tried("network", {"port": listener.port})
        assert listener.seen == []
        listener.prove_that_it_listens()
    del found["active"]
    assert {name: text for name, text in found.items() if text.startswith("done")} == {}


@linux
def test_only_the_given_file_can_be_read(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("SECRET")
    elsewhere = tmp_path / "elsewhere"
    arguments = {"canary": str(canary), "elsewhere": str(elsewhere), "home": str(tmp_path)}
    found = tried("files", arguments)
    if "files" not in found.pop("active"):
        pytest.skip("this kernel has no Landlock")
    assert {name for name, text in found.items() if text.startswith("done")} == {
        "write_here",
        "read_stdlib",
    }
    assert not elsewhere.exists()


@linux
def test_no_process_can_be_started_signalled_or_traced() -> None:
    found = tried("processes")
    del found["active"]
    assert {name for name, text in found.items() if text.startswith("done")} == {"thread"}


def test_nothing_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUDAO_SECRET", "s3cret")
    with tempfile.TemporaryFile() as source:
        source.write(b"the file")
        source.seek(0)
        packages = {**PACKAGES, **ATTACKER}
        with run("attacker.tries:environment", {}, source, packages=packages) as folder:
            found = json.loads((folder / "tried.json").read_text())
    assert "DUDAO_SECRET" not in found["variables"]
    assert not {"HOME", "PATH", "USER"} & found["variables"].keys()
    assert found["folder"] == []
    assert found["open_files"] == [0, 1, 2]
    assert found["input"] == "the file"


def test_gdal_knows_three_drivers_and_no_way_out(tmp_path: Path) -> None:
    canary = tmp_path / "canary.csv"
    canary.write_text("a,b\nSECRET,1\n")
    with Listener() as listener:
        url = f"http://127.0.0.1:{listener.port}/x.geojson"
        sources = {
            "csv": str(canary),
            "forced csv": f"CSV:{canary}",
            "url": url,
            "curl": f"/vsicurl/{url}",
            "curl streaming": f"/vsicurl_streaming/{url}",
            "wfs": f"WFS:{url}",
            "vrt": f"<OGRVRTDataSource><OGRVRTLayer name='canary'><SrcDataSource>{canary}"
            "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
            "sqlite": ":memory:",
        }
        found = tried("drivers", {"sources": sources})
        assert listener.seen == []
    assert set(found["drivers"]) == KEPT_DRIVERS
    assert {name: text for name, text in found["sources"].items() if text.startswith("done")} == {}


SMALL = Limits(memory_bytes=512 << 20, cpu_s=2, wall_s=90, file_bytes=8 << 20)


@pytest.mark.parametrize(
    ("entry", "limits", "code", "what"),
    [
        ("spin", SMALL, "FILE_TOO_COSTLY", "processor time"),
        ("sleep", replace(SMALL, wall_s=1), "FILE_TOO_COSTLY", "time"),
        ("eat", SMALL, "FILE_TOO_COSTLY", "memory"),
        ("fill", SMALL, "FILE_TOO_COSTLY", "unpacked content"),
        ("abort", SMALL, "FILE_READER_DIED", None),
        ("fail", SMALL, "FILE_READER_DIED", None),
    ],
)
def test_a_bound_that_is_met_ends_the_process(
    entry: str, limits: Limits, code: str, what: str | None
) -> None:
    before = alive()
    problem = refusal(entry, limits)
    assert problem.code == code
    assert problem.params.get("what_en") == what
    assert alive() == before


def test_a_read_can_be_stopped() -> None:
    stopped = threading.Event()
    threading.Timer(0.5, stopped.set).start()
    before, began = alive(), time.monotonic()
    assert refusal("sleep", stop=stopped.is_set).code == "READ_STOPPED"
    assert time.monotonic() - began < 20
    assert alive() == before


def test_the_folder_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with attacked("environment") as folder:
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    refusal("abort")
    assert list(tmp_path.iterdir()) == []


# What comes back.


SHEETS = (
    RawSheet(
        name="区县",
        columns=(Factor.of(["甲", "", "甲"]), Factor.of(["1", "2", "\ud800?"])),
        merges=((0, 0, 1, 1),),
        headings=("名称", "户数"),
        geometries=np.array([shapely.Point(1, 2), None, shapely.box(0, 0, 1, 1)], dtype=object),
        unreadable=np.array([False, True, False]),
        crs="EPSG:4490",
    ),
    RawSheet(name=None, columns=()),
)
SOURCE = Source("vector", SHEETS, "0" * 64, "gb18030", True)


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good result."""
    monkeypatch.chdir(tmp_path)
    give(SOURCE, ("memory",))
    return tmp_path


def test_a_result_comes_back_as_it_was(handed: Path) -> None:
    source = take(handed)
    assert replace(source, sheets=()) == replace(SOURCE, sheets=(), protections=("memory",))
    first, second = source.sheets
    assert [column.texts().tolist() for column in first.columns] == [
        ["甲", "", "甲"],
        ["1", "2", "??"],
    ]
    assert first.merges == SHEETS[0].merges and first.headings == SHEETS[0].headings
    assert first.crs == "EPSG:4490" and first.name == "区县"
    assert first.geometries is not None and first.unreadable is not None
    assert shapely.equals(first.geometries, SHEETS[0].geometries).tolist() == [True, False, True]
    assert first.geometries[1] is None
    assert first.unreadable.tolist() == [False, True, False]
    assert second.height == 0


def test_a_problem_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    give_problem(ReadProblem("LAYER_NOT_FOUND", value="甲", layers="乙、丙"), ())
    with pytest.raises(ReadProblem) as raised:
        take(tmp_path)
    assert (raised.value.code, raised.value.value) == ("LAYER_NOT_FOUND", "甲")
    assert raised.value.params == {"layers": "乙、丙"}


def _change(path: Path, **values: Any) -> None:
    said = json.loads(path.read_text())
    for name, value in values.items():
        target: Any = said
        *way, last = name.split("__")
        for step in way:
            target = target[int(step) if step.isdecimal() else step]
        target[int(last) if last.isdecimal() else last] = value
    path.write_text(json.dumps(said))


LIES: dict[str, dict[str, Any]] = {
    "more rows": {"sheets__0__rows": 4},
    "fewer rows": {"sheets__0__rows": 2},
    "negative rows": {"sheets__0__rows": -1},
    "rows beyond all": {"sheets__0__rows": 10**18},
    "rows true": {"sheets__0__rows": True},
    "rows a text": {"sheets__0__rows": "3"},
    "words without bytes": {"sheets__0__columns__0__words": 10**9},
    "fewer words than codes": {"sheets__0__columns__0__words": 1},
    "more bytes": {"sheets__0__columns__0__bytes": 10**6},
    "columns missing": {"sheets__0__columns": []},
    "a column too many": {"sheets__0__columns": [{"words": 0, "bytes": 0}] * 3},
    "shapes longer": {"sheets__0__shapes": 10**6},
    "headings too few": {"sheets__0__headings": ["a"]},
    "merge of three": {"sheets__0__merges": [[1, 2, 3]]},
    "merge negative": {"sheets__0__merges": [[-1, 0, 0, 0]]},
    "unknown format": {"format": "pickle"},
    "no digest": {"sha256": "../../etc/passwd"},
    "sheets no list": {"sheets": {"0": {}}},
    "rows of nothing": {"sheets__1__rows": 5},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_sizes_is_noticed(handed: Path, lie: str) -> None:
    _change(handed / "result.json", **LIES[lie])
    with pytest.raises(ReadProblem) as raised:
        take(handed)
    assert raised.value.code == "FILE_READER_DIED"


@pytest.mark.parametrize(
    "spoil",
    ["cut arrays", "longer arrays", "no arrays", "link", "hard link", "pipe", "no result",
     "not json", "deep json", "long json", "codes", "offsets", "not utf-8", "not wkb"],
)  # fmt: skip
def test_a_spoilt_result_is_noticed(handed: Path, spoil: str) -> None:
    arrays, result = handed / "arrays.bin", handed / "result.json"
    data = bytearray(arrays.read_bytes())
    word = data.index("甲".encode())
    if spoil == "cut arrays":
        arrays.write_bytes(data[:-1])
    elif spoil == "longer arrays":
        arrays.write_bytes(data + b"x")
    elif spoil == "no arrays":
        arrays.unlink()
    elif spoil == "link":
        arrays.rename(handed / "other")
        arrays.symlink_to(handed / "other")
    elif spoil == "hard link":
        os.link(arrays, handed / "other")
    elif spoil == "pipe":
        arrays.unlink()
        os.mkfifo(arrays)
    elif spoil == "no result":
        result.unlink()
    elif spoil == "not json":
        result.write_text("{")
    elif spoil == "deep json":
        result.write_text("[" * 100_000)
    elif spoil == "long json":
        with result.open("ab") as stream:
            stream.truncate(17 << 20)
    else:
        at, new = {
            "codes": (0, b"\xff\xff\xff\xff"),
            "offsets": (word - 8, b"\xff" * 8),
            "not utf-8": (word, b"\xff"),
            "not wkb": (data.index(shapely.to_wkb(shapely.Point(1, 2))) + 1, b"\x63"),
        }[spoil]
        data[at : at + len(new)] = new
        arrays.write_bytes(data)
    with pytest.raises(ReadProblem) as raised:
        take(handed)
    assert raised.value.code == "FILE_READER_DIED"


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("EPSG:4490", "EPSG:4490"),
        ('GEOGCS["WGS 84",DATUM["x"]]', 'GEOGCS["WGS 84",DATUM["x"]]'),
        ('PROJCS["a",EXTENSION["PROJ4","+proj=merc +nadgrids=@null"]]', None),
        ('PROJCS["a",EXTENSION["PROJ4","+proj=merc +nadgrids=/etc/passwd"]]', UNNAMED_CRS),
        ('GEOGCS["a",PARAMETERFILE["Latitude offset file","/etc/passwd"]]', UNNAMED_CRS),
        ("+init=/etc/passwd:root", UNNAMED_CRS),
        ("http://127.0.0.1/crs", UNNAMED_CRS),
        ("/etc/passwd", UNNAMED_CRS),
        ('GEOGCS["' + "x" * 200_000, UNNAMED_CRS),
        ("gcj02", UNNAMED_CRS),
    ],
)
def test_only_plain_systems_reach_proj(handed: Path, said: str, taken: str | None) -> None:
    _change(handed / "result.json", sheets__0__crs=said)
    assert take(handed).sheets[0].crs == (said if taken is None else taken)


def test_a_problem_nobody_registered_is_not_believed() -> None:
    assert checked(ReadProblem("NO_SUCH_CODE")).code == "FILE_READER_DIED"
    assert checked(ReadProblem("FORMAT_UNKNOWN", nonsense=1)).code == "FILE_READER_DIED"
    assert checked(ReadProblem("FORMAT_UNKNOWN", value="x")).code == "FORMAT_UNKNOWN"
