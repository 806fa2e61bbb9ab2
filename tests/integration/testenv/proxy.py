"""An HTTP proxy that tunnels by CONNECT, or refuses to."""

import base64
import socket
import threading

from . import sandbox, web


class Proxy:
    """Connects to `target`, whatever it is asked for. `status`: answers that instead."""

    def __init__(self, address, target, port=3128):
        self.credentials = None  # "user:password" that clients must have
        self.status = None
        self.sources = []  # the addresses of the clients
        self._target = target
        self._closed = threading.Event()
        self._server = socket.create_server((address, port))
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        self._closed.set()
        self._thread.join(sandbox.WAIT)
        self._server.close()

    def _accept(self):
        while not self._closed.is_set():
            try:
                conn, peer = self._server.accept()
            except TimeoutError:
                continue
            self.sources.append(peer[0])
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _verdict(self, request):
        wanted = self.credentials and base64.b64encode(self.credentials.encode()).decode()
        if wanted and f"Proxy-Authorization: Basic {wanted}\r\n" not in request:
            return 407
        return self.status or 200

    def _serve(self, conn):
        with conn:
            request = b""
            while b"\r\n\r\n" not in request:
                data = conn.recv(65536)
                if not data:
                    return
                request += data
            status = self._verdict(request.decode("ascii"))
            length = "" if status == 200 else "Content-Length: 0\r\n"
            conn.sendall(f"HTTP/1.1 {status} so it is\r\n{length}\r\n".encode())
            if status == 200:
                with socket.create_connection(self._target) as upstream:
                    web.tunnel(conn, upstream)
