# SPDX-License-Identifier: MIT
"""An error that an engine gives comes through: its status, its body, or as the last event of a stream."""
import json

import pytest

from support.engine import chunk
from support.relay import DONE, answers, chat, event, lines_of, metric, post, posts, sends, stream_body, token
from support.waiting import wait_for

VLLM = {"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}}
SGLANG = {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400}
LLAMA = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
ERRORS = {
    "vllm": (400, VLLM, [], "too long"),
    "vllm string": (401, {"error": "Unauthorized"}, [], "Unauthorized"),
    "sglang": (400, SGLANG, [], "too long"),
    "llama": (503, LLAMA, [("Retry-After", "3")], "Loading model"),
    "not found": (404, {"detail": "Not Found"}, [], "Not Found"),
    "throttled": (429, {"error": {"message": "slow down"}}, [("Retry-After", "7"), ("X-Should-Retry", "true")], "slow down"),
    "text": (500, b"Internal Server Error", [("X-Trace", "1")], "Internal Server Error"),
    "empty": (500, b"", [], ""),
    "teapot": (418, {"x": 1}, [], ""),
    "redirect": (307, b"", [("Location", "/elsewhere")], None),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_s_error_comes_through_as_it_is(engine, gateway, tmp_path, name, stream):
    status, body, headers, said = ERRORS[name]
    path = tmp_path / "access.jsonl"
    g = gateway(engine, access_log=str(path))
    engine.behaviour = answers(body, status, headers)
    response = post(g.port, chat(stream=stream))
    assert response.status == status and response.complete
    assert response.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
    for field, value in headers:
        assert response.header(field) == value
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert line["status"] == status
    assert line["reason"] == (None if said is None else f"engine_{status}: {said}")
    assert len(engine.requests) == 1, "an answer is never asked for again"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_s_reason_is_cut_between_characters(engine, gateway, tmp_path, stream):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, access_log=str(path))
    engine.behaviour = answers({"error": {"message": "\u00e9\u20ac\U0001f600" * 200}}, 500)
    post(g.port, chat(stream=stream))
    reason = wait_for(lambda: lines_of(path), "the access log")[0]["reason"]
    assert reason.startswith("engine_500: \u00e9") and "\ufffd" not in reason


FIRST_EVENTS = {
    "vllm": ({"error": {"message": "boom", "type": "InternalServerError", "param": None, "code": 500}}, 500),
    "bad request": (VLLM, 400),
    "sglang": ({"error": SGLANG}, 400),
    "llama": (LLAMA, 503),
    "no code": ({"error": {"message": "boom"}}, 502),
    "odd code": ({"error": {"message": "boom", "code": 17}}, 502),
    "word": ({"error": {"message": "boom", "code": "context_length_exceeded"}}, 502),
    "string": ({"error": "boom"}, 502),
}


@pytest.mark.parametrize("name", FIRST_EVENTS)
@pytest.mark.parametrize("after", [b"", DONE, token("x") + DONE])
def test_an_error_as_the_first_event_becomes_the_answer_s_status(engine, gateway, name, after):
    body, status = FIRST_EVENTS[name]
    g = gateway(engine)
    engine.behaviour = sends(b": ping\n\n", event(body), *[after] if after else [])
    response = stream_body(g.port)
    assert response.status == status and response.complete
    assert response.json() == body and response.header("content-type") == "application/json"
    assert response.header("content-length") == str(len(response.body))


def test_a_long_error_as_the_first_event_is_passed_on_whole(engine, gateway):
    body = {"error": {"message": "x" * 500000, "code": 400}}
    g = gateway(engine)
    engine.behaviour = sends(event(body))
    response = stream_body(g.port)
    assert response.status == 400 and response.json() == body


def test_an_error_as_the_first_event_counts_even_when_the_engine_then_drops_the_connection(engine, gateway):
    async def error_and_cut(request, reply):
        await reply.start_stream()
        await reply.event(VLLM)
        reply.keep = False

    g = gateway(engine)
    engine.behaviour = posts(error_and_cut)
    response = stream_body(g.port)
    assert response.status == 400 and response.json() == VLLM


@pytest.mark.parametrize("after", [b"", DONE, event({"error": {"message": "again"}}) + token("x") + DONE])
@pytest.mark.parametrize("cut", [False, True])
def test_an_error_in_the_middle_is_the_last_thing_that_is_said(engine, gateway, tmp_path, after, cut):
    path = tmp_path / "access.jsonl"

    async def fails(request, reply):
        await reply.start_stream()
        await reply.event(chunk("a"))
        await reply.event({"error": {"message": "boom", "type": "InternalServerError", "code": 500}})
        if after:
            await reply.piece(after)
        if cut:
            reply.keep = False
        else:
            await reply.finish()

    g = gateway(engine, access_log=str(path))
    engine.behaviour = posts(fails)
    response = stream_body(g.port)
    assert response.status == 200 and response.complete
    assert response.body == token("a") + event({"error": {"message": "boom", "type": "InternalServerError", "code": 500}})
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert line["reason"] == "engine_500: boom" and line["status"] == 200
    assert metric(g.port, "kvwarden_sse_stream_disconnect_total", reason="upstream_error") == 1
    assert metric(g.port, "kvwarden_requests_total", status="error") == 1
