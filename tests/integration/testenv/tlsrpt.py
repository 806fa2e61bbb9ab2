"""Stands in for a collector of TLSRPT events (RFC 8460), which Postfix 3.10 and later report to."""

import json
import os
import socket

from . import sandbox

_MAX_EVENT = 65536


class Collector:
    """Takes what libtlsrpt sends: one datagram of JSON for each new TLS connection."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        self._events = []

    def stop(self):
        self._socket.close()

    def wait_for(self, domain):
        """The first event about the domain."""
        return sandbox.wait_for(lambda: self._find(domain), f"a report about {domain}")

    def _find(self, domain):
        try:
            while True:
                self._events.append(json.loads(self._socket.recv(_MAX_EVENT)))
        except BlockingIOError:
            pass
        return next((event for event in self._events if event["d"] == domain), None)
