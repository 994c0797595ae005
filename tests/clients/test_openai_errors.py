# SPDX-License-Identifier: MIT
"""Each failure is the class that the OpenAI Python SDK has for it, and is retried when that can help."""
import datetime

import openai
import pytest

from support.engine import Engine, chunk
from support.waiting import wait_for

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
CREATE = "chat.completions.create"
KEYS = [{"id": "quiet", "api_keys": ["sk-quiet"]}]


def failure(sdk, expected, **more):
    with pytest.raises(expected) as raised:
        sdk.call(CREATE, **{**CHAT, **more})
    return raised.value


def test_a_wrong_key_is_an_authentication_error_and_not_tried_again(connect, engine, logged):
    program = logged(engine, tenants=KEYS)
    e = failure(connect("openai", program, api_key="sk-wrong", max_retries=2), openai.AuthenticationError)
    assert (e.status_code, e.code, e.type) == (401, "invalid_api_key", "invalid_request_error")
    assert len(program.lines(1)) == 1 and not engine.requests


def test_the_right_key_is_its_tenant(connect, engine, logged):
    program = logged(engine, tenants=KEYS)
    connect("openai", program, api_key="sk-quiet").call(CREATE, **CHAT)
    assert program.lines(1)[0]["tenant"] == "quiet"


def test_an_unknown_model_is_not_found(connect, engine, logged):
    program = logged(engine)
    e = failure(connect("openai", program), openai.NotFoundError, model="gpt-9")
    assert (e.code, e.param) == ("model_not_found", "model") and "gpt-9" in e.message
    line = program.lines(1)[0]
    assert (line["request_id"], line["status"], line["reason"]) == (e.request_id, 404, "model_not_found")


@pytest.mark.parametrize("wrong, code, param", [({"extra_body": {"stream": "yes"}}, "invalid_type", "stream"),
                                                ({"extra_body": {"max_tokens": "ten"}}, "invalid_type", "max_tokens"),
                                                ({"model": ""}, "missing_model", "model")])
def test_a_body_that_is_wrong_is_a_bad_request(connect, engine, gateway, wrong, code, param):
    e = failure(connect("openai", gateway(engine)), openai.BadRequestError, **wrong)
    assert (e.status_code, e.code, e.param) == (400, code, param)
    assert not engine.requests


def test_a_path_that_is_never_proxied_is_not_found(connect, engine, gateway):
    sdk = connect("openai", gateway(engine))
    with pytest.raises(openai.NotFoundError) as raised:
        sdk.call("post", path="../sleep", cast_to=object, body={"model": "m"})
    assert raised.value.status_code == 404 and not engine.requests


