# SPDX-License-Identifier: MIT
"""HTTP/1.1 at the level of bytes, for tests that must send what no library would."""
import json
import socket
import struct

from .waiting import PATIENCE_S


class Response:
    """A parsed answer.  headers is a list of (lower-case name, value) in the order they came."""

    def __init__(self, status, reason, headers):
        self.status, self.reason, self.headers = status, reason, headers
        self.body = b""
        self.complete = False  # the framing said that the body is whole

    def header(self, name):
        """The only value of a header, or None; a repeated header is an error of the test."""
        values = [v for n, v in self.headers if n == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The error object, checked for the shape that every error of the API has."""
        error = self.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}, error
        assert self.header("content-type").startswith("application/json")
        return error

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Connection:
    """A client's TCP (or Unix) connection.  Every read has a deadline."""

    def __init__(self, port, host="127.0.0.1", unix=None):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE_S)
            self.sock.connect(str(unix))
        else:
            self.sock = socket.create_connection((host, port), timeout=PATIENCE_S)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def fill(self):
        """Reads once; False at the end of the stream (or a reset)."""
        if self.eof:
            return False
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.eof = not piece
        self.pending += piece
        return bool(piece)

    def take_until(self, mark):
        while mark not in self.pending:
            if not self.fill():
                raise EOFError(f"closed before {mark!r}; so far {self.pending[:300]!r}")
        data, _, self.pending = self.pending.partition(mark)
        return data

    def take(self, n):
        while len(self.pending) < n:
            if not self.fill():
                raise EOFError(f"closed {n - len(self.pending)} bytes early")
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def closed_by_peer(self):
        """Waits for the end of the stream and returns what still came before it."""
        while self.fill():
            pass
        return self.pending

    def head(self):
        """Reads one response head.  100 Continue is a head too."""
        first, *rest = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *reason = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in rest)]
        return Response(int(status), reason[0] if reason else "", headers)

    def body_pieces(self, response, method="POST"):
        """Yields the body piece by piece as the framing gives it; sets response.complete at its end."""
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            response.complete = True
        elif (response.header("transfer-encoding") or "").lower() == "chunked":
            while True:
                try:
                    size = int(self.take_until(b"\r\n").split(b";")[0], 16)
                    piece = self.take(size)
                    assert self.take(2) == b"\r\n", "a chunk does not end in CR LF"
                except EOFError:
                    return
                if size == 0:
                    response.complete = True
                    return
                yield piece
        elif response.header("content-length") is not None:
            yield self.take(int(response.header("content-length")))
            response.complete = True
        else:
            while self.pending or self.fill():
                piece, self.pending = self.pending, b""
                yield piece
            response.complete = True

    def response(self, method="POST"):
        response = self.head()
        for piece in self.body_pieces(response, method):
            response.body += piece
        return response

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def request_bytes(method, target, headers=(), body=None, host="test"):
    """A plain request.  A body that is no bytes is written as JSON; Content-Length is added."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in dict(headers).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def ask(port, method, target, headers=(), body=None):
    """One request on its own connection."""
    with Connection(port) as c:
        c.send(request_bytes(method, target, headers, body))
        return c.response(method)


class Events:
    """Server-sent events of a response, as they come: iterate for the data of each."""

    def __init__(self, connection, response):
        self.response = response
        self.comments = []
        self._pieces = connection.body_pieces(response)

    def __iter__(self):
        buffer = b""
        for piece in self._pieces:
            buffer += piece
            while b"\n\n" in buffer:
                block, _, buffer = buffer.partition(b"\n\n")
                data = []
                for line in block.split(b"\n"):
                    if line.startswith(b":"):
                        self.comments.append(line)
                    elif line.startswith(b"data:"):
                        data.append(line[5:].removeprefix(b" "))
                    else:
                        assert line.startswith(b"event:"), f"unexpected line {line!r}"
                if data:
                    yield b"\n".join(data).decode()
        assert not buffer.strip(), f"an event was cut: {buffer!r}"


def stream(port, target, body, headers=()):
    """Sends a request and returns (connection, response, events); the caller closes the connection."""
    c = Connection(port)
    c.send(request_bytes("POST", target, headers, body))
    response = c.head()
    return c, response, Events(c, response)
