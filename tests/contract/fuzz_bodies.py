"""What makes a random request of the fuzzer's a likely one.

Random data alone would seldom get past a model's name or an id, so these are mended in most requests, and most bodies
are likely ones with a few fields of the random one.
"""

import json
from typing import Any

from hypothesis import strategies as st

from tests.contract.matrix import CHAT, valid_cases
from tests.grammars.schemas import SCHEMAS

NAMED = {
    "name": ["tuned", "second", "trammel-tiny", "reports", "look", "drop_report"], "alias": ["flip"],
    "target": ["tuned", "trammel-tiny"],
    "file": ["tuned.gguf", "../tuned.gguf"],
}  # fmt: skip
_LINES = [
    b'{"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hello."}]}',
    b'{"messages": [{"role": "user", "content": "hello"}]}', b'{"messages": 5}', b"", b"{", b"\xff",
]  # fmt: skip
_NAMES = st.sampled_from(["f", "g", "get_weather"])
_PARAMETERS = SCHEMAS.map(lambda inner: {"type": "object", "properties": {"a": inner}, "required": ["a"]})
FILES = st.binary(max_size=50) | st.lists(st.sampled_from(_LINES), max_size=30).map(b"\n".join)
_CITY = {"name": "city", "in": "path", "required": True, "schema": {"type": "string"}}
_API = {
    "openapi": "3.1.0", "info": {"title": "Reports", "version": "1"}, "servers": [{"url": "http://127.0.0.1:9"}],
    "paths": {"/reports/{city}": {"delete": {
        "operationId": "drop_report", "summary": "Delete a report", "parameters": [_CITY],
        "responses": {"200": {"description": "Gone"}}}}},
}  # fmt: skip
_PROMPT = ("model", "messages", "tools")
_LIKELY: dict[str, list[dict[str, Any]]] = {}
_LIKELY["/v1/tools/sources"] = [{"name": "reports", "document": _API, "settings": {"internal": ["127.0.0.1:9"]}}]
_LIKELY["/v1/tools/{name}/call"] = _LIKELY["/v1/tools/{name}/request"] = [{"arguments": {"city": "Paris"}}]
for _case in valid_cases():
    _LIKELY.setdefault(_case.path, []).append(_case.body)
    if _case.path == CHAT:
        _LIKELY.setdefault("/v1/tokenize", []).append({k: v for k, v in _case.body.items() if k in _PROMPT})
        if _case.body.keys() & {"tools", "response_format"}:
            _LIKELY.setdefault("/v1/grammar", []).append(_case.body)


def mend_body(path: str, body: dict[str, Any], data: st.DataObject, ids: dict[str, list[str]]) -> None:
    """Names that exist, some fields of a likely request, schemas that are some."""
    draw = data.draw
    for name, known in NAMED.items():
        if isinstance(body.get(name), str):
            body[name] = draw(st.sampled_from(known))
    for name, kind in ("previous_response_id", "response_id"), ("training_file", "file_id"):
        if body.get(name) is not None:
            body[name] = draw(st.sampled_from(ids[kind]))
    likely = _LIKELY.get(path.removesuffix("/input_tokens").replace("/v1/runs", "/v1/chat/completions"))
    if likely and draw(st.integers(0, 4)) < 4:
        taken = json.loads(json.dumps(draw(st.sampled_from(likely))))
        for name in draw(st.lists(st.sampled_from(sorted(body)), max_size=3, unique=True)) if body else ():
            taken[name] = body[name]
        body.clear()
        body.update(taken)
    if "model" in body:
        models = ["bert"] if "embeddings" in path else ["trammel-tiny"] * 3 + ["tuned"]
        body["model"] = draw(st.sampled_from(models))
    for tool in body.get("tools") if isinstance(body.get("tools"), list) else ():
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(function, dict) and tool.get("type") == "function" and draw(st.booleans()):
            function["name"], function["parameters"] = draw(_NAMES), draw(_PARAMETERS)


def limit(body: dict[str, Any]) -> None:
    """A handful of tokens and seconds."""
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if isinstance(body.get(name), int) and body[name] > 16:
            body[name] %= 16
    most = "max_output_tokens" if body.keys() & {"input", "previous_response_id"} else "max_tokens"
    if body.get(most) is None:
        body[most] = 5
    for name in ("n", "best_of"):
        if isinstance(body.get(name), int) and body[name] > 3:
            body[name] = 3
    if isinstance(body.get("trammel"), dict):
        body["trammel"].update(max_steps=2, max_seconds=5.0)
