# SPDX-License-Identifier: MIT
"""The simulated engine's faces: each answers as the engine that it imitates was seen to answer, and hostile as nobody should."""
import json
import re
import socket

import pytest

from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes, stream

JSON = {"Content-Type": "application/json"}
KEY = {**JSON, "Authorization": "Bearer k"}
REAL = ["vllm", "sglang", "llamacpp"]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
LIMIT = 256


def body(path, **more):
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"prompt": "hi"}
    return {"model": "llama31-8b", "max_tokens": 4, **prompt, **more}


@pytest.fixture
def face(start):
    """face("vllm", ...) -> Program of that personality; fast, with a short context."""
    return lambda who, *more: start("sim", "--port", 0, "--personality", who, "--speed", 100, "--max-model-len", LIMIT, *more)


def events(program, path, fault=None, **more):
    headers = {**JSON, **({"X-Sim-Fault": fault} if fault else {})}
    connection, response, items = stream(program.port, path, body(path, stream=True, **more), headers)
    with connection:
        assert response.status == 200
        return [json.loads(e) if e != "[DONE]" else e for e in items]


def test_a_key_opens_what_the_engine_keeps_closed(face):
    """/health is open everywhere, the models are not; metrics are closed at llama.cpp only."""
    for who in REAL:
        port = face(who, "--api-key", "k").port
        seen = {path: ask(port, "GET", path).status for path in ("/health", "/v1/models", "/metrics")}
        assert seen == {"/health": 200, "/v1/models": 401, "/metrics": 401 if who == "llamacpp" else 200}, who
        assert ask(port, "GET", "/v1/models", KEY).status == 200
        answer = ask(port, "POST", TEXT, JSON, body(TEXT))
        assert answer.status == 401
        assert (answer.json()["error"] == "Unauthorized") == (who != "llamacpp")


@pytest.mark.parametrize("who, health, head, wrong_method, nowhere", [
    ("vllm", b"", 405, 405, {"detail": "Not Found"}),
    ("sglang", b"", 405, 405, {"detail": "Not Found"}),
    ("llamacpp", b'{"status":"ok"}', 200, 404,
     {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}),
])
def test_pages_methods_and_unknown_paths(face, who, health, head, wrong_method, nowhere):
    port = face(who).port
    answer = ask(port, "GET", "/health")
    assert (answer.status, answer.body) == (200, health)
    assert answer.header("server") == ("llama.cpp" if who == "llamacpp" else "uvicorn")
    assert ask(port, "HEAD", "/health").status == head
    answer = ask(port, "GET", CHAT)
    assert (answer.status, answer.header("allow")) == (wrong_method, "POST" if wrong_method == 405 else None)
    assert ask(port, "GET", "/nowhere").json() == nowhere
    assert ask(port, "GET", "/version").status == (200 if who == "vllm" else 404)
    assert ask(port, "GET", "/v1/loads").status == (200 if who == "sglang" else 404)


def test_usage_beside_text_counts_that_text(face):
    """continuous_usage_stats: the chunk of the first token says 1. llama.cpp knows no such thing."""
    wanted = {"include_usage": True, "continuous_usage_stats": True}
    for who, counts in (("vllm", [0, 1, 2, 3, 4, 4]), ("sglang", [1, 2, 3, 4, 4]), ("llamacpp", [4])):
        seen = events(face(who), CHAT, stream_options=wanted)
        assert [e["usage"]["completion_tokens"] for e in seen if e != "[DONE]" and e.get("usage")] == counts, who


def test_llamacpp_gives_usage_of_completions_unasked(face):
    """It stands in the chunk with the finish_reason; there is no chunk without choices."""
    last, done = events(face("llamacpp"), TEXT)[-2:]
    assert done == "[DONE]"
    assert last["choices"][0]["finish_reason"] == "length" and last["choices"][0]["text"] == ""
    assert last["usage"]["completion_tokens"] == 4 and "timings" in last
    assert all(e == "[DONE]" or e["choices"] for e in events(face("llamacpp"), TEXT, stream_options={"include_usage": True}))


