"""The pinned packages against the public list of known vulnerabilities."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("pins", ["requirements.txt", "requirements-dev.txt"])
def test_no_pin_has_a_known_vulnerability(pins: str) -> None:
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / pins),
        "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        pytest.skip(f"the list of vulnerabilities cannot be reached: {done.stderr[-300:]}")
    assert found, done.stderr
    if all("skip_reason" in package for package in found):
        pytest.skip(f"the list of vulnerabilities knows no package: {found[0]['skip_reason']}")
    known = {
        f"{package['name']} {package['version']}": [each["id"] for each in package["vulns"]]
        for package in found
        if package.get("vulns")
    }
    assert known == {}
