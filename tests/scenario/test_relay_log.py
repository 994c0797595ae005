# SPDX-License-Identifier: MIT
"""The access log has one line for each request, with every field right; keys and bodies are not in it."""
import datetime
import time

import pytest

from support.engine import USAGE, chunk
from support.relay import (CHAT, DONE, answers, chat, event, finish, lines_of, metric, post, posts, sends, stream_body,
                           token)
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes

FIELDS = ["ts", "request_id", "tenant", "model", "path", "status", "stream", "prompt_tokens", "completion_tokens", "queue_ms",
          "ttft_ms", "duration_ms", "bytes_in", "bytes_out", "reason", "engine", "client_retry_count"]


@pytest.fixture
def logged(engine, gateway, tmp_path):
    """logged(**config) -> (gateway, lines); lines(n) waits for n lines."""
    path = tmp_path / "access.jsonl"

    def factory(**config):
        def lines(n=1):
            wait_for(lambda: len(lines_of(path)) >= n, f"{n} lines in the access log")
            found = lines_of(path)
            assert len(found) == n
            return found
        return gateway(engine, access_log=str(path), **config), lines
    return factory


def test_a_stream_s_line(engine, logged):
    go = engine.new_event()

    async def waits(request, reply):
        await reply.start_stream()
        await reply.event(chunk(""))
        await go.wait()
        await reply.piece(token("a") + token("b") + finish())
        last = chunk(None, usage=USAGE)
        last["choices"] = []
        await reply.piece(event(last) + DONE)
        await reply.finish()

    engine.behaviour = posts(waits)
    g, lines = logged()
    before = time.time()
    with Connection(g.port) as c:
        sent = request_bytes("POST", CHAT + "?secret=1", {"X-Request-Id": "r1", "X-Tenant-ID": "quiet", "Authorization": "Bearer sk-x",
                                                          "x-stainless-retry-count": "2"}, chat(stream=True, user="private"))
        c.send(sent)
        wait_for(lambda: engine.in_flight == 1, "the engine has it")
        time.sleep(0.2)
        engine.on_loop(go.set)
        body = c.response().body
    after = time.time()
    line = lines()[0]
    assert list(line) == FIELDS
    when = datetime.datetime.fromisoformat(line["ts"].replace("Z", "+00:00")).timestamp()
    assert before - 1 <= when <= after + 1
    assert line["request_id"] == "r1" and line["tenant"] == "quiet" and line["model"] == "m"
    assert line["path"] == CHAT and line["status"] == 200 and line["stream"] is True
    assert (line["prompt_tokens"], line["completion_tokens"]) == (7, 3)
    assert 0 <= line["queue_ms"] < 200 <= line["ttft_ms"] <= line["duration_ms"] <= (after - before) * 1000 + 1
    assert line["bytes_in"] == len(sent.partition(b"\r\n\r\n")[2]) and line["bytes_out"] == len(body)
    assert line["reason"] is None and line["engine"] == "openai" and line["client_retry_count"] == 2
    assert "private" not in str(line) and "sk-x" not in str(line)


def test_a_json_answer_s_line(engine, logged):
    g, lines = logged()
    response = post(g.port, chat())
    line = lines()[0]
    assert line["request_id"] == response.header("x-request-id") and line["tenant"] == "default"
    assert (line["status"], line["stream"], line["reason"]) == (200, False, None)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (7, 3)
    assert line["ttft_ms"] is None and line["bytes_out"] == len(response.body) and line["client_retry_count"] is None
    assert line["queue_ms"] is not None


def test_an_alias_is_logged_under_the_model_s_name(engine, logged):
    g, lines = logged(model={"model_id": "org/M", "short_name": "short"})
    post(g.port, {"model": "short"})
    assert lines()[0]["model"] == "org/M"


def test_tokens_that_nobody_told_are_null(engine, logged):
    g, lines = logged()
    engine.behaviour = answers({"choices": []})
    post(g.port, chat())
    line = lines()[0]
    assert line["prompt_tokens"] is None and line["completion_tokens"] is None


@pytest.mark.parametrize("method, target, body, status, reason", [
    ("POST", CHAT, b"{", 400, "invalid_json"), ("POST", CHAT, b'{"model":"m","model":1}', 400, "duplicate_key"),
    ("POST", CHAT, b'{"model":"x"}', 404, "model_not_found"), ("POST", "/sleep", b"{}", 404, "not_found"),
    ("GET", CHAT, None, 405, "method_not_allowed")])
def test_a_refusal_s_line(engine, logged, method, target, body, status, reason):
    g, lines = logged()
    ask(g.port, method, target, {"X-Tenant-ID": "t"}, body)
    line = lines()[0]
    assert (line["status"], line["reason"], line["path"]) == (status, reason, target)
    assert line["queue_ms"] is None and line["model"] is None and line["ttft_ms"] is None
    assert line["bytes_in"] == (len(body) if body and target == CHAT else 0)


def test_the_time_in_the_queue_is_told(engine, logged):
    go = engine.new_event()

    async def waits(request, reply):
        await go.wait()
        await reply.json({"choices": []})

    engine.behaviour = posts(waits)
    g, lines = logged(model={"max_in_flight": 1})
    with Connection(g.port) as a, Connection(g.port) as b:
        a.send(request_bytes("POST", CHAT, {"X-Request-Id": "a"}, chat()))
        wait_for(lambda: engine.in_flight == 1, "the engine has the first")
        b.send(request_bytes("POST", CHAT, {"X-Request-Id": "b"}, chat()))
        wait_for(lambda: metric(g.port, "kvwarden_queue_depth") == 1, "the second waits")
        time.sleep(0.3)
        engine.on_loop(go.set)
        a.response(), b.response()
    by_id = {d["request_id"]: d for d in lines(2)}
    assert by_id["a"]["queue_ms"] < 100 and by_id["b"]["queue_ms"] >= 300
    assert by_id["b"]["duration_ms"] >= by_id["b"]["queue_ms"]


def test_pages_are_not_logged_and_requests_are_counted(engine, logged):
    g, lines = logged()
    for target in ("/health", "/metrics", "/v1/models", "/kvwarden/status"):
        ask(g.port, "GET", target)
    post(g.port, chat())
    stream_body(g.port)
    assert len(lines(2)) == 2
    assert metric(g.port, "kvwarden_requests_total", status="ok") == 2
    assert metric(g.port, "kvwarden_tokens_input_total") == 14
    assert metric(g.port, "kvwarden_tokens_generated_total") == 6
    assert metric(g.port, "kvwarden_ttft_seconds_count") == 1
    assert metric(g.port, "kvwarden_request_latency_seconds_count") == 2


def test_an_engine_that_says_usage_twice_is_believed_once(engine, logged):
    g, lines = logged()
    running = [token("a", usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2, 3)]
    engine.behaviour = sends(*running, finish(usage={"prompt_tokens": 5, "completion_tokens": 4}), DONE)
    stream_body(g.port)
    assert (lines()[0]["prompt_tokens"], lines()[0]["completion_tokens"]) == (5, 4)