@pytest.mark.parametrize("who, texts", [("vllm", 4), ("sglang", 2), ("llamacpp", 2)])
def test_a_token_may_have_no_text(face, who, texts):
    """vLLM sends a chunk with "" for it, the others none: chunks are not tokens."""
    seen = events(face(who), CHAT, fault="silent-every=2", stream_options={"include_usage": True})
    contents = [e["choices"][0]["delta"].get("content") for e in seen if e != "[DONE]" and e["choices"]]
    assert sum(c is not None for c in contents) == texts + (who != "llamacpp")  # and the role's
    assert seen[-2]["usage"]["completion_tokens"] == 4
    plain = events(face(who), TEXT, fault="silent-every=2")
    assert len([e for e in plain if e != "[DONE]"]) == {"vllm": 4, "sglang": 4, "llamacpp": 3}[who]


def test_what_is_too_long_is_cut_or_refused(face):
    long_prompt = "abcd" * (LIMIT + 1)
    for who in REAL:
        port = face(who).port
        cut = ask(port, "POST", TEXT, JSON, body(TEXT, max_tokens=LIMIT))
        if who == "sglang":
            assert cut.status == 400 and "exceeds the model's maximum context length" in cut.json()["message"]
        else:
            assert cut.json()["usage"]["total_tokens"] == LIMIT, who
        assert ask(port, "POST", TEXT, JSON, body(TEXT, max_tokens=LIMIT + 1)).status == (200 if who == "llamacpp" else 400)
        refused = ask(port, "POST", TEXT, JSON, body(TEXT, prompt=long_prompt))
        assert refused.status == 400
        if who == "llamacpp":
            error = refused.json()["error"]
            assert (error["type"], error["n_prompt_tokens"], error["n_ctx"]) == ("exceed_context_size_error", LIMIT + 1, LIMIT)


def test_an_unknown_model(face):
    """vLLM refuses it, SGLang answers in its name, llama.cpp in its own."""
    other = body(TEXT, model="other")
    assert ask(face("vllm").port, "POST", TEXT, JSON, other).status == 404
    assert ask(face("sglang").port, "POST", TEXT, JSON, other).json()["model"] == "other"
    assert ask(face("llamacpp").port, "POST", TEXT, JSON, other).json()["model"] == "llama31-8b"


def test_the_head_comes_when_the_engine_would_send_it(face):
    """vLLM and SGLang answer 200 before the first token, llama.cpp with it: an early failure there is an error of its own."""
    for who in REAL:
        with Connection(face(who).port) as c:
            c.send(request_bytes("POST", CHAT, {**JSON, "X-Sim-Fault": "hang-after=0"}, body(CHAT, stream=True)))
            c.sock.settimeout(0.3)
            if who == "llamacpp":
                with pytest.raises(socket.timeout):
                    c.head()
            else:
                assert c.head().status == 200
    failed = ask(face("llamacpp").port, "POST", CHAT, {**JSON, "X-Sim-Fault": "error-in-stream@0"}, body(CHAT, stream=True))
    assert failed.status == 500 and failed.json()["error"]["type"] == "server_error"


def test_an_error_inside_a_stream(face):
    for who, done in (("vllm", True), ("sglang", True), ("llamacpp", False)):
        seen = events(face(who), CHAT, fault="error-in-stream@2")
        assert (seen[-1] == "[DONE]") == done, who
        assert seen[-2 if done else -1]["error"]["message"]


def raw_answer(port, path, fault=None, **more):
    with Connection(port) as c:
        headers = {**JSON, "Connection": "close", **({"X-Sim-Fault": fault} if fault else {})}
        c.send(request_bytes("POST", path, headers, body(path, **more)))
        response = c.head()
        return response, list(c.body_pieces(response))


