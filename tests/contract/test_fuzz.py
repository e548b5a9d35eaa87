"""A few of the random requests that `make fuzz` sends by the thousand."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("schemathesis", reason="pip install -e '.[dev]' brings schemathesis")


def test_random_requests_find_no_fault_and_a_living_server() -> None:
    command = [sys.executable, "-m", "tests.contract.fuzz", "--cases", "100", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server is alive; 0 kinds of faults" in done.stdout
    sent = re.search(r"^(\d+) requests in", done.stdout, re.MULTILINE)
    assert sent
    assert int(sent.group(1)) >= 100
    assert len(re.findall(r"^(?:GET|POST|DELETE) .*\b20[01]:", done.stdout, re.MULTILINE)) >= 15
