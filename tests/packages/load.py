#!/usr/bin/env python3
"""Asks mtastsd one question after the other until standard input closes, and counts what comes back.

    load.py HOST PORT KEY ANSWER

One half of the threads makes a connection for each question, as a new smtp(8) process does. The others
keep theirs. Both ask again on a new connection, once, when the server has closed the one that they used, as
smtp(8) does. Prints one JSON object: questions by result.
"""

import collections
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../integration"))
from testenv import socketmap  # noqa: E402

THREADS = 8
PATIENCE = 60


def result_of(ask, answer):
    try:
        reply = ask()
    except (BrokenPipeError, ConnectionResetError):
        return "closed"
    except OSError as error:
        return f"failed: {error}"
    if reply is None:
        return "closed"
    return "answered" if reply == answer else f"wrong: {reply}"


class Asker:
    def __init__(self, address, key, answer, keeps):
        self._given = (address, key, answer)
        self._keeps = keeps
        self._client = None

    def ask(self):
        """The results, one or two."""
        first = self._try()
        return [first, self._try()] if first == "closed" else [first]

    def _try(self):
        address, key, answer = self._given
        if self._client is None:
            try:
                self._client = socketmap.Client(address, PATIENCE)
            except OSError as error:
                return "refused" if isinstance(error, ConnectionRefusedError) else f"failed: {error}"
        result = result_of(lambda: self._client.ask(key), answer)
        if result != "answered" or not self._keeps:
            self._client.close()
            self._client = None
        return result


def main():
    host, port, key, answer = sys.argv[1:]
    address = f"inet:{host}:{port}"
    counts = collections.Counter()
    lock = threading.Lock()
    stop = threading.Event()

    def work(number):
        keeps = number % 2 == 0
        asker = Asker(address, key, answer, keeps)
        while not stop.is_set():
            results = asker.ask()
            with lock:
                kind = "kept" if keeps else "new"
                for result in results[:-1]:
                    counts[f"{kind} {result} and asked again"] += 1
                counts[f"{kind} {results[-1]}"] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
