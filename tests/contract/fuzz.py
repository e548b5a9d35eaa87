"""Random requests, made from our own OpenAPI document by schemathesis and sent to a server process of our own.

`make fuzz` runs thousands of new ones; `test_fuzz.py` takes a few. What an answer must be: never a 5xx, within seconds,
described by the document, an OpenAI error if it is one, and without traces of our insides.
"""

import argparse
import itertools
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import MODEL, ServerProcess, running_server
from tests.contract.fuzz_bodies import FILES, NAMED, limit, mend_body
from tests.embedding_models import write_bert
from tests.lora import write_lora

ADMIN_KEY = "a-key-of-many-letters"
HANGS_AFTER = 30.0
"""Seconds."""
_ROUND = 1000
"""Requests after which it begins anew with the first endpoint, on what the server has stored since."""
_INSIDES = re.compile(r"Traceback|File \"|\.py\b|/(?:home|root|tmp|usr|work|var)/|site-packages|0x[0-9a-f]{8}|<class '")
_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
_WEIGHTS = {
    "POST /v1/chat/completions": 10, "POST /v1/responses": 10, "POST /v1/completions": 5, "POST /v1/grammar": 5,
    "POST /v1/embeddings": 3, "POST /v1/tokenize": 3, "POST /v1/runs": 3, "POST /v1/responses/input_tokens": 3,
}  # fmt: skip
_MAKES = {
    "POST /v1/responses": "response_id", "POST /v1/runs": "run_id", "POST /v1/files": "file_id",
    "POST /v1/fine_tuning/jobs": "job_id",
}  # fmt: skip
_TOOLS = '''
from server.tools import tool

@tool(effect="read", trust="trusted")
def look(at: str) -> str:
    """Look somewhere"""
    return at

@tool(effect="destructive")
def erase(name: str) -> str:
    """Erase something"""
    return name
'''


@dataclass
class Findings:
    """What came of the requests."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By operation."""
    faults: dict[str, str] = field(default_factory=dict)
    """A request for each kind of fault, as curl writes it, by what is wrong."""
    slowest: float = 0.0
    """Seconds."""

    @property
    def count(self) -> int:
        return sum(self.statuses.values())


