# SPDX-License-Identifier: MIT
"""Events pass whole and unchanged however they are cut and ended; usage is asked for, counted and hidden."""
import json

import pytest

from support.engine import USAGE, chunk, well_behaved
from support.relay import (CHAT, DONE, chat, data_of, decided, event, finish, lines_of, post, posts, sends, stream_body,
                           token)
from support.waiting import wait_for
from support.wire import Connection, stream


def usage_chunk(usage=USAGE, **more):
    last = chunk(None, usage=usage, **more)
    last["choices"] = []
    return last


def once(engine, *pieces):
    engine.behaviour = sends(*pieces)


@pytest.fixture
def log(tmp_path):
    """The access log's only line."""
    path = tmp_path / "access.jsonl"

    def line(n=1):
        wait_for(lambda: len(lines_of(path)) >= n, "a line in the access log")
        return lines_of(path)[n - 1]
    line.path = path
    return line


WHOLE = event(chunk("")) + b": ping\n\n" + token("a") + token(" b") + finish() + DONE


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10000])
def test_a_stream_cut_anywhere_comes_out_the_same_bytes(engine, gateway, end, size):
    g = gateway(engine)
    sent = WHOLE.replace(b"\n", end)
    once(engine, *[sent[i:i + size] for i in range(0, len(sent), size)])
    response = stream_body(g.port)
    assert response.complete and response.body == sent


def test_mixed_line_ends_pass(engine, gateway):
    g = gateway(engine)
    sent = token("a")[:-2] + b"\r\n\n" + token("b")[:-2] + b"\n\r\n" + token("c")[:-2] + b"\r\r" + finish() + DONE
    once(engine, *[sent[i:i + 1] for i in range(len(sent))])
    assert stream_body(g.port).body == sent


