# SPDX-License-Identifier: MIT
"""The OpenAI Python SDK through the gateway: what goes out is what it sent, what comes back is what the engine said."""
import asyncio
import base64
import json
import struct

import openai
import pytest

from support.engine import USAGE, chunk
from support.waiting import wait_for

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": MESSAGES, "max_tokens": 3}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "what it \u2014 says",
                                           "parameters": {"type": "object", "properties": {"city": {"type": "string"},
                                                                                           "n": {"type": "number", "minimum": 1.50}}}}}]


async def tool_call(request, reply):
    """A call of a tool, whole or in two pieces of its arguments."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "K\u00f6ln"}'}}
    if not request.json().get("stream"):
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        await reply.json({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE,
                          "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]})
        return
    await reply.start_stream()
    for piece in ('{"city": "K\u00f6', 'ln"}'):
        part = chunk()
        part["choices"][0]["delta"] = {"tool_calls": [{**call, "function": {"name": "weather", "arguments": piece}}]}
        await reply.event(part)
    await reply.event("[DONE]")
    await reply.finish()


def held(engine, events):
    """Streams so many tokens, then waits for the returned event (engine.on_loop(event.set)) before the rest."""
    release = engine.new_event()

    async def behaviour(request, reply):
        if request.method == "GET":
            await reply.json({"object": "list", "data": [{"id": "m"}]})
            return
        if events:
            await reply.start_stream()
        for n in range(events):
            await reply.event(chunk(f"t{n}"))
        await release.wait()
        if not events:
            await reply.start_stream()
        await reply.event(chunk("last"))
        await reply.event("[DONE]")
        await reply.finish()

    engine.behaviour = behaviour
    return release


def test_a_chat_answer_comes_back_and_the_body_went_out_byte_for_byte(connect, engine, gateway):
    sdk = connect("openai", gateway(engine))
    answer = sdk.call("chat.completions.create", **CHAT, temperature=0.25, user="\u00fcser", extra_body={"top_k": 40, "x": [1.0, None]})
    assert answer.choices[0].message.content == "one two three" and answer.usage.completion_tokens == 3
    assert engine.requests[0].body == sdk.sent[0]
    assert engine.requests[0].header("authorization") is None, "the client's key went to the engine"


def test_a_completion_comes_back(connect, engine, gateway):
    sdk = connect("openai", gateway(engine))
    answer = sdk.call("completions.create", model="m", prompt="hi", max_tokens=3)
    assert answer.choices[0].text == "one two three"
    assert engine.requests[0].body == sdk.sent[0]


@pytest.mark.parametrize("method", ["chat.completions.create", "completions.create"])
def test_a_stream_shows_no_usage_to_who_did_not_ask_yet_it_is_counted(connect, engine, logged, method):
    program = logged(engine)
    sdk = connect("openai", program)
    prompt = {"messages": MESSAGES} if "chat" in method else {"prompt": "hi"}
    chunks = sdk.all(sdk.call(method, model="m", stream=True, **prompt))
    assert [len(c.choices) for c in chunks] == [1, 1, 1] and all(c.usage is None for c in chunks)
    assert engine.requests[0].json() == {**json.loads(sdk.sent[0]), "stream_options": {"include_usage": True}}
    line = program.lines(1)[0]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (7, 3)


def test_a_stream_shows_usage_to_who_asked_for_it(connect, engine, gateway):
    sdk = connect("openai", gateway(engine))
    chunks = sdk.all(sdk.call("chat.completions.create", **CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content for c in chunks if c.choices) == "one two three"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 10
    assert engine.requests[0].body == sdk.sent[0]


def test_tools_reach_the_engine_as_written_and_its_call_comes_back(connect, engine, gateway):
    sdk = connect("openai", gateway(engine))
    engine.behaviour = tool_call
    answer = sdk.call("chat.completions.create", **CHAT, tools=TOOLS, tool_choice="auto")
    assert engine.requests[0].body == sdk.sent[0]
    call = answer.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("call_1", "weather", {"city": "K\u00f6ln"})


def test_a_streamed_tool_call_comes_back_whole_and_is_the_first_token(connect, engine, logged):
    program = logged(engine)
    sdk = connect("openai", program)
    engine.behaviour = tool_call
    chunks = sdk.all(sdk.call("chat.completions.create", **CHAT, tools=TOOLS, stream=True))
    arguments = "".join(c.choices[0].delta.tool_calls[0].function.arguments for c in chunks)
    assert json.loads(arguments) == {"city": "K\u00f6ln"}
    tools = json.dumps(TOOLS, ensure_ascii=False, separators=(",", ":")).encode()
    assert tools in sdk.sent[0] and tools in engine.requests[0].body
    assert program.lines(1)[0]["ttft_ms"] is not None


def test_embeddings_pass(connect, engine, gateway):
    async def embed(request, reply):
        data = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
        await reply.json({"object": "list", "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4},
                          "data": [{"object": "embedding", "index": 0, "embedding": data}]})

    sdk = connect("openai", gateway(engine))
    engine.behaviour = embed
    answer = sdk.call("embeddings.create", model="m", input=["a", "b"])
    assert answer.data[0].embedding == [0.5, -1.0] and answer.usage.prompt_tokens == 4
    assert engine.requests[0].target == "/v1/embeddings" and engine.requests[0].body == sdk.sent[0]


def test_models_are_listed(connect, engine, gateway):
    sdk = connect("openai", gateway(engine, model={"model_id": "org/Big", "short_name": "big"}))
    assert [m.id for m in sdk.all(sdk.call("models.list"))] == ["org/Big", "big"]
    assert sdk.call("models.retrieve", model="big").root == "org/Big"


def test_the_request_id_is_the_one_in_the_log_and_at_the_engine(connect, engine, logged):
    program = logged(engine)
    sdk = connect("openai", program)
    ours = sdk.call("chat.completions.create", **CHAT)._request_id
    theirs = sdk.call("chat.completions.create", **CHAT, extra_headers={"X-Request-ID": "run-17.4"})._request_id
    assert ours.startswith("kw-") and theirs == "run-17.4"
    assert [line["request_id"] for line in program.lines(2)] == [ours, theirs]
    assert [r.header("x-request-id") for r in engine.requests] == [ours, theirs]


def test_closing_a_stream_early_cancels_it_at_the_engine(connect, engine, logged):
    program = logged(engine)
    sdk = connect("openai", program)
    held(engine, 2)
    stream = sdk.call("chat.completions.create", **CHAT, stream=True)
    assert sdk.next(stream).choices[0].delta.content == "t0"
    sdk.close(stream)
    wait_for(engine.requests[0].left.is_set, "the gateway closes the engine's connection")
    line = program.lines(1)[0]
    assert (line["status"], line["reason"]) == (200, "client_disconnect")


def test_a_cancelled_task_cancels_its_request_at_the_engine(engine, logged):
    program = logged(engine)
    held(engine, 0)

    async def ask_and_cancel():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{program.port}/v1", api_key="unused", max_retries=0) as client:
            task = asyncio.ensure_future(client.chat.completions.create(**CHAT))
            await asyncio.to_thread(wait_for, lambda: engine.requests, "the engine has the request")
            task.cancel()
            await asyncio.to_thread(wait_for, engine.requests[0].left.is_set, "the gateway closes the engine's connection")

    asyncio.run(ask_and_cancel())
    line = program.lines(1)[0]
    assert (line["status"], line["reason"]) == (None, "client_disconnect")


def test_many_streams_at_once_each_get_their_own(engine, gateway):
    """Forty tasks over one client, more than the window lets in at once."""
    program = gateway(engine, model={"max_in_flight": 4})

    async def one(client, n):
        stream = await client.completions.create(model="m", prompt=f"p{n}", stream=True)
        return [c.choices[0].text async for c in stream]

    async def echo(request, reply):
        await reply.start_stream()
        for word in (request.json()["prompt"], "a", "b"):
            await reply.event(chunk(word, chat=False))
        await reply.event("[DONE]")
        await reply.finish()

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{program.port}/v1", api_key="unused", max_retries=0) as client:
            return await asyncio.gather(*(one(client, n) for n in range(40)))

    engine.behaviour = echo
    assert asyncio.run(ask()) == [[f"p{n}", "a", "b"] for n in range(40)]


def test_a_stream_that_waits_gets_its_head_and_comments_that_the_sdk_does_not_mind(connect, engine, gateway):
    sdk = connect("openai", gateway(engine, timeouts={"head_commit_after_s": 0.1, "keepalive_s": 0.1}))
    release = held(engine, 0)
    stream = sdk.call("chat.completions.create", **CHAT, stream=True)  # returns with the head: the engine has said nothing
    engine.on_loop(release.set)
    assert [c.choices[0].delta.content for c in sdk.all(stream)] == ["last"]
