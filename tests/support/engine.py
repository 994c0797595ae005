# SPDX-License-Identifier: MIT
"""A stand-in engine that records every byte it gets and answers as the test says.

It runs an asyncio loop on a thread.  A test replaces `engine.behaviour`, an async function of
(request, reply), or uses one of those below.  What the gateway sent stands in engine.requests.
"""
import asyncio
import json
import socket
import threading


class Request:
    def __init__(self, number, raw_head, connection_number, used_before):
        self.number = number
        self.raw_head = raw_head
        self.connection_number = connection_number
        self.used_before = used_before  # not the first request on its connection
        first, *rest = raw_head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in rest)]
        self.body = b""
        self.left = threading.Event()  # the gateway closed this connection while we worked

    def header(self, name):
        values = [v for n, v in self.headers if n == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Reply:
    """What a behaviour writes with; ends of lines and framing are the behaviour's own choice."""

    def __init__(self, writer):
        self.writer = writer
        self.chunked = False
        self.keep = True

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, value, status=200, headers=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        extra = "".join(f"{n}: {v}\r\n" for n, v in headers)
        await self.raw(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                       f"{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def start_stream(self, headers=()):
        self.chunked = True
        extra = "".join(f"{n}: {v}\r\n" for n, v in headers)
        await self.raw(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{extra}"
                       "Transfer-Encoding: chunked\r\n\r\n".encode())

    async def piece(self, data):
        """One HTTP chunk."""
        await self.raw(b"%x\r\n" % len(data) + data + b"\r\n")

    async def event(self, value, end=b"\n\n"):
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        await self.piece(b"data: " + text.encode() + end)

    async def finish(self):
        await self.raw(b"0\r\n\r\n")

    def cut(self):
        """Closes the connection in the middle of what was being sent."""
        self.keep = False
        self.writer.transport.abort()


def chunk(content=None, chat=True, **more):
    """One chat (or completion) chunk in the engines' shape."""
    choice = {"index": 0, "finish_reason": None}
    if chat:
        choice["delta"] = {} if content is None else {"content": content}
    else:
        choice["text"] = content or ""
    return {"id": "c1", "object": "chat.completion.chunk" if chat else "text_completion", "created": 1,
            "model": "m", "choices": [choice], **more}


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


async def well_behaved(request, reply):
    """Answers chat and completions, stream and JSON, with three tokens; usage only when asked."""
    if request.method == "GET":
        await reply.json({"object": "list", "data": [{"id": "m", "object": "model"}]})
        return
    body = request.json()
    chat = "chat" in request.target
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": "stop"}
        choice.update({"message": {"role": "assistant", "content": "one two three"}} if chat else {"text": "one two three"})
        await reply.json({"id": "c1", "object": "chat.completion" if chat else "text_completion", "created": 1,
                          "model": body["model"], "choices": [choice], "usage": USAGE})
        return
    await reply.start_stream()
    for word in ("one", " two", " three"):
        await reply.event(chunk(word, chat))
    if (body.get("stream_options") or {}).get("include_usage"):
        last = chunk(None, chat, usage=USAGE)
        last["choices"] = []
        await reply.event(last)
    await reply.event("[DONE]")
    await reply.finish()


class Engine:
    def __init__(self, behaviour=well_behaved, port=0):
        # SO_REUSEADDR: an earlier test's connections that linger are no obstacle.  OSError when it is taken.
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.behaviour = behaviour
        self.requests = []  # those with a body, in the order their heads came; health checks are in .gets
        self.gets = []
        self.in_flight = 0
        self.connections = 0
        self.accepting = True
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def on_loop(self, call, *args):
        """For behaviours that wait on an asyncio.Event made by new_event()."""
        self._loop.call_soon_threadsafe(call, *args)

    def new_event(self):
        async def make():
            return asyncio.Event()
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def stop(self):
        self.on_loop(self._loop.stop)
        self._thread.join()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket, backlog=2048))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        used = False
        try:
            while True:
                request = await self._read(reader, number, used)
                used = True
                if not await self._answer(request, reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader, number, used):
        head = await reader.readuntil(b"\r\n\r\n")
        request = Request(len(self.requests), head, number, used)
        length = request.header("content-length")
        if length is not None:
            request.body = await reader.readexactly(int(length))
        elif (request.header("transfer-encoding") or "") == "chunked":
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                request.body += await reader.readexactly(size)
                await reader.readexactly(2)
                if size == 0:
                    break
        (self.gets if request.method in ("GET", "HEAD") else self.requests).append(request)
        return request

    async def _answer(self, request, reader, writer):
        """Runs the behaviour while it watches for the gateway leaving; True: keep the connection."""
        reply = Reply(writer)
        counted = request.method == "POST"
        self.in_flight += counted
        work = asyncio.ensure_future(self.behaviour(request, reply))
        watch = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                # a reset is a way to leave too: what the gateway had not read yet makes its close one
                assert isinstance(watch.exception(), ConnectionError) or watch.result() == b"", "the gateway pipelines"
                request.left.set()
                work.cancel()
                return False
            if isinstance(work.exception(), ConnectionError):
                request.left.set()
            work.result()
            if watch.done():
                return False
            watch.cancel()
            try:
                await watch
            except asyncio.CancelledError:
                pass
            return reply.keep
        finally:
            self.in_flight -= counted
            watch.cancel()
