#!/usr/bin/env python3
"""Tests contrib/migrate on configurations and caches as the other servers' documents describe them.

    migrate_test.py --mtastsd PATH --mtastsctl PATH

What it prints is read by mtastsd, and what it exports is imported into one that runs.
"""

import argparse
import glob
import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

OPTIONS = None
MIGRATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../contrib/migrate")
DAY = 86400

RESOLVER = """\
host: 127.0.0.1
port: 8461
reuse_port: true
shutdown_timeout: 20
cache_grace: 7200
proactive_policy_fetching:
  enabled: true
  interval: 43200
  concurrency_limit: 100
  grace_ratio: 2
cache:
  type: sqlite
  options:
    filename: %s
default_zone:
  strict_testing: false
  timeout: 4
zones:
  strict:
    strict_testing: true
    timeout: 4
  old:
    require_sni: false
  new:
    tlsrpt: true
"""

TLSPOL = """\
server:
  address: %s
  metrics-address: 127.0.0.1:9642
  socket-permissions: 0666
  log-level: debug
  log-format: json
  prefetch: true
  cache-file: /var/lib/postfix-tlspol/cache.db
dns:
  address: 127.0.0.53:53
"""


def body(mode="enforce", max_age=604800, mx=("mail.a.example",), version="STSv1"):
    return json.dumps({"version": version, "mode": mode, "max_age": max_age, "mx": list(mx)})


