# SPDX-License-Identifier: MIT
"""Clients as their users run them, in front of a gateway with a stand-in engine."""
import asyncio
import functools
import inspect
import json

import anthropic
import httpx2
import openai
import pytest

from support.waiting import wait_for


class Calls:
    """An SDK's client, called in the same way whether it is the synchronous one or the other.

    sent holds the body of every request as it left the SDK, retries included.
    """

    def __init__(self, kind, asynchronous, program, **options):
        self.loop = asyncio.new_event_loop() if asynchronous else None
        self.sent = []

        async def note_async(request):
            self.sent.append(request.content)

        http = (httpx2.AsyncClient(event_hooks={"request": [note_async]}) if asynchronous
                else httpx2.Client(event_hooks={"request": [lambda request: self.sent.append(request.content)]}))
        module = {"openai": openai, "anthropic": anthropic}[kind]
        name = ("Async" if asynchronous else "") + {"openai": "OpenAI", "anthropic": "Anthropic"}[kind]
        base = f"http://127.0.0.1:{program.port}" + ("/v1" if kind == "openai" else "")
        self.client = getattr(module, name)(**{"base_url": base, "api_key": "unused", "max_retries": 0,
                                               "http_client": http, **options})

    def run(self, value):
        return self.loop.run_until_complete(value) if inspect.isawaitable(value) else value

    def call(self, method, **arguments):
        """call("chat.completions.create", model=...): the answer, or a stream for next() and close()."""
        return self.run(functools.reduce(getattr, method.split("."), self.client)(**arguments))

    def next(self, stream):
        return self.run(anext(stream.__aiter__()) if self.loop else next(iter(stream)))

    def all(self, stream):
        async def collect():
            return [item async for item in stream]
        return self.run(collect()) if self.loop else list(stream)

    def close(self, stream):
        self.run(stream.close())

    def finish(self):
        self.run(self.client.close())
        if self.loop:
            self.loop.close()


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """connect("openai" or "anthropic", program, **options of the client) -> Calls; each test runs with both clients."""
    made = []

    def factory(kind, program, **options):
        made.append(Calls(kind, request.param == "async", program, **options))
        return made[-1]

    yield factory
    for calls in made:
        calls.finish()


@pytest.fixture
def logged(gateway, tmp_path):
    """logged(engine, **config) -> a gateway with an access log; program.lines(n) waits for its first n lines."""
    made = 0

    def factory(*args, **config):
        nonlocal made
        made += 1
        log = tmp_path / f"access-{made}.jsonl"
        program = gateway(*args, access_log=str(log), **config)
        written = lambda: log.read_text().splitlines()  # noqa: E731
        program.lines = lambda n: [json.loads(line) for line in
                                   wait_for(lambda: len(written()) >= n and written(), f"{n} lines in the access log")]
        return program

    return factory
