# SPDX-License-Identifier: MIT
"""A request's body reaches the engine byte for byte, less what must change; a bad one never does."""
import json

import pytest

from support.relay import CHAT, chat, metric, post, stream_body
from support.wire import Connection, request_bytes

MESSAGES = '"messages":[{"role":"user","content":"hi"}]'
EXACT = {
    "plain": '{"model":"m",' + MESSAGES + '}',
    "spaces": ' \n{ "model" :\t"m" ,\r\n ' + MESSAGES + ' } \n',
    "escapes": r'{"model":"m","messages":[{"role":"user","content":"a\u00e9\ud83d\ude00\/\n\t\"\\"}]}',
    "unicode": '{"model":"m","messages":[{"role":"user","content":"é😀\u2028"}]}',
    "numbers": '{"model":"m",' + MESSAGES + ',"seed":123456789012345678901234567890,"temperature":1.0e-0,"x":-0.0}',
    "model last": '{' + MESSAGES + ',"model":"m"}',
    "unknown keys": '{"model":"m",' + MESSAGES + r',"x-\u006dine":{"a":[1,{"b":null}]},"":0}',
    "escaped key": r'{"\u006dodel":"m",' + MESSAGES + '}',
    "escaped name": r'{"model":"\u006d",' + MESSAGES + '}',
    "stream false": '{"model":"m",' + MESSAGES + ',"stream":false,"stream_options":null}',
    "usage wanted": '{"model":"m",' + MESSAGES + ',"stream":true , "stream_options" : { "include_usage" : true }}',
    "usage and more": '{"stream":true,"stream_options":{"x":1,"include_usage":true,"continuous_usage_stats":true},"model":"m"}',
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("one_byte_at_a_time", [False, True])
def test_a_body_in_which_nothing_must_change_is_the_same_bytes(engine, gateway, name, one_byte_at_a_time):
    g = gateway(engine)
    body = EXACT[name].encode()
    with Connection(g.port) as c:
        for piece in [bytes([b]) for b in body] if one_byte_at_a_time else [body]:
            if one_byte_at_a_time and not c.__dict__.setdefault("head_sent", False):
                c.send(request_bytes("POST", CHAT, {"Content-Length": len(body)}))
                c.head_sent = True
            c.send(piece if one_byte_at_a_time else request_bytes("POST", CHAT, {}, piece))
        assert c.response().status == 200
    assert engine.requests[0].body == body


def test_a_chunked_body_goes_out_with_its_length_and_the_same_bytes(engine, gateway):
    g = gateway(engine)
    body = EXACT["spaces"].encode()
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {"Transfer-Encoding": "chunked"}))
        for i in range(0, len(body), 11):
            piece = body[i:i + 11]
            c.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        c.send("0\r\n\r\n")
        assert c.response().status == 200
    sent = engine.requests[0]
    assert sent.body == body and sent.header("content-length") == str(len(body))
    assert sent.header("transfer-encoding") is None


INJECTED = {
    "absent": ('{"model":"m","stream":true}', '{"stream_options":{"include_usage":true},"model":"m","stream":true}'),
    "null": ('{"model":"m","stream_options":null,"stream":true}',
             '{"model":"m","stream_options":{"include_usage":true},"stream":true}'),
    "empty": ('{"model":"m","stream":true,"stream_options":{ }}',
              '{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
    "false": ('{"model":"m","stream":true,"stream_options":{"include_usage": false }}',
              '{"model":"m","stream":true,"stream_options":{"include_usage": true }}'),
    "its null": ('{"model":"m","stream":true,"stream_options":{"a":1,"include_usage":null}}',
                 '{"model":"m","stream":true,"stream_options":{"a":1,"include_usage":true}}'),
    "others": ('{"model":"m","stream":true,"stream_options":{"continuous_usage_stats":false}}',
               '{"model":"m","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":false}}'),
    "before model": ('{ "stream_options":{}, "stream":true, "model":"m" }',
                     '{ "stream_options":{"include_usage":true}, "stream":true, "model":"m" }'),
    "escaped": (r'{"model":"m","stream":true,"stream\u005foptions":{"include\u005fusage":false}}',
                r'{"model":"m","stream":true,"stream\u005foptions":{"include\u005fusage":true}}'),
}


@pytest.mark.parametrize("name", INJECTED)
@pytest.mark.parametrize("target", [CHAT, "/v1/completions"])
def test_a_stream_asks_for_usage_whatever_the_client_said(engine, gateway, name, target):
    g = gateway(engine)
    asked, sent = (text.encode() for text in INJECTED[name])
    response = stream_body(g.port, asked, target)
    assert response.status == 200 and b"usage" not in response.body
    assert engine.requests[0].body == sent


def test_usage_is_asked_for_only_where_it_means_something(engine, gateway):
    g = gateway(engine)
    for target in ("/v1/messages", "/v1/responses", "/v1/anything"):
        stream_body(g.port, b'{"model":"m","stream":true}', target)
        assert engine.requests[-1].body == b'{"model":"m","stream":true}'


@pytest.mark.parametrize("name", ["chat", "org/Chat-7B"])
@pytest.mark.parametrize("stream", [False, True])
def test_another_name_of_the_model_is_replaced_and_nothing_else(engine, gateway, name, stream):
    async def lists_its_own_name(request, reply):
        if request.method == "GET":
            await reply.json({"object": "list", "data": [{"id": "/models/7b.gguf", "object": "model"}]})
        else:
            await reply.json({"choices": []})

    engine.behaviour = lists_its_own_name
    g = gateway(engine, model={"model_id": "org/Chat-7B", "short_name": "chat"})
    more = ', "stream":true,"stream_options":{"include_usage":true} ' if stream else ''
    body = '{ "x":"%s", "model" : "%s" ,"t":1.50%s}'
    assert post(g.port, (body % (name, name, more)).encode()).status == 200
    assert engine.requests[0].body == (body % (name, "/models/7b.gguf", more)).encode()


def test_a_name_that_waited_for_its_model_to_load_is_replaced_too(engine, gateway):
    ready = engine.new_event()

    async def loads(request, reply):
        if request.method == "GET":
            await ready.wait()
            await reply.json({"object": "list", "data": [{"id": "theirs", "object": "model"}]})
        else:
            await reply.json({"choices": []})

    engine.behaviour = loads
    g = gateway(engine, ready=False, model={"model_id": "org/M", "short_name": "short"}, while_loading="wait")
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, b'{"model":"short"}'))
        engine.on_loop(ready.set)
        assert c.response().status == 200
    assert engine.requests[0].body == b'{"model":"theirs"}'


