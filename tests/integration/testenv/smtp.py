"""Mail servers that take everything and remember how it came."""

import socket
import ssl
import threading
from collections import namedtuple

from . import sandbox

# tls: the protocol's name or None; sni: the name the client asked for or None.
Delivery = namedtuple("Delivery", "recipients tls sni body")


class SmtpSink:
    """One server: a certificate, or None for a server without STARTTLS."""

    def __init__(self, address, name, certificate, port=25):
        self.address, self.name = address, name
        self._lock = threading.Lock()
        self._deliveries = []
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate.cert, certificate.key)
            self._context.sni_callback = _note_name
        self._stopping = threading.Event()
        self._server = socket.create_server((address, port))
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def limit_to(self, version):
        """TLS up to this version, whatever the system's policy says about it."""
        self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self._context.minimum_version = version
        self._context.maximum_version = version

    def deliveries(self, recipient):
        with self._lock:
            return [delivery for delivery in self._deliveries
                    if recipient in delivery.recipients]

    def stop(self):
        self._stopping.set()
        self._thread.join(sandbox.WAIT)
        self._server.close()

    def _accept(self):
        while not self._stopping.is_set():
            try:
                conn, _ = self._server.accept()
            except TimeoutError:
                continue
            session = _Session(conn, self.name, self._context, self._record)
            threading.Thread(target=session.run, daemon=True).start()

    def _record(self, delivery):
        with self._lock:
            self._deliveries.append(delivery)


def _note_name(tls_socket, name, _context):
    tls_socket.client_asked_for = name


class _Session:
    def __init__(self, conn, name, context, record):
        conn.settimeout(30)
        self._conn, self._name, self._context, self._record = conn, name, context, record
        self._stream = conn.makefile("rb")
        self._tls, self._sni = None, None
        self._recipients = []

    def run(self):
        try:
            self._say(f"220 {self._name} ESMTP")
            while line := self._stream.readline():
                if not self._command(line.decode("utf-8", "replace").strip()):
                    break
        except OSError:
            pass  # the client gave up, for instance over our certificate; ssl.SSLError too
        finally:
            self._stream.close()
            self._conn.close()

    def _command(self, line):
        """False ends the session."""
        verb = line.split(" ", 1)[0].upper()
        if verb in ("EHLO", "HELO"):
            starttls = self._context is not None and self._tls is None
            self._say(f"250-{self._name}\r\n250-8BITMIME" if verb == "EHLO" else
                      f"250-{self._name}")
            self._say("250-STARTTLS\r\n250 SIZE" if starttls else "250 SIZE")
        elif verb == "STARTTLS" and self._context is not None and self._tls is None:
            self._say("220 2.0.0 go ahead")
            self._start_tls()
        elif verb == "RCPT":
            self._recipients.append(line[line.find("<") + 1:line.rfind(">")].lower())
            self._say("250 2.1.5 ok")
        elif verb == "DATA":
            self._say("354 go on")
            self._take_message()
            self._say("250 2.0.0 taken")
        elif verb in ("MAIL", "RSET", "NOOP"):
            self._recipients = []
            self._say("250 2.0.0 ok")
        elif verb == "QUIT":
            self._say("221 2.0.0 bye")
            return False
        else:
            self._say("502 5.5.2 not here")
        return True

    def _start_tls(self):
        self._stream.close()
        self._conn = self._context.wrap_socket(self._conn, server_side=True)
        self._sni = getattr(self._conn, "client_asked_for", None)
        self._stream = self._conn.makefile("rb")
        self._tls = self._conn.version()

    def _take_message(self):
        lines = []
        while (line := self._stream.readline()) not in (b".\r\n", b""):
            lines.append(line)
        self._record(Delivery(tuple(self._recipients), self._tls, self._sni, b"".join(lines)))

    def _say(self, text):
        self._conn.sendall(text.encode("utf-8") + b"\r\n")
