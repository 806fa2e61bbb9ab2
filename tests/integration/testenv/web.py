"""nginx as policy server for many domains, and a policy host that hangs.

A server block belongs to one domain and is chosen by SNI; a client without SNI, or with the name
of nobody here, gets no handshake.
"""

import os
import signal
import socket
import threading

from . import sandbox


def policy_text(*mx, mode="enforce", max_age=604800):
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx),
             f"max_age: {max_age}"]
    return "".join(line + "\r\n" for line in lines)


class PolicyServer:
    """publish() before start() or apply(); replace() changes a policy's text at once."""

    def __init__(self, directory, authority, address="127.0.0.1", port=443):
        for name in ("www", "tmp"):
            os.makedirs(os.path.join(directory, name))
        self.address, self.port = address, port
        self._authority = authority
        self._directory = directory
        self._nginx = sandbox.program("nginx", "nginx-light")
        self._config = os.path.join(directory, "nginx.conf")
        self._access = os.path.join(directory, "access.log")
        self._sync = os.path.join(directory, "sync.sock")
        self._hosts = {}
        self._syncs = 0
        self._child = None

    def publish(self, domain, text, status=200, media_type="text/plain", certificate=None,
                location=None, host=None):
        """A status other than 200 comes with the same body, 3xx leads to `location` without.

        The text is at /elsewhere.txt of the host as well, always with status 200. `host` is the
        policy host unless said.
        """
        certificate = certificate or self._authority.issue("mta-sts." + domain)
        self.replace(domain, text)
        if status == 200:
            answer = f'default_type "{media_type}"; alias {self._file(domain)};'
        elif 300 <= status < 400:
            answer = f"return {status} {location};"
        else:
            answer = f"default_type \"{media_type}\"; return {status} '{text}';"
        self._hosts[domain] = (certificate, answer, host or "mta-sts." + domain)

    def replace(self, domain, text):
        sandbox.write(self._file(domain), text)

    def withdraw(self, domain):
        self._hosts.pop(domain, None)

    def apply(self):
        """Restarted, not reloaded: with the old process gone nothing can answer from the past."""
        self.stop()
        self._write_config()
        self._child = sandbox.Child("nginx", [self._nginx, "-c", self._config, "-e",
                                              os.path.join(self._directory, "error.log")],
                                    os.path.join(self._directory, "log"))
        self._child.wait_until(self._accepts, "accepts connections")

    def stop(self):
        if self._child is not None:
            child, self._child = self._child, None
            child.stop(signal.SIGTERM)
            if os.path.exists(self._sync):
                os.unlink(self._sync)

    def requests(self, domain):
        """The status of every request for a domain's policy so far, oldest first."""
        self._flush()
        return [int(line.split()[1]) for line in sandbox.read(self._access).splitlines()
                if line.split()[0] == "mta-sts." + domain]

    def _file(self, domain):
        return os.path.join(self._directory, "www", domain)

    def _accepts(self):
        try:
            socket.create_connection((self.address, self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def _flush(self):
        """The one worker writes its log in order: our own request comes after all before it."""
        if self._child is None:
            return
        self._syncs += 1
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(sandbox.WAIT)
            sock.connect(self._sync)
            sock.sendall(f"GET /{self._syncs} HTTP/1.0\r\nHost: sync\r\n\r\n".encode())
            while sock.recv(4096):
                pass
        sandbox.wait_for(lambda: f"/{self._syncs} HTTP" in sandbox.read(self._access),
                         "nginx's access log")

    def _write_config(self):
        blocks = "".join(self._block(domain, *host) for domain, host in self._hosts.items())
        inside = self._directory
        temporary = "".join(f"    {name}_temp_path {inside}/tmp;\n"
                            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        sandbox.write(self._config, f"""\
daemon off;
user root;
worker_processes 1;
pid {inside}/nginx.pid;
error_log {inside}/error.log;
events {{ worker_connections 1024; }}
http {{
{temporary}\
    log_format policy '$host $status "$request"';
    access_log {self._access} policy;
    server_names_hash_bucket_size 128;
    server {{
        listen unix:{self._sync};
        return 204;
    }}
    server {{
        listen {self.address}:{self.port} ssl default_server backlog=1024;
        ssl_reject_handshake on;
    }}
{blocks}}}
""")

    def _block(self, domain, certificate, answer, host):
        return f"""\
    server {{
        listen {self.address}:{self.port} ssl;
        server_name {host};
        ssl_certificate {certificate.cert};
        ssl_certificate_key {certificate.key};
        location = /.well-known/mta-sts.txt {{ {answer} }}
        location = /elsewhere.txt {{ default_type text/plain; alias {self._file(domain)}; }}
        location / {{ return 404; }}
    }}
"""


def tunnel(one, other):
    """Passes on what either side sends, until both have ended."""
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join(sandbox.WAIT)


def _copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone, and the other notices


class Gate:
    """Accepts connections and keeps silent until opened, then passes them on to a server."""

    def __init__(self, address, target, port=443):
        self._target = target
        self._opened, self._closed = threading.Event(), threading.Event()
        self.connections = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._server = socket.create_server((address, port), family=family)
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def open(self):
        self._opened.set()

    def close(self):
        self._closed.set()
        self._opened.set()
        self._thread.join(sandbox.WAIT)
        self._server.close()

    def _accept(self):
        while not self._closed.is_set():
            try:
                conn, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            threading.Thread(target=self._pass_on, args=(conn,), daemon=True).start()

    def _pass_on(self, conn):
        with conn:
            self._opened.wait()
            if self._closed.is_set():
                return
            with socket.create_connection(self._target) as upstream:
                tunnel(conn, upstream)
