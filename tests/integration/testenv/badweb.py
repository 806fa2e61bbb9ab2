"""A policy host that does after the handshake, or instead of it, what nginx never would.

What it does is the first label of the domain that it is asked for, unless somebody else chooses.
"""

import socket
import ssl
import threading
import time

BODY = b"version: STSv1\r\nmode: enforce\r\nmx: *.attacker.test\r\nmax_age: 604800\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
KNOWN_LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)


def _drip(conn, stopping):
    conn.sendall(HEAD + b"Content-Length: 600\r\n\r\n")
    while not stopping.is_set():
        conn.sendall(b"v")
        time.sleep(0.2)


def _silent(_, stopping):
    stopping.wait()


def _endless(piece, head=HEAD + b"\r\n"):
    def serve(conn, stopping):
        conn.sendall(head)
        while not stopping.is_set():
            conn.sendall(piece)
    return serve


def _says(raw):
    def serve(conn, _):
        conn.sendall(raw)
    return serve


def _reset(conn, _):
    conn.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:20])
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


BEHAVIOURS = {
    "drip": _drip,
    "silent": _silent,
    "reset": _reset,
    "endless-body": _endless(b"mx: x.attacker.test\r\n" * 100),
    "endless-chunks": _endless(b"1\r\nv\r\n" * 100, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "endless-headers": _endless(b"X-More: " + b"x" * 1000 + b"\r\n", HEAD),
    "endless-line": _endless(b"x" * 1000, HEAD + b"X-Long: "),
    "endless-100": _endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 10, b""),
    "short": _says(HEAD + b"Content-Length: 4000\r\n\r\n" + BODY),
    "huge": _says(HEAD + b"Content-Length: 99999999999\r\n\r\n" + BODY),
    "gzip": _says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY),
    "not-http": _says(b"220 mail.test ESMTP\r\n" + BODY),
    "no-status": _says(b"HTTP/1.1\r\n\r\n" + BODY),
    "two-lengths": _says(HEAD + b"Content-Length: 10\r\nContent-Length: %d\r\n\r\n" % len(BODY)
                         + BODY),
    "partial": _says(KNOWN_LENGTH.replace(b"200 OK", b"206 Partial Content") + BODY),
    "refresh": _says(KNOWN_LENGTH.replace(b"200 OK", b"302 Found\r\nLocation: /elsewhere.txt")
                     + BODY),
    "html": _says(KNOWN_LENGTH.replace(b"text/plain", b"text/html") + BODY),
    "nothing": _says(b""),
}
BEFORE_TLS = ("no-handshake", "plain-text")


class BadWeb:
    """One address; a thread for each connection."""

    def __init__(self, address, certificate, port=443, choose=lambda name: name.split(".")[1]):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert, certificate.key)
        self._context.sni_callback = self._note_name
        self._choose = choose
        self._names = {}
        self._stopping = threading.Event()
        self._server = socket.create_server((address, port), backlog=256)
        self._server.settimeout(0.2)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._stopping.set()
        self._server.close()

    def _note_name(self, conn, name, _):
        self._names[id(conn)] = name or ""

    def _accept(self):
        while not self._stopping.is_set():
            try:
                conn, _ = self._server.accept()
            except OSError:
                continue
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, raw):
        try:
            raw.settimeout(10)
            hello = raw.recv(4096, socket.MSG_PEEK)
            if b"no-handshake" in hello:
                self._stopping.wait()
            elif b"plain-text" in hello:
                raw.sendall(KNOWN_LENGTH + BODY)
            else:
                with self._context.wrap_socket(raw, server_side=True) as conn:
                    name = self._names.pop(id(conn), "")
                    conn.recv(4096)
                    BEHAVIOURS[self._choose(name)](conn, self._stopping)
        except (OSError, KeyError, IndexError):
            pass  # the client has gone, or was never meant
        finally:
            raw.close()