def test_several_data_lines_are_one_event(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    half = json.dumps(chunk("a"), indent=1).replace("\n", "\ndata: ")
    sent = b"data: " + half.encode() + b"\n\n" + finish() + DONE
    once(engine, sent)
    assert stream_body(g.port).body == sent
    assert log()["completion_tokens"] == 1 and log()["ttft_ms"] is not None


def test_comments_before_the_first_event_and_between_do_no_harm(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    once(engine, b": ping\n\n", b":\n\n", token("a"), b": ping\n\n", finish(), b":x\n", DONE)
    response = stream_body(g.port)
    assert data_of(response.body)[0]["choices"][0]["delta"]["content"] == "a"
    assert response.body.endswith(DONE) and b": ping\n\n" in response.body
    assert log()["completion_tokens"] == 1


@pytest.mark.parametrize("mib", [1, 3])
def test_an_event_of_mebibytes_passes(engine, gateway, log, mib):
    g = gateway(engine, access_log=str(log.path))
    sent = [token("a"), token("x" * (mib << 20)), token("b"), finish(), event(usage_chunk()), DONE]
    once(engine, *sent)
    response = stream_body(g.port)
    assert response.complete and response.body == b"".join(sent[:4] + sent[5:])
    assert log()["completion_tokens"] == 3


def test_parts_of_a_giant_event_are_one_token(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    once(engine, token("a"), *[p for p in [token("x" * (2 << 20))]], token("b"), finish(), DONE)
    stream_body(g.port)
    assert log()["completion_tokens"] == 3


ANTHROPIC = b"".join(b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode()) for kind, more in [
    ("message_start", {"message": {"id": "m1", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("ping", {}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
    ("message_stop", {}),
])
RESPONSES = b"".join(b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode()) for kind, more in [
    ("response.created", {"response": {"id": "r1", "usage": None}}),
    ("response.output_text.delta", {"delta": "hi"}),
    ("response.completed", {"response": {"id": "r1", "usage": {"input_tokens": 9, "output_tokens": 4}}}),
])


@pytest.mark.parametrize("target, sent", [("/v1/messages", ANTHROPIC), ("/v1/responses", RESPONSES)])
def test_streams_of_other_protocols_pass_unchanged_and_are_counted(engine, gateway, log, target, sent):
    g = gateway(engine, access_log=str(log.path))
    once(engine, *[sent[i:i + 5] for i in range(0, len(sent), 5)])
    response = stream_body(g.port, target=target)
    assert response.complete and response.body == sent, "no [DONE] where the protocol has none"
    line = log()
    assert (line["prompt_tokens"], line["completion_tokens"], line["reason"]) == (9, 4, None)
    assert line["ttft_ms"] is not None


def test_a_stream_of_an_unknown_endpoint_ends_where_the_engine_ends_it(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    sent = event({"content": "a", "stop": False}) + event({"content": "", "stop": True})
    once(engine, sent)
    response = stream_body(g.port, target="/completion")
    assert response.complete and response.body == sent and log()["reason"] is None


@pytest.mark.parametrize("sent, comes", [
    ([token("a"), finish()], token("a") + finish() + DONE),
    ([token("a"), finish(), DONE], token("a") + finish() + DONE),
    ([token("a"), finish(), DONE[:-1]], token("a") + finish() + DONE),
    ([token("a"), finish(), DONE[:-2]], token("a") + finish() + DONE),
    ([token("a"), finish()[:-2], ], token("a") + finish() + DONE),
    ([token("a"), finish()[:-1], ], token("a") + finish() + DONE),
    ([token("a"), finish(), token("lost")[:30]], token("a") + finish() + DONE),
    ([token("a"), DONE], token("a") + DONE),
    ([token("a"), DONE, token("late"), DONE], token("a") + DONE),
    ([DONE], DONE),
    ([b"data:[DONE]\n\n"], b"data:[DONE]\n\n"),
])
def test_every_whole_stream_ends_with_one_done(engine, gateway, sent, comes):
    g = gateway(engine)
    once(engine, *sent)
    response = stream_body(g.port)
    assert response.complete and response.body == comes


def test_the_usage_chunk_is_hidden_from_who_did_not_ask(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    once(engine, token("a", usage=None), finish(), event(usage_chunk()), DONE)
    assert stream_body(g.port).body == token("a", usage=None) + finish() + DONE
    assert (log()["prompt_tokens"], log()["completion_tokens"]) == (7, 3)


def test_usage_inside_a_content_chunk_is_hidden_as_null(engine, gateway):
    g = gateway(engine)
    once(engine, token("a", usage=USAGE), finish(usage=USAGE), event(usage_chunk()), DONE)
    assert stream_body(g.port).body == token("a", usage=None) + finish(usage=None) + DONE


def test_usage_is_kept_for_who_asked(engine, gateway):
    g = gateway(engine)
    sent = token("a", usage=None) + finish(usage=USAGE) + event(usage_chunk()) + DONE
    once(engine, sent)
    assert stream_body(g.port, chat(stream=True, stream_options={"include_usage": True})).body == sent


def test_without_usage_the_chunks_are_counted(engine, gateway, log):
    g = gateway(engine, access_log=str(log.path))
    two = {"choices": [{"index": 0, "delta": {"content": "x"}}, {"index": 1, "delta": {"content": "y"}}]}
    once(engine, event(chunk("")), token("a"), token("b"), event(two), finish(), DONE)
    stream_body(g.port)
    assert log()["completion_tokens"] == 4


FIRST = {
    "content": ({"content": "a"}, True), "whitespace": ({"content": " "}, True), "newline": ({"content": "\n"}, True),
    "empty": ({"role": "assistant", "content": ""}, False), "null": ({"role": "assistant", "content": None}, False),
    "role alone": ({"role": "assistant"}, False), "nothing": ({}, False),
    "reasoning": ({"reasoning": "hm"}, True), "reasoning_content": ({"reasoning_content": "hm", "content": None}, True),
    "empty reasoning": ({"reasoning_content": "", "content": ""}, False),
    "tool call": ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, True),
    "no tool calls": ({"tool_calls": [], "content": ""}, False),
    "refusal": ({"refusal": "no"}, True),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_token_is_the_first_that_says_something(engine, gateway, name):
    """The engine waits behind the delta; another request, made meanwhile, marks that moment in the decision log."""
    delta, is_token = FIRST[name]
    go = engine.new_event()

    async def waits(request, reply):
        if not request.json().get("stream"):
            return await well_behaved(request, reply)
        await reply.start_stream()
        await reply.event({"choices": [{"index": 0, "delta": delta}]})
        await go.wait()
        await reply.event(chunk("rest"))
        await reply.event("[DONE]")
        await reply.finish()

    engine.behaviour = posts(waits)
    g = gateway(engine)
    c, response, events = stream(g.port, CHAT, chat(stream=True), {"X-Request-Id": "stream"})
    with c:
        seen = iter(events)
        next(seen)
        assert post(g.port, chat(), headers={"X-Request-Id": "mark"}).status == 200
        engine.on_loop(go.set)
        assert list(seen)[-1] == "[DONE]"
    decided(g, request="stream", event="finish")
    order = [d["request"] for d in g.decisions() if d["event"] == "first_token" or d.get("request") == "mark"]
    assert order.count("stream") == 1
    assert order.index("stream") == (0 if is_token else len(order) - 1)


def test_events_are_not_held_back(engine, gateway):
    """Each event is read by the client before the engine writes the next one."""
    go = [engine.new_event() for _ in range(20)]

    async def step_by_step(request, reply):
        await reply.start_stream()
        for i, e in enumerate(go):
            await reply.event(chunk(str(i)))
            await e.wait()
        await reply.event("[DONE]")
        await reply.finish()

    engine.behaviour = posts(step_by_step)
    g = gateway(engine)
    c, _, events = stream(g.port, CHAT, chat(stream=True))
    with c:
        seen = iter(events)
        for i, e in enumerate(go):
            assert json.loads(next(seen))["choices"][0]["delta"]["content"] == str(i)
            engine.on_loop(e.set)
        assert next(seen) == "[DONE]"


def test_http_1_0_gets_the_stream_until_the_close(engine, gateway):
    g = gateway(engine)
    once(engine, WHOLE)
    body = json.dumps(chat(stream=True))
    with Connection(g.port) as c:
        c.send(f"POST {CHAT} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        response = c.response()
        assert response.header("transfer-encoding") is None and response.body == WHOLE
