# SPDX-License-Identifier: MIT
"""The Anthropic Python SDK through the gateway: /v1/messages passes, and errors have Anthropic's shape."""
import json

import anthropic
import pytest

from support.waiting import wait_for
from support.wire import Connection, request_bytes

MESSAGES = [{"role": "user", "content": "hi"}]
ASK = {"model": "m", "max_tokens": 3, "messages": MESSAGES}
CREATE = "messages.create"
USAGE = {"input_tokens": 7, "output_tokens": 3}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None,
                                          "usage": {"input_tokens": 7, "output_tokens": 0}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " two"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]


async def say(reply, event):
    await reply.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


async def messages(request, reply):
    """The endpoint as vLLM and llama-server have it."""
    if request.target.endswith("/count_tokens"):
        await reply.json({"input_tokens": 7})
    elif request.json().get("stream"):
        await reply.start_stream()
        for event in EVENTS:
            await say(reply, event)
        await reply.finish()
    else:
        await reply.json({**MESSAGE, "content": [{"type": "text", "text": "one two"}], "stop_reason": "end_turn", "usage": USAGE})


def failure(sdk, expected, **more):
    with pytest.raises(expected) as raised:
        sdk.call(CREATE, **{**ASK, **more})
    return raised.value


def test_a_message_comes_back_and_the_body_went_out_byte_for_byte(connect, engine, logged):
    program = logged(engine)
    sdk = connect("anthropic", program, api_key="sk-ant-secret")
    engine.behaviour = messages
    answer = sdk.call(CREATE, **ASK, system="br\u00e4f", extra_body={"top_k": 40})
    assert answer.content[0].text == "one two" and answer.usage.output_tokens == 3
    asked = engine.requests[0]
    assert asked.target == "/v1/messages" and asked.body == sdk.sent[0]
    assert asked.header("anthropic-version") == sdk.client.default_headers["anthropic-version"]
    assert asked.header("x-api-key") is None, "the client's key went to the engine"
    line = program.lines(1)[0]
    assert (line["prompt_tokens"], line["completion_tokens"], line["request_id"]) == (7, 3, answer._request_id)


def test_a_stream_comes_back_event_by_event_and_is_counted(connect, engine, logged):
    program = logged(engine)
    sdk = connect("anthropic", program)
    engine.behaviour = messages
    events = sdk.all(sdk.call(CREATE, **ASK, stream=True))
    assert [e.type for e in events] == [e["type"] for e in EVENTS if e["type"] != "ping"]
    assert "".join(e.delta.text for e in events if e.type == "content_block_delta") == "one two"
    assert engine.requests[0].body == sdk.sent[0]
    line = program.lines(1)[0]
    assert (line["status"], line["prompt_tokens"], line["completion_tokens"], line["reason"]) == (200, 7, 3, None)
    assert line["ttft_ms"] is not None


def test_tokens_are_counted_by_the_engine(connect, engine, gateway):
    sdk = connect("anthropic", gateway(engine))
    engine.behaviour = messages
    assert sdk.call("messages.count_tokens", model="m", messages=MESSAGES).input_tokens == 7
    assert engine.requests[0].target == "/v1/messages/count_tokens"


def test_closing_a_stream_early_cancels_it_at_the_engine(connect, engine, gateway):
    never = engine.new_event()

    async def begins(request, reply):
        await reply.start_stream()
        await say(reply, EVENTS[0])
        await never.wait()

    sdk = connect("anthropic", gateway(engine))
    engine.behaviour = begins
    stream = sdk.call(CREATE, **ASK, stream=True)
    assert sdk.next(stream).type == "message_start"
    sdk.close(stream)
    wait_for(engine.requests[0].left.is_set, "the gateway closes the engine's connection")


def test_its_key_names_the_tenant(connect, engine, logged):
    program = logged(engine, tenants=[{"id": "quiet", "api_keys": ["sk-ant-quiet"]}])
    engine.behaviour = messages
    e = failure(connect("anthropic", program, api_key="sk-ant-wrong"), anthropic.AuthenticationError)
    assert e.body["type"] == "error" and e.body["error"]["type"] == "authentication_error"
    connect("anthropic", program, api_key="sk-ant-quiet").call(CREATE, **ASK)
    assert [(line["status"], line["tenant"]) for line in program.lines(2)] == [(401, None), (200, "quiet")]


@pytest.mark.parametrize("wrong, expected, word", [({"model": "gpt-9"}, anthropic.NotFoundError, "not_found_error"),
                                                   ({"extra_body": {"stream": 1}}, anthropic.BadRequestError, "invalid_request_error")])
def test_a_wrong_request_is_refused_in_its_shape(connect, engine, gateway, wrong, expected, word):
    e = failure(connect("anthropic", gateway(engine)), expected, **wrong)
    assert set(e.body) == {"type", "error"} and e.body["error"]["type"] == word
    assert not engine.requests


def test_a_tenant_over_its_rate_gets_a_rate_limit_error(connect, engine, gateway):
    sdk = connect("anthropic", gateway(engine, tenant_defaults={"rate_limit_rpm": 1, "rate_limit_burst": 1}))
    engine.behaviour = messages
    sdk.call(CREATE, **ASK)
    e = failure(sdk, anthropic.RateLimitError)
    assert e.body["error"]["type"] == "rate_limit_error" and 0 < int(e.response.headers["retry-after"]) <= 60


def test_a_full_gateway_is_overloaded_as_anthropic_says_it(connect, engine, gateway):
    never = engine.new_event()

    async def hangs(request, reply):
        await never.wait()

    program = gateway(engine, max_concurrent=1, admission_queue_size=1)
    engine.behaviour = hangs
    with Connection(program.port) as at_the_engine, Connection(program.port) as queued:
        for n, c in enumerate((at_the_engine, queued)):
            c.send(request_bytes("POST", "/v1/messages", {}, ASK))
            wait_for(lambda: len([d for d in program.decisions() if d["event"] == "arrive"]) == n + 1, "it has arrived")
        e = failure(connect("anthropic", program), anthropic.APIStatusError)
    assert e.status_code == 529 and e.body["error"]["type"] == "overloaded_error"
    assert int(e.response.headers["retry-after"]) > 0


def test_the_engines_own_error_comes_through(connect, engine, gateway):
    async def minds(request, reply):
        await reply.json({"type": "error", "error": {"type": "invalid_request_error", "message": "the engine minds"}}, status=400)

    sdk = connect("anthropic", gateway(engine))
    engine.behaviour = minds
    assert failure(sdk, anthropic.BadRequestError).body["error"]["message"] == "the engine minds"


def test_an_engine_that_breaks_off_a_stream_is_an_error_event(connect, engine, gateway):
    async def breaks(request, reply):
        await reply.start_stream()
        for event in EVENTS[:4]:
            await say(reply, event)
        reply.cut()

    sdk = connect("anthropic", gateway(engine))
    engine.behaviour = breaks
    stream = sdk.call(CREATE, **ASK, stream=True)
    with pytest.raises(anthropic.APIStatusError) as raised:
        sdk.all(stream)
    assert raised.value.body["error"]["type"] == "api_error"
