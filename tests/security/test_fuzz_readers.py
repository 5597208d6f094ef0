"""Readers on files nobody wrote: spoilt good ones of every format, and noise.

Whatever comes in, a read ends with a table or with a problem of the registry.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders.issues import CODES, make
from loaders.readers import read
from loaders.readers.problem import ReadProblem
from loaders.readers.suffix import ALLOWED
from loaders.sandbox.limits import Limits
from loaders.sandbox.run import PACKAGES, run
from tests.security.ods import ods

DATA = Path(__file__).parents[1] / "data" / "loaders"
ATTACKER = {"attacker": Path(__file__).parent / "attacker"}
TEXT = (
    "区划代码,名称,月份,户数\n131002101201,东关村,2026年10月,１２\n"
    "131002101202,西关村,2026年10月,7\n"
)


def _geo(kind: str) -> bytes:
    frame = gpd.GeoDataFrame(
        {"id": ["131002000000", "131003000000"], "名称": ["安次区", "广阳区"]},
        geometry=[shapely.box(116, 39, 116.5, 40), shapely.box(116.5, 39, 117, 40)],
        crs="EPSG:4490",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        if kind == "geojson":
            return frame.to_crs(4326).to_json(ensure_ascii=False).encode()
        frame.to_file(path, **({"encoding": "GB18030"} if kind == "shp" else {}))
        if kind == "gpkg":
            return path.read_bytes()
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for part in Path(folder).iterdir():
                archive.write(part, part.name)
        return stream.getvalue()


def _ods() -> bytes:
    cell = "<table:table-row><table:table-cell {}><text:p>{}</text:p></table:table-cell>"
    rows = (
        ("office:value-type='string'", "户数"),
        ("office:value-type='float' office:value='12'", 12),
    )
    return ods("".join(cell.format(*row) + "</table:table-row>" for row in rows))


SEEDS: list[tuple[str, bytes]] = [
    (".csv", TEXT.encode()),
    (".csv", TEXT.encode("gb18030")),
    (".tsv", TEXT.replace(",", "\t").encode("utf-16")),
    (".txt", TEXT.encode("utf-8-sig")),
    (".xlsx", (DATA / "adyliu_summary.xlsx").read_bytes()),
    (".xlsm", (DATA / "adyliu_summary.xlsx").read_bytes()),
    (".xls", (DATA / "2rintf_A0101a.xls").read_bytes()),
    (".xls", (DATA / "nbs_fensheng_2020di.xls").read_bytes()),
    (".ods", _ods()),
    (".gpkg", _geo("gpkg")),
    (".geojson", _geo("geojson")),
    (".json", _geo("geojson")),
    (".zip", _geo("shp")),
]


def test_there_is_a_seed_of_every_format() -> None:
    assert {suffix for suffix, _ in SEEDS} == ALLOWED.keys()


@pytest.mark.parametrize("at", range(len(SEEDS)))
def test_every_seed_is_read(at: int, tmp_path: Path) -> None:
    suffix, data = SEEDS[at]
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    assert read(path).sheets[0].height >= 1


def spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """A copy with some bytes changed, cut, repeated, moved, or parts of a zip repacked."""
    result = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not result:
            break
        at = int(rng.integers(0, len(result)))
        length = int(rng.integers(1, 1 + max(1, len(result) // 8)))
        match int(rng.integers(0, 7)):
            case 0:
                for place in rng.integers(0, len(result), int(rng.integers(1, 30))):
                    result[place] = int(rng.integers(0, 256))
            case 1:
                result[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
            case 2:
                del result[at : at + length]
            case 3:
                result[at:at] = result[at : at + length]
            case 4:
                result[at : at + 4] = rng.choice([0, 1, 2**31 - 1, 2**32 - 1]).tobytes()[:4]
            case 5:
                result[at:at] = rng.bytes(min(length, 64))
            case 6:
                del result[at:]
    return bytes(result)


def spoilt_inside(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip whose directory is sound and whose members are spoilt; other files as `spoilt`."""
    if not data.startswith(b"PK"):
        return spoilt(data, rng)
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        chosen = rng.integers(0, len(old.infolist()))
        for number, info in enumerate(old.infolist()):
            content = old.read(info)
            new.writestr(info.filename, spoilt(content, rng) if number == chosen else content)
    return stream.getvalue()


def _read(suffix: str, data: bytes) -> str:
    """The outcome of one read by way of the whole program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(data)
        try:
            read(path)
            return "read"
        except ReadProblem as problem:
            # The registry knows it and has words for it.
            return make(problem.code, value=problem.value, **problem.params).code


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(suffix=st.sampled_from(sorted(ALLOWED)), data=st.binary(max_size=2_000))
def test_noise(suffix: str, data: bytes) -> None:
    assert _read(suffix, data) in {"read", *CODES}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.sampled_from(SEEDS), random=st.integers(0, 2**32 - 1))
def test_spoilt_files(seed: tuple[str, bytes], random: int) -> None:
    suffix, data = seed
    assert _read(suffix, spoilt_inside(data, np.random.default_rng(random))) in {"read", *CODES}


def outcomes(files: list[tuple[str, bytes]]) -> list[str]:
    """What a reading process says of each file; shorter when one of them ended it."""
    with tempfile.TemporaryFile() as source:
        source.write(b"".join(data for _, data in files))
        source.seek(0)
        lengths = [(suffix, len(data)) for suffix, data in files]
        limits = Limits(cpu_s=300, wall_s=400)
        packages = {**PACKAGES, **ATTACKER}
        arguments = {"files": lengths}
        with run("attacker.fuzz:batch", arguments, source, limits, None, packages) as folder:
            lines = (folder / "outcomes").read_text().splitlines()
    return [json.loads(line) for line in lines]


def fuzz(count: int, random: int) -> None:
    """Spoil seeds ``count`` times; every file ends well, and by no error nobody foresaw."""
    rng = np.random.default_rng(random)
    groups: dict[str, list[tuple[str, bytes]]] = {}
    for number in range(count):
        suffix, data = SEEDS[number % len(SEEDS)]
        change = spoilt if number // len(SEEDS) % 2 else spoilt_inside
        groups.setdefault(suffix, []).append((suffix, change(data, rng)))
    for files in groups.values():
        try:
            found = outcomes(files)
        except ReadProblem as problem:
            # One of them ended the process, which is what the process is for: each on its own.
            assert problem.code in ("FILE_READER_DIED", "FILE_TOO_COSTLY")
            assert {_read(suffix, data) for suffix, data in files} <= {"read", *CODES}
            continue
        assert len(found) == len(files)
        assert [outcome for outcome in found if outcome.startswith("error")] == []
        assert {outcome.removeprefix("problem ") for outcome in found} <= {"read", *CODES}


@pytest.mark.slow
def test_many_spoilt_files() -> None:
    fuzz(78, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("random", range(2, 8))
def test_very_many_spoilt_files(random: int) -> None:
    fuzz(390, random)
