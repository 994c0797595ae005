# SPDX-License-Identifier: MIT
"""What the tests of the relay say often: requests, engines that follow a script, logs."""
import json

from .engine import chunk, well_behaved
from .waiting import wait_for
from .wire import Connection, ask, request_bytes

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


def chat(**more):
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}


def post(port, body, target=CHAT, headers=()):
    return ask(port, "POST", target, headers, body)


def event(value, end=b"\n\n"):
    """One event's bytes."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return b"data: " + text.encode() + end


def token(text="word", **more):
    return event(chunk(text, **more))


def finish(**more):
    """The chunk that ends a choice."""
    last = chunk(None, **more)
    last["choices"][0]["finish_reason"] = "stop"
    return event(last)


def posts(behaviour):
    """The behaviour for requests; health checks are answered as always."""
    async def either(request, reply):
        await (behaviour if request.method == "POST" else well_behaved)(request, reply)
    return either


def sends(*pieces, headers=()):
    """An engine that streams these pieces, each as one HTTP chunk, and ends properly."""
    async def behaviour(request, reply):
        await reply.start_stream(headers)
        for piece in pieces:
            await reply.piece(piece)
        await reply.finish()
    return posts(behaviour)


def answers(value, status=200, headers=()):
    async def behaviour(request, reply):
        await reply.json(value, status, headers)
    return posts(behaviour)


def says(data, cut=True):
    """An engine that sends these bytes, whatever they are, and then drops the connection."""
    async def behaviour(request, reply):
        await reply.raw(data)
        if cut:
            reply.keep = False
    return posts(behaviour)


def stream_body(port, body=None, target=CHAT, headers=()):
    """Asks for a stream and returns (response with its whole body)."""
    with Connection(port) as c:
        c.send(request_bytes("POST", target, headers, body or chat(stream=True)))
        return c.response()


def data_of(body):
    """The data of each event of a stream that uses LF, parsed where it is JSON."""
    found = []
    for block in body.split(b"\n\n"):
        lines = [line[6:] for line in block.split(b"\n") if line.startswith(b"data: ")]
        if lines:
            text = b"\n".join(lines)
            found.append(text.decode() if text == b"[DONE]" else json.loads(text))
    return found


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def decided(gateway, n=1, **fields):
    """Waits for n lines of the decision log that have these fields (it is written behind the gateway's back)."""
    def found():
        return [d for d in gateway.decisions() if all(d.get(k) == v for k, v in fields.items())]
    wait_for(lambda: len(found()) >= n, f"{n} decisions with {fields}")
    return found()


def metric(port, name, **labels):
    """The sum of a metric's series that have these labels."""
    total = 0
    for line in ask(port, "GET", "/metrics").body.decode().splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
            total += float(value)
    return total
