# SPDX-License-Identifier: MIT
"""Requests and engines of the tests of tenants, limits, admission and operations.

HeldEngine keeps every request until the test lets it go, so a test decides in which order things
happen and never sleeps.
"""
import asyncio
import threading

from .engine import Engine, USAGE, chunk
from .waiting import wait_for
from .wire import Connection, ask, request_bytes

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def body(model="m", **more):
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


def headers(tenant=None, key=None, **more):
    h = dict(JSON)
    if tenant is not None:
        h["X-Tenant-ID"] = tenant
    if key is not None:
        h["Authorization"] = f"Bearer {key}"
    h.update({name.replace("_", "-"): value for name, value in more.items()})
    return h


def post(port, tenant=None, key=None, model="m", target=CHAT, more_headers=None, **fields):
    """One chat request on its own connection; returns the Response."""
    return ask(port, "POST", target, {**headers(tenant, key), **(more_headers or {})}, body(model, **fields))


def metrics(port):
    """{name: {(sorted label pairs): value}} of /metrics."""
    text = ask(port, "GET", "/metrics").body.decode()
    out = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        head, _, value = line.rpartition(" ")
        name, _, labels = head.partition("{")
        pairs = tuple(sorted(p.split("=", 1)[0] + "=" + p.split("=", 1)[1].strip('"')
                             for p in labels.rstrip("}").split(",") if p)) if labels else ()
        out.setdefault(name, {})[pairs] = float(value)
    return out


def metric(port, name, **labels):
    """The sum of the series of that name with those labels, whatever other labels they have."""
    wanted = {f"{k}={v}" for k, v in labels.items()}
    return sum(v for pairs, v in metrics(port).get(name, {}).items() if wanted <= set(pairs))


def status(port):
    return ask(port, "GET", "/kvwarden/status").json()


class HeldEngine(Engine):
    """Answers a request only when release() is called for it, in that order.

    What it has is in `work`: the marks (the JSON field "user", or the message) in order of arrival.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.open = {}  # mark -> asyncio.Event
        self.work = []
        self.free = False
        self.refuse_all = False  # connections end before an answer, probes too
        self.replies = []
        super().__init__(self._hold)

    async def _hold(self, request, reply):
        if self.refuse_all:
            reply.cut()
            return
        if request.method == "GET":
            await reply.json({"object": "list", "data": [{"id": "m"}, {"id": "other"}]})
            return
        value = request.json()
        mark = value.get("user", "?")
        go = asyncio.Event()
        with self.lock:
            self.open[mark] = go
            self.work.append(mark)
            if self.free:
                go.set()
        self.replies.append(reply)
        await go.wait()
        await self.answer(value, reply)

    async def answer(self, value, reply):
        if not value.get("stream"):
            await reply.json({"id": "c", "object": "chat.completion", "created": 1, "model": value["model"],
                              "choices": [{"index": 0, "finish_reason": "stop",
                                           "message": {"role": "assistant", "content": "hi"}}], "usage": USAGE})
            return
        await reply.start_stream()
        await reply.event(chunk("hi"))
        if (value.get("stream_options") or {}).get("include_usage"):
            await reply.event({**chunk(), "choices": [], "usage": USAGE})
        await reply.event("[DONE]")
        await reply.finish()

    def release(self, mark):
        wait_for(lambda: mark in self.open, f"{mark} reaches the engine")
        self.on_loop(self.open[mark].set)

    def release_all(self):
        """Everything it has, and everything that comes."""
        with self.lock:
            self.free = True
            for go in self.open.values():
                self.on_loop(go.set)

    def drop(self):
        """Cuts the connections of all that it works on."""
        for reply in self.replies:
            self.on_loop(reply.cut)

    def has(self, *marks):
        wait_for(lambda: set(marks) <= set(self.work), f"the engine has {marks}, it has {self.work}")


class Sender:
    """Sends requests without waiting for their answers; each is known by its mark."""

    def __init__(self, port):
        self.port = port
        self.connections = {}

    def send(self, mark, tenant=None, key=None, model="m", **fields):
        c = Connection(self.port)
        c.send(request_bytes("POST", CHAT, {**headers(tenant, key), "X-Request-ID": mark}, body(model, user=mark, **fields)))
        self.connections[mark] = c

    def send_in_order(self, *requests, waiting=0):
        """Each (mark, tenant, fields) is in the gateway's queue before the next one is sent."""
        for i, (mark, tenant, fields) in enumerate(requests):
            self.send(mark, tenant, **fields)
            self.queued(waiting + i + 1)

    def queued(self, n):
        wait_for(lambda: status(self.port)["admission"]["queue_depth"] == n, f"{n} requests wait")

    def answer(self, mark):
        return self.connections[mark].response()

    def leave(self, mark):
        self.connections.pop(mark).close()

    def close(self):
        for c in self.connections.values():
            c.close()
