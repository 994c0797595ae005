# SPDX-License-Identifier: MIT
"""The OpenAI Python SDK talks to the simulated engine as to a real one, whatever it imitates."""
import openai
import pytest

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["vllm", "sglang", "llamacpp"])
def client(request, start):
    program = start("sim", "--port", 0, "--instant", "--instant-tokens", 5, "--personality", request.param)
    with openai.OpenAI(base_url=f"http://127.0.0.1:{program.port}/v1", api_key="unused", max_retries=0) as c:
        yield c


def test_chat(client):
    answer = client.chat.completions.create(model="llama31-8b", messages=MESSAGES, max_tokens=5)
    assert answer.choices[0].message.content and answer.usage.completion_tokens == 5


def test_chat_stream_with_usage(client):
    chunks = list(client.chat.completions.create(model="llama31-8b", messages=MESSAGES, max_tokens=5, stream=True,
                                                 stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage.completion_tokens == 5


def test_completion_stream(client):
    chunks = list(client.completions.create(model="llama31-8b", prompt="hi", max_tokens=5, stream=True))
    assert "".join(c.choices[0].text for c in chunks if c.choices)


def test_a_fault_before_the_answer_is_an_internal_error(client):
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="llama31-8b", messages=MESSAGES, extra_headers={"X-Sim-Fault": "error-before"})

