# SPDX-License-Identifier: MIT
"""One JSON line for each request, with what happened to it and nothing secret."""
import json
import re

import pytest

from support.chat import CHAT, JSON, body, headers, metric, post
from support.engine import chunk, well_behaved
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes, stream

FIELDS = ["ts", "request_id", "tenant", "model", "path", "status", "stream", "prompt_tokens", "completion_tokens",
          "queue_ms", "ttft_ms", "duration_ms", "bytes_in", "bytes_out", "reason", "engine", "client_retry_count"]


@pytest.fixture
def logged(gateway, tmp_path):
    """logged(engine, ...) -> a gateway whose line(request_id) waits for that request's line."""
    path = tmp_path / "access.jsonl"

    def factory(engine, **config):
        g = gateway(engine, access_log=str(path), **config)

        def lines():
            return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        g.lines = lines
        g.line = lambda i: wait_for(lambda: [x for x in lines() if x["request_id"] == i], f"the line of {i}")[0]
        return g
    return factory


def named(i, **more):
    return {"X-Request-ID": i, **more}


def test_a_stream_is_one_line_with_every_field(engine, logged):
    g = logged(engine)
    r = post(g.port, tenant="t", stream=True, more_headers=named("s-1", **{"x-stainless-retry-count": "2"}))
    line = g.line("s-1")
    assert list(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
    assert {k: line[k] for k in FIELDS if k not in ("ts", "queue_ms", "ttft_ms", "duration_ms", "bytes_out")} == {
        "request_id": "s-1", "tenant": "t", "model": "m", "path": CHAT, "status": 200, "stream": True,
        "prompt_tokens": 7, "completion_tokens": 3, "bytes_in": len(json.dumps(body(stream=True))), "reason": None,
        "engine": "openai", "client_retry_count": 2}
    assert 0 <= line["queue_ms"] <= line["ttft_ms"] <= line["duration_ms"]
    assert line["bytes_out"] == len(r.body)


def test_a_json_answer_has_its_usage(engine, logged):
    g = logged(engine)
    post(g.port, more_headers=named("j"))
    line = g.line("j")
    assert (line["stream"], line["prompt_tokens"], line["completion_tokens"], line["ttft_ms"]) == (False, 7, 3, None)
    assert line["client_retry_count"] is None and line["tenant"] == "default"


def test_the_short_name_is_logged_as_the_model(engine, logged):
    g = logged(engine, models=[{"model_id": "org/Big", "engine": "openai", "endpoint": engine.url}])
    post(g.port, model="big", more_headers=named("b"))
    assert g.line("b")["model"] == "org/Big"


@pytest.mark.parametrize("how,status,reason", [
    (dict(model="nobody"), 404, "model_not_found"),
    (dict(max_tokens={}), 400, "invalid_type"),
    (dict(target="/sleep"), 404, "not_found"),
    (dict(tenant="a b"), 400, "invalid_tenant"),
])
def test_a_refusal_is_a_line_with_its_code(engine, logged, how, status, reason):
    g = logged(engine)
    assert post(g.port, more_headers=named("r"), **how).status == status
    line = g.line("r")
    assert (line["status"], line["reason"]) == (status, reason)
    assert line["queue_ms"] is None and line["prompt_tokens"] is None


def test_a_429_and_a_401_are_lines(engine, logged):
    g = logged(engine, tenants=[{"id": "q", "api_keys": ["sk-quiet-0123456789abcdef"], "rate_limit_rpm": 0.01,
                                 "rate_limit_burst": 1}])
    for i in ("a", "b"):
        post(g.port, key="sk-quiet-0123456789abcdef", more_headers=named(i))
    post(g.port, more_headers=named("c"))
    assert [(g.line(i)["status"], g.line(i)["reason"], g.line(i)["tenant"]) for i in "abc"] == [
        (200, None, "q"), (429, "rate_limit_exceeded", "q"), (401, "invalid_api_key", None)]


def test_an_engines_error_says_what_it_said(engine, logged):
    async def failing(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.json({"error": {"message": "prompt too long"}}, status=400)
    engine.behaviour = failing
    g = logged(engine)
    assert post(g.port, more_headers=named("e")).status == 400
    line = g.line("e")
    assert line["status"] == 400 and line["reason"] == "engine_400: prompt too long"


def test_an_engine_that_cannot_be_reached(engine, logged):
    async def cut(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        reply.cut()
    engine.behaviour = cut
    g = logged(engine)
    assert post(g.port, more_headers=named("x")).status == 502
    assert g.line("x")["reason"] == "bad_gateway"


def test_a_client_that_leaves_is_a_line_wherever_it_was(held, logged, sender):
    g = logged(held, model={"max_in_flight": 1})
    cs = []
    for i in ("runs", "waits"):
        c = Connection(g.port)
        c.send(request_bytes("POST", CHAT, {**headers("t"), "X-Request-ID": i}, body(user=i)))
        cs.append(c)
        if i == "runs":
            held.has("runs")
        else:
            sender(g.port).queued(1)
    cs[1].close()
    line = g.line("waits")
    assert (line["status"], line["reason"], line["queue_ms"]) == (None, "client_disconnect", None)
    cs[0].reset()
    line = g.line("runs")
    assert (line["status"], line["reason"]) == (None, "client_disconnect") and line["queue_ms"] is not None


def test_a_client_that_leaves_in_the_middle_of_a_stream(engine, logged):
    go = engine.new_event()

    async def slow(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        await reply.event(chunk("a"))
        await go.wait()
    engine.behaviour = slow
    g = logged(engine)
    c, _, events = stream(g.port, CHAT, body(stream=True), {**JSON, "X-Request-ID": "mid"})
    next(iter(events))
    c.close()
    line = g.line("mid")
    assert (line["status"], line["reason"], line["completion_tokens"]) == (200, "client_disconnect", 1)
    assert line["ttft_ms"] is not None


def test_text_of_clients_cannot_break_a_line(engine, logged):
    g = logged(engine)
    post(g.port, tenant='a"b\\c', more_headers=named("q"))
    assert g.line("q")["tenant"] == 'a"b\\c'
    post(g.port, model='x"\n\u2028' + "y" * 600, more_headers=named("long"))
    assert g.line("long")["status"] in (400, 404)
    assert all(set(x) == set(FIELDS) for x in g.lines())


def test_an_id_that_is_no_sane_one_is_replaced(engine, logged):
    g = logged(engine)
    r = post(g.port, more_headers={"X-Request-ID": "a b"})
    assert r.header("x-request-id").startswith("kw-")
    assert g.line(r.header("x-request-id"))["status"] == 200


def test_pages_are_no_requests(engine, logged):
    g = logged(engine)
    ask(g.port, "GET", "/metrics")
    post(g.port, more_headers=named("one"))
    g.line("one")
    assert len(g.lines()) == 1


def test_the_log_can_be_standard_output(start, engine, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"host": "127.0.0.1", "port": 0, "access_log": "-",
                                "models": [{"model_id": "m", "engine": "openai", "endpoint": engine.url}]}))
    g = start("serve", "--config", path)
    wait_for(lambda: ask(g.port, "GET", "/health").status == 200, "/health answers 200")
    post(g.port, more_headers=named("out"))
    wait_for(lambda: '"request_id":"out"' in g.log(), "the line is written")


def test_all_lines_are_written_before_the_end(engine, logged):
    g = logged(engine)
    for i in range(300):
        assert post(g.port, more_headers=named(f"n-{i}")).status == 200
    assert g.stop() == 0
    assert [x["request_id"] for x in g.lines()] == [f"n-{i}" for i in range(300)]


def test_a_log_that_cannot_be_written_stops_nobody_and_is_counted(engine, gateway):
    g = gateway(engine, access_log="/dev/full")
    for i in range(50):
        assert post(g.port).status == 200
    wait_for(lambda: metric(g.port, "kvwarden_access_log_dropped_total") > 0, "the loss is counted")
    assert g.stop() == 0