class Migrate(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="mtastsd-migrate.")
        self.addCleanup(scratch.cleanup)
        self.own = scratch.name

    def write(self, name, text):
        path = os.path.join(self.own, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.own, name), encoding="utf-8") as file:
            return file.read()

    def migrate(self, source, config, *arguments, main_cf=""):
        return subprocess.run(
            [sys.executable, MIGRATE, "--from", source, config, "--main-cf",
             self.write("main.cf", main_cf), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def settings(self, printed):
        """What is in force in a configuration that mtastsd accepts."""
        path = self.write("mtastsd.toml", printed)
        checked = subprocess.run([OPTIONS.mtastsd, "--config", path, "--check-config"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout + printed)
        return [line for line in printed.splitlines() if line and not line.startswith("#")]

    def test_resolver_configuration(self):
        config = self.write("c.yml", RESOLVER % os.path.join(self.own, "cache.db"))
        line = "smtp_tls_policy_maps = hash:/etc/postfix/exceptions,\n  socketmap:inet:127.0.0.1:8461:strict\n"
        done = self.migrate("postfix-mta-sts-resolver", config, main_cf="# a\n" + line)
        settings = self.settings(done.stdout)
        for expected in ('recheck_min = "7200s"', 'recheck_max = "7200s"', 'refresh_interval = "43200s"'):
            self.assertIn(expected, settings)
        for section, setting in (("[maps.strict]", "enforce_testing = true"),
                                 ("[maps.old]", 'postfix_version = "3.3"'),
                                 ("[maps.new]", 'postfix_version = "3.10"')):
            self.assertEqual(settings[settings.index(section) + 1], setting)
        for key in ("reuse_port", "shutdown_timeout", "zones.strict.timeout",
                    "proactive_policy_fetching.concurrency_limit"):
            self.assertIn(f"# {key}: ", done.stdout)
        self.assertIn("# after:  the same line", done.stdout)

    def test_a_setting_that_nobody_knows_is_named(self):
        config = self.write("c.yml", "port: 8461\nnovelty: [1, 2]\n")
        self.assertIn("# novelty: [1, 2]\n",
                      self.migrate("postfix-mta-sts-resolver", config).stdout)

    def test_resolver_on_a_unix_socket(self):
        config = self.write("c.yml", "path: /var/run/mta-sts/daemon.sock\nmode: 0666\n")
        done = self.migrate("postfix-mta-sts-resolver", config,
                            main_cf="smtp_tls_policy_maps = socketmap:unix:/var/run/mta-sts/daemon.sock:postfix\n")
        self.assertEqual(self.settings(done.stdout), ["[socketmap]"])
        in_force = done.stdout.replace("# listen", "listen").replace("# socket_mode", "socket_mode")
        self.assertEqual(self.settings(in_force), [
            "[socketmap]", 'listen = ["unix:/var/run/mta-sts/daemon.sock"]', 'socket_mode = "0666"'])
        self.assertIn("# after:  smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix", done.stdout)

    def test_tlspol_configuration(self):
        config = self.write("c.yaml", TLSPOL % "127.0.0.1:8642")
        done = self.migrate("postfix-tlspol", config,
                            main_cf="smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8642:QUERYwithTLSRPT\n")
        self.assertEqual(self.settings(done.stdout), [
            "[socketmap]", "[log]", 'level = "debug"', 'format = "json"',
            "[dns]", 'servers = ["127.0.0.53:53"]'])
        self.assertIn('# listen = ["inet:127.0.0.1:8642"]', done.stdout)
        self.assertIn("# after:  smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:QUERYwithTLSRPT",
                      done.stdout)
        for key in ("server.metrics-address", "server.prefetch", "server.cache-file"):
            self.assertIn(f"# {key}: ", done.stdout)

    def test_tlspol_export_gives_the_domains_of_mta_sts(self):
        export = self.write("export", "a.example                    secure match=mail.a.example servername=hostname\n"
                                      "b.example                    dane-only\n")
        config = self.write("c.yaml", TLSPOL % "unix:/run/postfix-tlspol/tlspol.sock")
        domains = os.path.join(self.own, "domains")
        done = self.migrate("postfix-tlspol", config, "--export", export, "--domains", domains)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.read("domains"), "a.example\n")

    def fill_sqlite(self, rows):
        path = os.path.join(self.own, "cache.db")
        with sqlite3.connect(path) as database:
            database.execute("create table sts_policy_cache (domain text, ts integer, pol_id text, pol_body text)")
            database.executemany("insert into sts_policy_cache values (?, ?, ?, ?)", rows)
        database.close()
        return path

    def fill_redis(self, rows, now):
        """A server with the cache, and something of others."""
        redis = importlib.import_module("redis")
        server = shutil.which("redis-server")
        if server is None:
            self.skipTest("there is no redis-server")
        path = os.path.join(self.own, "redis.sock")
        process = subprocess.Popen([server, "--port", "0", "--unixsocket", path, "--dir", self.own, "--save", ""],
                                   stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        url = f"unix://{path}"
        client = redis.Redis.from_url(url)
        self.wait_for(lambda: os.path.exists(path) and client.ping())
        for domain, stamp, policy_id, text in rows:
            entry = json.dumps((policy_id, json.loads(text))).encode()
            client.zadd(domain, {uuid.uuid4().bytes + entry: stamp})
        client.zadd("alive.example", {uuid.uuid4().bytes + b'["0", {}]': now - 100000})  # an older one
        client.hset("_metadata", "proactive_fetch_ts", str(now))
        client.set("of-others", "1")
        client.zadd("of-others-too", {b"member": 1})
        return url

    def fill_postgres(self, rows):
        psycopg2 = importlib.import_module("psycopg2")
        path = ":".join([os.environ["PATH"], *glob.glob("/usr/lib/postgresql/*/bin")])
        initdb, server = (shutil.which(name, path=path) for name in ("initdb", "postgres"))
        if initdb is None or server is None:
            self.skipTest("there is no PostgreSQL")
        data = os.path.join(self.own, "postgres")
        os.mkdir(data)
        other = []  # it does not run as root
        if os.geteuid() == 0:
            shutil.chown(data, "nobody")
            os.chmod(self.own, 0o755)
            other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        subprocess.run([*other, initdb, "-D", data, "-U", "cache", "-A", "trust", "--no-sync"], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")
        process = subprocess.Popen([*other, server, "-D", data, "-k", data, "-c", "listen_addresses=",
                                    "-c", "fsync=off"], stderr=subprocess.DEVNULL, cwd="/")
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGINT)

        def connect():
            try:
                return psycopg2.connect(host=data, user="cache", dbname="postgres")
            except psycopg2.OperationalError:
                return None

        with self.wait_for(connect) as database, database.cursor() as cursor:
            cursor.execute("create table sts_policy_cache "
                           "(id serial primary key, domain text, ts integer, pol_id text, pol_body jsonb)")
            cursor.executemany("insert into sts_policy_cache (domain, ts, pol_id, pol_body) values (%s, %s, %s, %s)",
                               rows)
        database.close()
        return {"host": data, "user": "cache", "database": "postgres", "password": "secret", "max_size": 10}

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not (found := condition()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        return found

    def rows(self, now):
        return [("alive.example", now - 60, "1", body()),
                ("ending.example", now - 604800 + 3600, "2", body()),
                ("expired.example", now - 2 * 604800, "3", body())]

    def check_cache(self, kind, options):
        cache = json.dumps({"type": kind, "options": options})  # JSON is YAML
        config = self.write("c.yml", f"cache: {cache}\n")
        policies, domains = (os.path.join(self.own, name) for name in ("policies", "domains"))
        done = self.migrate("postfix-mta-sts-resolver", config, "--policies", policies, "--domains", domains)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("2 policies to import, 1 domains to look up", done.stdout)
        self.assertNotIn("secret", done.stdout)
        self.assertEqual(self.read("domains"), "expired.example\n")
        self.check_import(policies)

    @unittest.skipUnless(importlib.util.find_spec("redis"), "there is no python3-redis")
    def test_resolver_cache_in_redis(self):
        now = int(time.time())
        url = self.fill_redis(self.rows(now), now)
        self.check_cache("redis", {"url": url, "socket_timeout": 5.0})

    @unittest.skipUnless(importlib.util.find_spec("psycopg2"), "there is no python3-psycopg2")
    def test_resolver_cache_in_postgres(self):
        self.check_cache("postgres", self.fill_postgres(self.rows(int(time.time()))))

    def test_servers_that_do_not_answer_are_said(self):
        config = self.write("c.yml", "cache: {type: redis_sentinel}\n")
        for arguments, words in (((), "--redis URL"),
                                 (("--redis", f"unix://{self.own}/absent"), "Redis"),
                                 (("--redis", "nothing"), "Redis"),
                                 (("--postgres", f"host={self.own} user=nobody"), "PostgreSQL")):
            with self.subTest(words):
                done = self.migrate("postfix-mta-sts-resolver", config, "--policies", self.own + "/p", *arguments)
                self.assertEqual(done.returncode, 1)
                self.assertIn(words, done.stdout)
                self.assertNotIn("Traceback", done.stdout)

    def test_resolver_cache(self):
        now = int(time.time())
        cache = self.fill_sqlite([
            ("alive.example", now - 60, "1", body()),
            ("ending.example", now - 604800 + 3600, "2", body()),
            ("expired.example", now - 2 * 604800, "3", body()),
            ("none.example", now, "4", body(mode="none", mx=())),
            ("bad-id.example", now, "not an id", body()),
            ("bad-mx.example", now, "5", body(mx=("mail.a.example\nmx: *",))),
            ("bad-age.example", now, "6", body(max_age="long")),
            ("no-json.example", now, "7", "{")])
        config = self.write("c.yml", RESOLVER % cache)
        policies, domains = (os.path.join(self.own, name) for name in ("policies", "domains"))
        done = self.migrate("postfix-mta-sts-resolver", config, "--policies", policies,
                            "--domains", domains)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("2 policies to import, 6 domains to look up", done.stdout)
        self.assertEqual(self.read("domains").split(), [
            "bad-age.example", "bad-id.example", "bad-mx.example", "expired.example", "no-json.example",
            "none.example"])
        # RFC 8461 section 3.2: the cache does not say when a policy was fetched, so none gets its whole life.
        left = {}
        for line in self.read("policies").splitlines():
            record = json.loads(line)
            fetched = time.strptime(record["policy"]["fetched_at"], "%Y-%m-%dT%H:%M:%SZ")
            left[record["domain"]] = (time.mktime(fetched) - time.timezone + 604800 - now)
        self.assertLessEqual(abs(left["alive.example"] - DAY), 10)
        self.assertLessEqual(abs(left["ending.example"] - 3600), 10)
        self.check_import(policies)

    def check_import(self, policies):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = self.write("mtastsd.toml", "\n".join([
            "[socketmap]", f'listen = ["inet:127.0.0.1:{port}"]', "[dns]", 'servers = ["127.0.0.99"]',
            'timeout = "100ms"', "[cache]", f'directory = "{self.own}/cache"', "[control]",
            f'socket = "{self.own}/control.sock"', ""]))
        with subprocess.Popen([OPTIONS.mtastsd, "--config", config], stderr=subprocess.DEVNULL) as daemon:
            try:
                deadline = time.monotonic() + 30
                while not os.path.exists(self.own + "/control.sock") and time.monotonic() < deadline:
                    time.sleep(0.05)
                imported = subprocess.run(
                    [OPTIONS.mtastsctl, "cache", "import", policies, "--config", config, "--json"],
                    stdout=subprocess.PIPE, text=True, check=True).stdout
                self.assertEqual(json.loads(imported)["imported"], 2)
                answer = subprocess.run(
                    [OPTIONS.mtastsctl, "query", "alive.example", "--config", config],
                    stdout=subprocess.PIPE, text=True, check=True).stdout
                self.assertEqual(answer.strip(), "OK secure match=mail.a.example servername=hostname")
            finally:
                daemon.terminate()

    def test_what_cannot_be_read_is_said(self):
        config = self.write("c.yml", RESOLVER % os.path.join(self.own, "absent.db"))
        for arguments, words in (((os.path.join(self.own, "absent.yml"),), "there is no "),
                                 ((self.write("bad.yml", "a: [\n"),), "cannot be read"),
                                 ((self.write("list.yml", "- a\n"),), "is no configuration"),
                                 ((config, "--policies", self.own + "/p"), "cannot be read")):
            with self.subTest(words):
                done = self.migrate("postfix-mta-sts-resolver", *arguments)
                self.assertEqual(done.returncode, 1)
                self.assertIn(words, done.stdout)
                self.assertNotIn("Traceback", done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mtastsd", required=True)
    parser.add_argument("--mtastsctl", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