REFUSED = {
    "duplicate": ('{"model":"m","model":"m"}', "model", "duplicate_key"),
    "escaped duplicate": (r'{"model":"m","\u006dodel":"x"}', "model", "duplicate_key"),
    "duplicate of no matter": ('{"model":"m","foo":1,"foo":1}', "foo", "duplicate_key"),
    "duplicate inside": ('{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}',
                         "stream_options.include_usage", "duplicate_key"),
    "model a number": ('{"model":1}', "model", "invalid_type"),
    "model null": ('{"model":null}', "model", "invalid_type"),
    "stream a string": ('{"model":"m","stream":"true"}', "stream", "invalid_type"),
    "stream a number": ('{"model":"m","stream":1}', "stream", "invalid_type"),
    "options a list": ('{"model":"m","stream_options":[]}', "stream_options", "invalid_type"),
    "usage a string": ('{"model":"m","stream_options":{"include_usage":"x"}}', "stream_options.include_usage", "invalid_type"),
    "max_tokens text": ('{"model":"m","max_tokens":"9"}', "max_tokens", "invalid_type"),
    "max_tokens half": ('{"model":"m","max_tokens":1.5}', "max_tokens", "invalid_type"),
    "n a list": ('{"model":"m","n":[1]}', "n", "invalid_type"),
    "no model": ('{"messages":[]}', "model", "missing_model"),
    "empty model": ('{"model":""}', "model", "missing_model"),
    "no object": ('["model"]', None, "invalid_request"),
    "no body": ('', None, "invalid_json"),
    "truncated": ('{"model":"m","messages":[', None, "invalid_json"),
    "trailing": ('{"model":"m"} x', None, "invalid_json"),
    "two values": ('{"model":"m"}{"model":"m"}', None, "invalid_json"),
    "comma": ('{"model":"m",}', None, "invalid_json"),
    "single quotes": ("{'model':'m'}", None, "invalid_json"),
    "leading zero": ('{"model":"m","n":01}', None, "invalid_json"),
    "nan": ('{"model":"m","temperature":NaN}', None, "invalid_json"),
    "control character": ('{"model":"m","x":"a\nb"}', None, "invalid_json"),
    "lone surrogate": (r'{"model":"m","x":"\ud800"}', None, "invalid_json"),
    "byte order mark": ('\ufeff{"model":"m"}', None, "invalid_json"),
    "too deep": ('{"model":"m","x":' + "[" * 100000 + "]" * 100000 + "}", None, "invalid_json"),
    "nul in model": (r'{"model":"m\u0000x"}', "model", "invalid_request"),
    "many keys": ('{"model":"m"' + "".join(f',"k{i}":0' for i in range(2000)) + "}", None, "invalid_request"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_body_is_400_that_names_the_key_and_never_reaches_the_engine(engine, gateway, name):
    g = gateway(engine)
    body, param, code = REFUSED[name]
    response = post(g.port, body.encode())
    assert response.status == 400
    error = response.error()
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error"), error
    assert param is None or param in error["message"], error
    assert response.header("x-should-retry") == "false"
    assert engine.requests == []


BAD_UTF8 = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"]


@pytest.mark.parametrize("bad", BAD_UTF8)
@pytest.mark.parametrize("where", [b'{"model":"m","x":"%s"}', b'{"model":"m","%s":1}', b'{"model":"%s"}'])
def test_bad_utf_8_is_400(engine, gateway, bad, where):
    g = gateway(engine)
    response = post(g.port, where % bad)
    assert response.status == 400 and response.error()["code"] == "invalid_json"
    assert engine.requests == []


def test_an_unknown_model_is_404_and_names_it(engine, gateway):
    response = post(gateway(engine).port, {"model": "other"})
    assert response.status == 404
    error = response.error()
    assert error["code"] == "model_not_found" and error["param"] == "model" and "'other'" in error["message"]
    assert engine.requests == []


def test_a_refused_body_leaves_the_connection_usable_when_it_was_read_whole(engine, gateway):
    g = gateway(engine)
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, {"model": "other"}))
        assert c.response().status == 404
        c.send(request_bytes("POST", CHAT, {}, chat()))
        assert c.response().status == 200


def test_n_choices_pass(engine, gateway):
    g = gateway(engine)
    assert post(g.port, chat(n=3, best_of=4)).status == 200
    assert json.loads(engine.requests[0].body)["n"] == 3


def test_refused_bodies_are_counted(engine, gateway):
    g = gateway(engine)
    post(g.port, b"{")
    post(g.port, {"model": "other"})
    assert metric(g.port, "kvwarden_rejects_total", reason="bad_request") == 1
    assert metric(g.port, "kvwarden_rejects_total", reason="model_not_found") == 1
