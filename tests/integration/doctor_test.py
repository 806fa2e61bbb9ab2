#!/usr/bin/env python3
"""mtastsctl doctor against a real Postfix and a real mtastsd: each thing is broken in turn.

    doctor_test.py --mtastsd PATH --mtastsctl PATH [test...]
"""

import argparse
import json
import os
import subprocess
import sys
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = os.path.join(HERE, "..", "..", "contrib", "schema", "doctor.json")

# pylint: disable=wrong-import-position
sys.path.insert(0, HERE)
from testenv import pki, sandbox, schema, socketmap
from testenv.daemon import Mtastsd
from testenv.dns import Nsd, ScriptedDns
from testenv.postfix import Postfix

SERVER = "inet:127.0.0.1:8461"
OPTIONS = None


class DoctorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.modern = Postfix.version() >= (3, 10)
        cls.map = "postfixWithTLSRPT" if cls.modern else "postfix"
        cls.tcp = f"socketmap:{SERVER}:{cls.map}"
        cls.unix = f"socketmap:unix:run/mtastsd/policy.sock:{cls.map}"
        cls.postfix = Postfix(os.path.join(cls.directory, "postfix"), "")
        cls.sockets = cls.postfix.make_socket_directory("run/mtastsd")
        cls.socket = os.path.join(cls.sockets, "policy.sock")
        cls.mtastsd = Mtastsd(OPTIONS.mtastsd, os.path.join(cls.directory, "mtastsd"), {
            "socketmap": {"listen": [SERVER, "unix:" + cls.socket], "socket_mode": "0660",
                          "socket_group": "postfix"},
            "dns": {"servers": ["127.0.0.1"]},
            "cache": {"directory": os.path.join(cls.directory, "cache")},
        })
        cls.dns = Nsd(os.path.join(cls.directory, "nsd"))
        cls.dns.apply()
        cls.addClassCleanup(cls.dns.stop)
        cls.mtastsd.start()
        cls.addClassCleanup(cls.mtastsd.stop)
        cls.master = sandbox.read(os.path.join(cls.postfix.config, "master.cf"))

    def configure(self, **parameters):
        """main.cf as README.md has it, with some parameters set otherwise or, None, left out."""
        lines = {
            "smtp_tls_policy_maps": self.tcp,
            "smtp_tls_CAfile": "/etc/ssl/certs/ca-certificates.crt",
            "smtp_tls_security_level": "may",
            "smtp_tls_loglevel": "1",
        }
        lines.update(parameters)
        self.postfix.configure("".join(f"{name} = {value}\n" for name, value in lines.items()
                                       if value is not None))

    def write_master(self, text):
        path = os.path.join(self.postfix.config, "master.cf")
        sandbox.write(path, text)
        self.addCleanup(sandbox.write, path, self.master)

    def run_doctor(self, *arguments, **options):
        program = OPTIONS.mtastsctl
        if "user" in options:
            program = sandbox.for_everybody(program, self.directory)
        command = [program, "doctor", "--postfix-config", self.postfix.config,
                   "--config", self.mtastsd.config, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)

    def examine(self):
        """(exit status, {code: [finding]})"""
        done = self.run_doctor("--json")
        self.assertEqual(done.stderr, "")
        report = json.loads(done.stdout)
        schema.check(report, SCHEMA)
        found = {}
        for finding in report["findings"]:
            found.setdefault(finding["code"], []).append(finding)
        self.assertEqual(report["high"], sum(finding["severity"] == "HIGH"
                                             for finding in report["findings"]))
        return done.returncode, found

    def expect(self, code, severity, line=None, file="main.cf"):
        """The finding; applied, its first line for main.cf removes it."""
        status, found = self.examine()
        self.assertIn(code, found, sorted(found))
        finding = found[code][0]
        self.assertEqual(finding["severity"], severity)
        if severity in ("HIGH", "MEDIUM"):
            self.assertEqual(status, 1)
        if line is not None:
            self.assertIn({"file": file, "line": line}, finding["lines"])
            if file == "main.cf":
                sandbox.run(["postconf", "-c", self.postfix.config, "-e", line])
                self.assertNotIn(code, self.examine()[1])
        return finding

    def wrong(self):
        return {code for code, findings in self.examine()[1].items()
                if findings[0]["severity"] in ("HIGH", "MEDIUM", "UNKNOWN")}

    # Nothing is wrong.

    def test_the_recommended_lines_are_good(self):
        here = os.path.dirname(HERE)
        name = "main.cf.postfix-3.10" if self.modern else "main.cf.postfix-3.4"
        self.postfix.configure(sandbox.read(os.path.join(here, "..", "postfix", name)))
        status, found = self.examine()
        self.assertEqual((status, self.wrong()), (0, set()))
        self.assertIn(self.tcp, found["daemon_answers"][0]["meaning"])

    def test_a_unix_socket_is_good_in_the_chroot_and_out_of_it(self):
        self.configure(smtp_tls_policy_maps=self.unix)
        status, found = self.examine()
        self.assertEqual((status, self.wrong()), (0, set()))
        self.assertIn("socket", found)
        self.write_master(self.master.replace("smtp      unix - - y", "smtp      unix - - n"))
        self.assertEqual(self.examine()[0], 0)
        self.configure(smtp_tls_policy_maps=self.unix.replace("run/", self.postfix.queue + "/run/"))
        self.assertEqual((self.examine()[0], self.wrong()), (0, set()))

    def test_a_proxied_table_is_good(self):
        self.configure(smtp_tls_policy_maps="proxy:" + self.tcp)
        self.assertEqual((self.examine()[0], self.wrong()), (0, set()))

    # The table of maps.

    def test_no_map(self):
        self.configure(smtp_tls_policy_maps=None)
        self.expect("map_missing", "HIGH", "smtp_tls_policy_maps = " + self.tcp)

    def test_a_map_that_cannot_be_read(self):
        self.configure(smtp_tls_policy_maps="socketmap:127.0.0.1:8461")
        self.expect("map_syntax", "HIGH", "smtp_tls_policy_maps = " + self.tcp)

    def test_a_static_table_in_front(self):
        self.configure(smtp_tls_policy_maps="static:may " + self.tcp)
        self.expect("map_hidden", "HIGH", f"smtp_tls_policy_maps = {self.tcp}, static:may")

    def test_a_table_that_is_not_built(self):
        table = "hash:" + os.path.join(self.postfix.config, "tls_policy")
        self.configure(smtp_tls_policy_maps=f"{table} {self.tcp}")
        self.expect("map_broken", "HIGH", "smtp_tls_policy_maps = " + self.tcp)
        self.configure(smtp_tls_policy_maps=f"{table} {self.tcp}")
        sandbox.write(table.partition(":")[2], "exception.test may\n")
        self.expect("map_broken", "HIGH", f"postmap -c {self.postfix.config} {table}", "command")
        self.postfix.build_table("tls_policy", "exception.test may\n")
        status, found = self.examine()
        self.assertEqual(status, 0)
        self.assertIn("map_order", found)

    def test_a_parameter_that_is_there_twice(self):
        """Postfix's tools warn of it; mtastsd answers nevertheless."""
        self.configure()
        path = os.path.join(self.postfix.config, "main.cf")
        sandbox.write(path, "smtp_tls_policy_maps =\n" + sandbox.read(path))
        status, found = self.examine()
        self.assertEqual((status, self.wrong()), (0, set()))
        self.assertEqual(found["parameter_twice"][0]["detail"], "smtp_tls_policy_maps")
        self.assertIn("daemon_answers", found)

    def test_a_misspelt_parameter(self):
        self.configure(smtp_tls_securty_level="may")
        self.assertEqual(self.expect("parameter_unknown", "LOW")["detail"],
                         "smtp_tls_securty_level=may")

    def test_mtastsd_is_asked_about_names(self):
        self.configure()
        self.assertIn("self_test", self.examine()[1])
        done = self.run_doctor("--online", "nosuch.test")
        self.assertEqual(done.returncode, 1)
        self.assertIn("online_not_enforced", done.stdout)
        self.configure(smtp_tls_policy_maps=None)
        done = self.run_doctor("--online", "nosuch.test")
        self.assertIn("no table of Postfix leads to it", " ".join(done.stdout.split()))
        self.configure()
        self.dns.stop()
        self.addCleanup(self.dns.apply)
        self.expect("dns_fails", "MEDIUM")

    def test_a_dns_server_on_another_host(self):
        """A notice: the status is that of a host where nothing is wrong."""
        self.configure()
        sandbox.run(["ip", "address", "add", "192.0.2.53/32", "dev", "lo"])
        self.addCleanup(sandbox.run, ["ip", "address", "del", "192.0.2.53/32", "dev", "lo"])
        far = ScriptedDns("192.0.2.53")
        self.addCleanup(far.stop)
        self.assertNotIn("dns_remote", self.examine()[1])
        for servers, remote in (("192.0.2.53", ["192.0.2.53:53"]), ("127.0.0.1", [])):
            with unittest.mock.patch.dict(os.environ, MTASTSD_DNS_SERVERS=servers):
                status, found = self.examine()
            self.assertEqual((status, self.wrong()), (0, set()))
            self.assertEqual([one["detail"] for one in found.get("dns_remote", [])], remote)
            self.assertIn("dns_works", found)

    def test_the_units_of_systemd(self):
        """A systemctl of ours in its place."""
        self.configure()
        os.makedirs("/run/systemd", exist_ok=True)
        sandbox.run(["mount", "-t", "tmpfs", "none", "/run/systemd"])
        self.addCleanup(sandbox.run, ["umount", "/run/systemd"])
        os.mkdir("/run/systemd/system")
        programs = os.path.join(self.directory, "bin")
        os.makedirs(programs)
        path = os.path.join(programs, "systemctl")
        sandbox.write(path, "#!/bin/sh\nprintf 'Id=mtastsd.service\\nLoadState=loaded\\n"
                      "ActiveState=failed\\nUnitFileState=disabled\\n'\n")
        os.chmod(path, 0o755)
        before = os.environ["PATH"]
        os.environ["PATH"] = programs + ":" + before
        self.addCleanup(os.environ.update, {"PATH": before})
        self.expect("unit_failed", "HIGH", "systemctl restart mtastsd", "command")
        self.expect("unit_disabled", "MEDIUM", "systemctl enable mtastsd", "command")

    def test_names_of_main_cf_are_put_in(self):
        self.configure(port="8461", smtp_tls_policy_maps=f"socketmap:inet:127.0.0.1:$port:{self.map}")
        self.assertEqual(self.examine()[0], 0)

    def test_the_map_of_another_version(self):
        other = f"socketmap:{SERVER}:" + ("postfix" if self.modern else "postfixWithTLSRPT")
        self.configure(smtp_tls_policy_maps=other)
        code, severity = (("profile_too_old", "MEDIUM") if self.modern
                          else ("profile_too_new", "HIGH"))
        self.expect(code, severity, "smtp_tls_policy_maps = " + self.tcp)

    def test_an_unknown_map(self):
        self.configure(smtp_tls_policy_maps=f"socketmap:{SERVER}:sts")
        self.expect("map_name_unknown", "MEDIUM", "smtp_tls_policy_maps = " + self.tcp)

    def test_proxymap_does_not_know_the_table(self):
        self.configure(smtp_tls_policy_maps="proxy:" + self.tcp, proxy_read_maps="$alias_maps")
        self.expect("proxy_read_maps", "HIGH", "smtp_tls_policy_maps = " + self.tcp)
        self.assertEqual(self.wrong(), set())

    # Where mtastsd is.

    def test_mtastsd_is_down(self):
        self.configure()
        self.mtastsd.stop()
        self.addCleanup(self.mtastsd.start)
        finding = self.expect("daemon_silent", "HIGH")
        self.assertIn("Connection refused", finding["meaning"])

    def test_another_user_has_the_port(self):
        """One who was quicker during a restart answers for every domain."""
        self.configure()
        self.mtastsd.stop()
        self.addCleanup(self.mtastsd.start)
        os.seteuid(65534)
        try:
            squatter = socketmap.FixedServer(SERVER)
        finally:
            os.seteuid(0)
        self.addCleanup(squatter.stop)
        finding = self.expect("daemon_stranger", "HIGH")
        self.assertIn("nobody", finding["meaning"])

    def test_another_port(self):
        self.configure(smtp_tls_policy_maps=f"socketmap:inet:127.0.0.1:8642:{self.map}")
        self.expect("daemon_silent", "HIGH", "smtp_tls_policy_maps = " + self.tcp)

    def test_the_absolute_path_in_the_chroot(self):
        self.configure(smtp_tls_policy_maps=f"socketmap:unix:{self.socket}:{self.map}")
        self.expect("chroot_path", "HIGH", "smtp_tls_policy_maps = " + self.unix)
        self.assertEqual(self.wrong(), set())

    def test_a_chroot_by_default_of_old_compatibility(self):
        self.configure(smtp_tls_policy_maps=f"socketmap:unix:{self.socket}:{self.map}",
                       compatibility_level="0")
        self.write_master(self.master.replace("smtp      unix - - y", "smtp      unix - - -"))
        self.expect("chroot_path", "HIGH")
        self.configure(smtp_tls_policy_maps=f"socketmap:unix:{self.socket}:{self.map}")
        self.assertEqual(self.wrong(), set())

    def test_a_socket_that_postfix_may_not_write_to(self):
        self.configure(smtp_tls_policy_maps=self.unix)
        self.addCleanup(os.chmod, self.socket, 0o660)
        os.chmod(self.socket, 0o600)
        finding = self.expect("socket_denied", "HIGH", 'socket_mode = "0660"',
                              "mtastsd.toml [socketmap]")
        self.assertIn("0600 root:postfix", finding["meaning"])

    def test_a_directory_that_postfix_may_not_enter(self):
        self.configure(smtp_tls_policy_maps=self.unix)
        self.addCleanup(os.chmod, self.sockets, 0o750)
        os.chmod(self.sockets, 0o700)
        self.expect("socket_denied", "HIGH", "chmod g+x " + self.sockets, "command")

    def test_no_socket(self):
        self.configure(smtp_tls_policy_maps=f"socketmap:unix:run/gone.sock:{self.map}")
        self.expect("socket_gone", "HIGH")

    # TLS.

    def test_no_authorities(self):
        self.configure(smtp_tls_CAfile=None)
        line = "smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt"
        self.expect("ca_missing", "HIGH", line)
        self.configure(smtp_tls_CAfile=None, tls_append_default_CA="yes")
        self.expect("ca_missing", "HIGH", line)

    def test_authorities_that_are_none(self):
        self.configure(smtp_tls_CAfile=os.path.join(self.directory, "gone.pem"))
        self.expect("ca_unusable", "HIGH")
        self.configure(smtp_tls_CAfile=os.path.join(self.postfix.config, "master.cf"))
        self.expect("ca_unusable", "HIGH")
        authority = pki.Authority(os.path.join(self.directory, "pki"))
        self.configure(smtp_tls_CAfile=authority.cert)
        self.expect("ca_few", "INFO")

    def test_a_directory_of_authorities_outside_of_the_chroot(self):
        self.configure(smtp_tls_CAfile=None, smtp_tls_CApath="/etc/ssl/certs")
        self.expect("ca_path_useless", "HIGH")
        self.write_master(self.master.replace("smtp      unix - - y", "smtp      unix - - n"))
        self.assertNotIn("ca_path_useless", self.examine()[1])

    def test_levels(self):
        for level, code, severity in (("none", "tls_level_none", "MEDIUM"),
                                      ("sometimes", "tls_level_unknown", "HIGH")):
            with self.subTest(level):
                self.configure(smtp_tls_security_level=level)
                self.expect(code, severity, "smtp_tls_security_level = may")
        for level in ("encrypt", "verify"):
            with self.subTest(level):
                self.configure(smtp_tls_security_level=level)
                self.assertEqual(self.expect("tls_level_strict", "INFO")["lines"], [])

    def test_dane(self):
        self.configure(smtp_tls_security_level="dane")
        self.expect("dane_without_dnssec", "MEDIUM", "smtp_dns_support_level = dnssec")
        self.configure(smtp_tls_security_level="dane", smtp_dns_support_level="dnssec")
        table = f"socketmap:{SERVER}:" + ("daneWithTLSRPT" if self.modern else "dane")
        self.expect("dane_and_sts", "HIGH", "smtp_tls_policy_maps = " + table)
        # The other way round, and the resolver here does not validate.
        self.configure(smtp_tls_policy_maps=table)
        self.expect("dane_map_without_dnssec", "HIGH", "smtp_dns_support_level = dnssec")
        self.assertIn("dane_resolver", self.examine()[1])

    def test_the_check_of_mx_names(self):
        if not self.modern:
            self.skipTest("came with Postfix 3.10.5")
        self.configure(smtp_tls_enforce_sts_mx_patterns="no")
        self.expect("mx_patterns_off", "MEDIUM", "smtp_tls_enforce_sts_mx_patterns = yes")

    # master.cf.

    def test_a_transport_with_settings_of_its_own(self):
        self.configure()
        self.write_master(self.master + "slow unix - - n - - smtp\n"
                          "  -o smtp_tls_policy_maps=\n  -o { smtp_tls_CAfile = }\n")
        finding = self.expect("map_off_here", "MEDIUM",
                              f"-o {{ smtp_tls_policy_maps = {self.tcp} }}",
                              "master.cf, below slow/unix")
        self.assertEqual(finding["services"], ["slow/unix"])
        self.assertIn("ca_missing", self.examine()[1])
        self.write_master(self.master + "slow unix - - n - - smtp\n"
                          f"  -o {{ smtp_tls_policy_maps = {self.tcp} }}\n")
        self.assertEqual(self.wrong(), set())

    def test_a_proxied_table_of_one_transport_only(self):
        self.configure()
        self.write_master(self.master + "slow unix - - n - - smtp\n"
                          f"  -o smtp_tls_policy_maps=proxy:{self.tcp}\n")
        self.expect("proxy_read_maps", "HIGH")

    # Things that doctor cannot find out.

    def test_what_only_root_can_find_out(self):
        self.configure(smtp_tls_policy_maps=self.unix)
        done = self.run_doctor(user="nobody", group="nogroup", extra_groups=[])
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("Run this as root", " ".join(done.stdout.split()))

    def test_no_configuration_of_postfix(self):
        done = subprocess.run([OPTIONS.mtastsctl, "doctor", "--postfix-config", "/nonexistent"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("No such file or directory; put that right", done.stderr)

    def test_no_permission_to_read_it(self):
        self.configure()
        path = os.path.join(self.postfix.config, "main.cf")
        os.chmod(path, 0o600)
        self.addCleanup(os.chmod, path, 0o644)
        done = self.run_doctor(user="nobody", group="nogroup", extra_groups=[])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("Permission denied; run this as root", done.stderr)

    def test_no_postfix(self):
        postconf = sandbox.program("postconf", "postfix")
        sandbox.run(["mount", "-t", "tmpfs", "none", os.path.dirname(postconf)])
        self.addCleanup(sandbox.run, ["umount", os.path.dirname(postconf)])
        done = self.run_doctor()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("postconf was not found; doctor looks at a Postfix on this machine",
                      done.stderr)

    def test_a_mistake_in_the_configuration_of_mtastsd(self):
        self.configure()
        self.addCleanup(self.mtastsd.write_config, self.mtastsd.settings)
        self.mtastsd.write_config({"socketmap": {"lisen": ["x"]}})
        self.assertIn("lisen", self.expect("config_unusable", "HIGH")["meaning"])

    def test_nothing_is_changed(self):
        self.configure(smtp_tls_policy_maps=None)
        before = {name: sandbox.read(os.path.join(self.postfix.config, name))
                  for name in os.listdir(self.postfix.config)}
        self.examine()
        after = {name: sandbox.read(os.path.join(self.postfix.config, name))
                 for name in os.listdir(self.postfix.config)}
        self.assertEqual(before, after)

    def test_the_report_for_people(self):
        self.configure(smtp_tls_CAfile=None)
        done = self.run_doctor()
        self.assertEqual(done.returncode, 1)
        self.assertIn(": 1 HIGH\n", done.stdout.partition("\n\n")[0] + "\n")
        self.assertIn("    smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt\n", done.stdout)
        self.assertNotIn("\x1b", done.stdout)


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True)
    parser.add_argument("--mtastsctl", required=True)
    parser.add_argument("names", nargs="*", help="DoctorTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
