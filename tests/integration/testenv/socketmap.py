"""The socketmap protocol: a client, and a server with fixed answers."""

import socket
import threading

from . import sandbox


def netstring(payload):
    raw = payload.encode("utf-8") if isinstance(payload, str) else payload
    return str(len(raw)).encode("ascii") + b":" + raw + b","


class Client:
    """One connection; address is "inet:HOST:PORT" or "unix:PATH"."""

    def __init__(self, address, timeout=sandbox.WAIT):
        kind, _, rest = address.partition(":")
        if kind == "unix":
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(timeout)
            try:
                self._sock.connect(rest)
            except OSError:
                self._sock.close()
                raise
        else:
            host, _, port = rest.rpartition(":")
            self._sock = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._sock.close()

    def ask(self, key, name="postfix"):
        self.send(netstring(f"{name} {key}"))
        return self.reply()

    def send(self, raw):
        self._sock.sendall(raw)

    def reply(self):
        """The next reply, or None when the server has closed the connection."""
        while b":" not in self._buffer:
            if not self._fill():
                return None
        length, _, rest = self._buffer.partition(b":")
        size = int(length)
        while len(rest) < size + 1:
            if not self._fill():
                return None
            rest = self._buffer.partition(b":")[2]
        if rest[size:size + 1] != b",":
            raise AssertionError(f"not a netstring: {self._buffer[:200]!r}")
        self._buffer = rest[size + 1:]
        return rest[:size].decode("utf-8")

    def _fill(self):
        try:
            data = self._sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        return bool(data)


def ask(address, key, name="postfix", timeout=sandbox.WAIT):
    with Client(address, timeout) as client:
        return client.ask(key, name)


class FixedServer:
    """Answers from a table, and "NOTFOUND " for any other key. Stands in for mtastsd."""

    def __init__(self, address, answers=None):
        kind, _, rest = address.partition(":")
        if kind == "unix":
            self._server = socket.socket(socket.AF_UNIX)
            self._server.bind(rest)
            self._server.listen(64)
        else:
            host, _, port = rest.rpartition(":")
            self._server = socket.create_server((host, int(port)))
        self._answers = answers or {}
        self._connections = set()
        self._stopping = threading.Event()
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self):
        """Ends its connections too, as the end of a process would."""
        self._stopping.set()
        self._thread.join(sandbox.WAIT)
        self._server.close()
        for conn in list(self._connections):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed by the client meanwhile

    def _accept(self):
        while not self._stopping.is_set():
            try:
                conn, _ = self._server.accept()
            except TimeoutError:
                continue
            self._connections.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn, conn.makefile("rb") as stream:
            try:
                while length := self._length(stream):
                    key = stream.read(length).decode("utf-8", "replace").partition(" ")[2]
                    stream.read(1)
                    conn.sendall(netstring(self._answers.get(key, "NOTFOUND ")))
            except OSError:
                pass  # the client is gone
            self._connections.discard(conn)

    @staticmethod
    def _length(stream):
        digits = b""
        while (byte := stream.read(1)) not in (b"", b":"):
            digits += byte
        return int(digits or b"0")