class Fuzzer:
    """Sends requests to one server."""

    def __init__(self, url: str) -> None:
        self.findings = Findings()
        self._session = requests.Session()
        self._ids: dict[str, list[str]] = {name: ["none"] for name in _MAKES.values()}
        schema = schemathesis.openapi.from_dict(httpx.get(f"{url}/openapi.json").json())
        schema.config.update(base_url=url)
        schema.config.output.sanitization.update(enabled=False)
        operations = [result.ok() for result in schema.get_all_operations()]
        self._operations: list[APIOperation] = sorted(operations, key=lambda one: one.label.startswith("DELETE"))

    def run(self, cases: int, number: int) -> Findings:
        """`cases` requests or a few more, two thirds such as the document allows. `number`: the same gives the same."""
        with self._session:
            for place in itertools.count(number):
                left = cases - self.findings.count
                if left <= 0:
                    return self.findings
                self._take_round(min(left, _ROUND), place)
        raise AssertionError

    def _take_round(self, cases: int, number: int) -> None:
        weights = {operation: _WEIGHTS.get(operation.label, 1) for operation in self._operations}
        for index, (operation, weight) in enumerate(weights.items()):
            share = -(-cases * weight // sum(weights.values()))
            bad = share // 3
            for mode, many in ("positive", share - bad), ("negative", bad):
                if not many:
                    continue
                try:
                    self._try(operation, schemathesis.GenerationMode(mode), many, number * 1000 + index)
                except Unsatisfiable:  # what takes no parameters can't be asked wrongly
                    if mode == "positive":
                        raise

    def _try(self, operation: APIOperation, mode: schemathesis.GenerationMode, cases: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=cases,
            phases=[Phase.generate],
            database=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(mode), st.data())
        def ask(case: schemathesis.Case, data: st.DataObject) -> None:
            self._mend(case, data)
            self._send(case)

        ask()

    def _mend(self, case: schemathesis.Case, data: st.DataObject) -> None:
        """Let the request get further than its first name, and not take long."""
        for name, given_value in (case.path_parameters or {}).items():
            if data.draw(st.integers(0, 3)) < 3:
                known = self._ids.get(name) or NAMED.get(name) or [given_value]
                case.path_parameters[name] = data.draw(st.sampled_from(known))
        if re.search("/(adapters|tools)", case.path) and data.draw(st.integers(0, 7)) < 7:
            case.headers["authorization"] = f"Bearer {ADMIN_KEY}"
        if isinstance(case.body, dict) and case.media_type == "application/json":
            case.body = json.loads(json.dumps(case.body))
            if case.meta and case.meta.generation.mode.is_positive:
                mend_body(case.path, case.body, data, self._ids)
            limit(case.body)
        elif isinstance(case.body, dict) and "purpose" in case.body and data.draw(st.integers(0, 3)) < 3:
            case.body = {"purpose": "fine-tune", "file": data.draw(FILES)}

    def _send(self, case: schemathesis.Case) -> None:
        label = case.operation.label
        begin = time.monotonic()
        try:
            answer = case.call(session=self._session, timeout=HANGS_AFTER)
        except Exception as error:
            self._report(case, f"{label}: no answer: {type(error).__name__}: {error}")
            return
        self.findings.slowest = max(self.findings.slowest, time.monotonic() - begin)
        self.findings.statuses[label, answer.status_code] += 1
        text = answer.content.decode("utf-8", "replace")
        for fault in faults_of(answer.status_code, text, case):
            self._report(case, f"{label}: {fault}")
        try:
            case.validate_response(answer, checks=_CHECKS)
        except (Failure, FailureGroup) as failure:
            for one in getattr(failure, "exceptions", (failure,)):
                self._report(case, f"{label}: {answer.status_code}: {one.title}: {one.message[:300]}")
        self._remember(label, answer.status_code, text)

    def _remember(self, label: str, status: int, text: str) -> None:
        if label in _MAKES and status in (200, 201) and (made := re.search(r'"id": ?"([\w-]+)"', text)):
            self._ids[_MAKES[label]] = [*self._ids[_MAKES[label]][-3:], made.group(1)]

    def _report(self, case: schemathesis.Case, fault: str) -> None:
        kind = re.sub(r"[0-9a-f]{24,}", "…", fault)
        self.findings.faults.setdefault(kind, case.as_curl_command())


def faults_of(status: int, text: str, case: schemathesis.Case) -> Iterator[str]:
    """What no answer may be, whatever the document says."""
    if status >= 500 and status != 503:
        yield f"{status}: {text[:300]}"
    if status == 503 and "shutting_down" in text:
        yield "the server is going"
    sent = json.dumps(case.body, default=str) if isinstance(case.body, dict | list | str) else ""
    told = _INSIDES.search(text)
    if told and told.group() not in sent and "openapi" not in case.path:
        yield f"{status}: tells of our insides: {text[max(0, told.start() - 80) : told.end() + 80]}"
    errors = [text] if status >= 400 else [line[6:] for line in text.split("\n") if line.startswith('data: {"error"')]
    for error in errors:
        yield from _error_faults(error)


def _error_faults(text: str) -> Iterator[str]:
    try:
        error = json.loads(text)["error"]
        if set(error) != {"message", "type", "param", "code"} or not error["message"] or not error["type"]:
            yield f"an error of other keys: {text[:200]}"
        if error["code"] in ("server_error", "generation_failed"):
            yield f"a fault in a stream: {text[:200]}"
    except (ValueError, KeyError, TypeError):
        yield f"an error of another shape: {text[:200]}"


@contextmanager
def fuzzed_server(home: Path) -> Iterator[ServerProcess]:
    """Everything a server can have: adapters, tools of its own, an embedding model, an admin key."""
    (home / "adapters").mkdir()
    write_lora(home / "tuned.gguf", MODEL, 1)
    (home / "adapters" / "tuned.gguf").write_bytes((home / "tuned.gguf").read_bytes())
    (home / "tools.py").write_text(_TOOLS)
    bert = write_bert(home / "bert.gguf")
    with running_server(
        "--model", str(MODEL), "--model", f"bert={bert}", "--adapters", str(home / "adapters"),
        "--tools", str(home / "tools.py"), "--admin-key", ADMIN_KEY, "--home", str(home / "jobs"),
    ) as server:  # fmt: skip
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    given_ = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as server:
        begin = time.monotonic()
        findings = Fuzzer(server.url).run(given_.cases, given_.seed)
        alive = httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
        took = time.monotonic() - begin
    for label in sorted({label for label, _ in findings.statuses}):
        told = {status: n for (of, status), n in sorted(findings.statuses.items()) if of == label}
        print(f"{label:55} {told}")
    print(f"{findings.count} requests in {took:.0f} s (seed {given_.seed}), the slowest took {findings.slowest:.1f} s")
    print(f"the server is {'alive' if alive else 'DEAD'}; {len(findings.faults)} kinds of faults")
    for fault, curl in findings.faults.items():
        print(f"\n{fault}\n    {curl[:2000]}")
    sys.exit(bool(findings.faults) or not alive)


if __name__ == "__main__":
    main()