def test_hostile_is_hostile(face):
    """Legal to the letter, and nothing that a hasty reader expects."""
    response, pieces = raw_answer(face("hostile").port, CHAT, stream=True)
    text = b"".join(pieces)
    assert response.header("content-type") == "Text/Event-Stream"
    assert {b"\r\n\r\nevent", b"\n\nevent", b"\r\revent"} <= set(re.findall(rb"(?:\r\n\r\n|\n\n|\r\r)event", text))
    assert any(p[-1] >= 0xC0 for p in pieces), "no write ends inside a character"
    assert not re.search(rb"data: ?\[DONE\]", text) and b'[DONE]"' in text
    assert max(len(p) for p in pieces) > 200000
    assert text.index(b'"role"') < text.index(b'"cont\\u0065nt" : "')
    assert b'"usage"' in text and response.complete
    data = [json.loads(line.removeprefix(b"data:")) for line in re.split(rb"\r\n|\n|\r", text) if line.startswith(b"data:")]
    assert [d["usage"]["completion_tokens"] for d in data] == [0, 1, 2, 3, 4, 4]
    assert all(d["choices"][0]["delta"]["content"] for d in data[1:5])


def test_errors_of_hostile_are_no_objects(face):
    program = face("hostile")
    response, pieces = raw_answer(program.port, CHAT, fault="error-before")
    assert response.header("content-type") == "text/html" and b"<html>" in b"".join(pieces)
    _, pieces = raw_answer(program.port, CHAT, fault="error-in-stream@1", stream=True)
    last = re.split(rb"\r\n|\n|\r", b"".join(pieces).rstrip())[-1]
    assert isinstance(json.loads(last.removeprefix(b"data:"))["error"], str)


def test_the_same_seed_gives_the_same_bytes(face):
    """Two processes, the same requests one after the other: equal but for the Date header."""
    def answers(seed):
        port = face("vllm", "--seed", seed).port
        return [b"".join(raw_answer(port, path, stream=s)[1]) for path in (CHAT, TEXT) for s in (True, False)]

    first = answers(7)
    assert first == answers(7)
    assert first != answers(8)


def test_the_hosts_cpu_merges_tokens_when_it_is_behind(start):
    """As vLLM's output collector does: fewer chunks than tokens, and all tokens come."""
    program = start("sim", "--port", 0, "--host-cpu", "a100", "--speed", 10)
    requests = [stream(program.port, TEXT, body(TEXT, stream=True, max_tokens=64, prompt=f"{i:04d}" * 4,
                                                stream_options={"include_usage": True}), JSON) for i in range(48)]
    chunks = 0
    for connection, _, items in requests:
        seen = [json.loads(e) for e in items if e != "[DONE]"]
        assert seen[-1]["usage"]["completion_tokens"] == 64
        chunks += sum(bool(e["choices"]) for e in seen)
        connection.close()
    assert chunks < 48 * 64 * 0.9


@pytest.mark.load
def test_real_time_and_virtual_time_agree(start, tmp_path):
    """One core under two clocks: what a replay says is what a client sees."""
    from support.program import run
    trace, out = tmp_path / "one.csv", tmp_path / "out.csv"
    trace.write_text("t_ms,tenant,prompt_tokens,max_tokens\n0,a,12,40\n")
    run("sim", "replay", trace, "--host-cpu", "none", "--out", out)
    virtual_ms = float(out.read_text().splitlines()[1].split(",")[5])
    program = start("sim", "--port", 0)
    import time
    began = time.monotonic()
    ask(program.port, "POST", TEXT, JSON, body(TEXT, prompt="abcd" * 12, max_tokens=40))
    assert (time.monotonic() - began) * 1000 == pytest.approx(virtual_ms, rel=0.1)


def test_exit_after_ends_the_process(start):
    program = start("sim", "--port", 0, "--speed", 100)
    raw_answer(program.port, TEXT, fault="exit-after=2", stream=True)
    assert program.wait() == 70


def test_a_slow_start_is_refused_and_then_503_at_sglang(start):
    program = start("sim", "--port", 0, "--personality", "sglang", "--startup-s", 0.9)
    statuses = []

    def ready():
        try:
            answer = ask(program.port, "GET", "/health")
        except ConnectionRefusedError:
            statuses.append("refused")
            return False
        assert answer.body == b""
        statuses.append(answer.status)
        return answer.status == 200

    wait_for(ready, "it is ready")
    assert sorted(set(map(str, statuses))) == ["200", "503", "refused"]