def test_a_tenant_over_its_rate_gets_a_rate_limit_error_that_says_when(connect, engine, gateway):
    sdk = connect("openai", gateway(engine, tenant_defaults={"rate_limit_rpm": 1, "rate_limit_burst": 1}))
    sdk.call(CREATE, **CHAT)
    e = failure(sdk, openai.RateLimitError)
    assert (e.code, e.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(e.response.headers["retry-after"]) <= 60
    assert 0 < int(e.response.headers["retry-after-ms"]) <= 60000
    assert e.response.headers["x-ratelimit-limit-requests"] == "1"
    assert e.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_who_is_refused_succeeds_by_the_sdks_own_retry(connect, engine, logged):
    """The SDK waits as long as retry-after-ms says: the first retry goes through."""
    program = logged(engine, tenant_defaults={"rate_limit_rpm": 60, "rate_limit_burst": 1})
    sdk = connect("openai", program, max_retries=2)
    calls, lines = 0, []
    while not any(line["status"] == 429 for line in lines):  # a slow machine may pass the limit's second between two calls
        sdk.call(CREATE, **CHAT)
        calls += 1
        lines = program.lines(calls)
    refused = next(n for n, line in enumerate(lines) if line["status"] == 429)
    again = program.lines(refused + 2)[refused + 1]
    assert (again["status"], again["client_retry_count"], again["tenant"]) == (200, 1, "default")
    assert lines[refused]["reason"] == "rate_limit_exceeded"
    then, now = (datetime.datetime.fromisoformat(line["ts"]) for line in (lines[refused], again))
    assert (now - then).total_seconds() > 0.3, "the SDK did not wait"


def test_a_wait_that_no_sdk_would_sit_out_is_not_tried_again(connect, engine, logged):
    program = logged(engine, tenant_defaults={"rate_limit_rpm": 0.1, "rate_limit_burst": 1})
    sdk = connect("openai", program, max_retries=2)
    sdk.call(CREATE, **CHAT)
    e = failure(sdk, openai.RateLimitError)
    assert e.response.headers["x-should-retry"] == "false" and float(e.response.headers["retry-after"]) > 60
    sdk.call("models.list")
    assert [line["status"] for line in program.lines(2)] == [200, 429]


def test_a_model_that_has_not_answered_yet_is_an_internal_server_error(connect, engine, gateway):
    async def loading(request, reply):
        await reply.json({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, status=503)

    engine.behaviour = loading
    e = failure(connect("openai", gateway(engine, ready=False)), openai.InternalServerError)
    assert (e.status_code, e.code) == (503, "model_loading")
    assert e.response.headers["retry-after"] == "2" and "x-should-retry" not in e.response.headers


def test_an_engine_that_is_gone_is_an_internal_server_error(connect, gateway):
    engine = Engine()
    program = gateway(engine)
    engine.stop()
    e = failure(connect("openai", program), openai.InternalServerError)
    assert (e.status_code, e.code) == (503, "engine_unavailable")


@pytest.mark.parametrize("status, expected", [(400, openai.BadRequestError), (403, openai.PermissionDeniedError),
                                              (409, openai.ConflictError), (422, openai.UnprocessableEntityError),
                                              (429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_the_engines_own_error_comes_through(connect, engine, gateway, status, expected):
    said = {"message": "the engine minds", "type": "OwnType", "param": "top_k", "code": "own_code"}

    async def minds(request, reply):
        await reply.json({"error": said}, status=status, headers=[("Retry-After", "7")])

    sdk = connect("openai", gateway(engine))
    engine.behaviour = minds
    for stream in (False, True):
        e = failure(sdk, expected, stream=stream)
        assert (e.status_code, e.body) == (status, said) and e.response.headers["retry-after"] == "7"


def test_an_error_as_the_first_event_of_a_stream_is_an_error_of_its_status(connect, engine, gateway):
    async def full(request, reply):
        await reply.start_stream()
        await reply.event({"error": {"message": "queue is full", "type": "overloaded", "param": None, "code": 503}})
        await reply.event("[DONE]")
        await reply.finish()

    sdk = connect("openai", gateway(engine))
    engine.behaviour = full
    e = failure(sdk, openai.InternalServerError, stream=True)
    assert e.status_code == 503 and "queue is full" in e.message


def test_an_engine_that_breaks_off_a_stream_is_an_api_error(connect, engine, gateway):
    async def breaks(request, reply):
        await reply.start_stream()
        await reply.event(chunk("one"))
        reply.cut()

    sdk = connect("openai", gateway(engine))
    engine.behaviour = breaks
    stream = sdk.call(CREATE, **CHAT, stream=True)
    assert sdk.next(stream).choices[0].delta.content == "one"
    with pytest.raises(openai.APIError) as raised:
        sdk.all(stream)
    assert raised.value.code == "bad_gateway"


def test_a_failure_behind_an_early_head_is_an_api_error(connect, engine, gateway):
    release = engine.new_event()

    async def fails_late(request, reply):
        await release.wait()
        await reply.json({"error": {"message": "out of memory", "type": "x", "param": None, "code": 500}}, status=500)

    sdk = connect("openai", gateway(engine, timeouts={"head_commit_after_s": 0.1}))
    engine.behaviour = fails_late
    stream = sdk.call(CREATE, **CHAT, stream=True)
    engine.on_loop(release.set)
    with pytest.raises(openai.APIError, match="out of memory"):
        sdk.all(stream)


def test_the_sdks_timeout_frees_the_engine(connect, engine, logged):
    never = engine.new_event()

    async def hangs(request, reply):
        await never.wait()

    program = logged(engine)
    engine.behaviour = hangs
    failure(connect("openai", program, timeout=0.3), openai.APITimeoutError)
    wait_for(lambda: engine.requests and engine.requests[0].left.is_set(), "the gateway closes the engine's connection")
    assert program.lines(1)[0]["reason"] == "client_disconnect"


def test_a_first_token_that_does_not_come_is_a_gateway_timeout(connect, engine, gateway):
    never = engine.new_event()

    async def hangs(request, reply):
        await never.wait()

    sdk = connect("openai", gateway(engine, timeouts={"first_token_s": 0.2}))
    engine.behaviour = hangs
    e = failure(sdk, openai.InternalServerError)
    assert (e.status_code, e.code) == (504, "engine_timeout")
    wait_for(engine.requests[0].left.is_set, "the gateway closes the engine's connection")
