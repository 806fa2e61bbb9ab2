"""A certificate authority that lives as long as one test run."""

import os
from collections import namedtuple

from . import sandbox

Certificate = namedtuple("Certificate", "cert key")

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf_san]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = ${ENV::SAN}
[leaf_bare]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
[issuing]
database = ${ENV::PKI}/index
new_certs_dir = ${ENV::PKI}/issued
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    def __init__(self, directory):
        self.directory = directory
        self._openssl = sandbox.program("openssl", "openssl")
        os.makedirs(os.path.join(directory, "issued"))
        self._config = os.path.join(directory, "openssl.cnf")
        sandbox.write(self._config, _CONFIG)
        sandbox.write(os.path.join(directory, "index"), "")
        self._serial = 0
        self._key = self._make_key("ca")
        self.cert = os.path.join(directory, "ca.pem")
        self._run(["req", "-new", "-x509", "-key", self._key, "-subj", "/CN=mtastsd test CA",
                   "-days", "2", "-extensions", "ca", "-out", self.cert])

    def issue(self, *names, cn=None, san=True, expired=False, self_signed=False,
              rsa=False):
        """A certificate for DNS names; san=False puts the first one into the CN alone."""
        self._serial += 1
        label = f"{self._serial}-{names[0].replace('*', 'any')}"
        key = self._make_key(label, rsa)
        request = os.path.join(self.directory, label + ".csr")
        cert = os.path.join(self.directory, label + ".pem")
        subject = f"/CN={cn or names[0]}"
        extensions = "leaf_san" if san else "leaf_bare"
        env = {"SAN": ",".join("DNS:" + name for name in names)}
        if self_signed:
            self._run(["req", "-new", "-x509", "-key", key, "-subj", subject, "-days", "2",
                       "-extensions", extensions, "-out", cert], env)
            return Certificate(cert, key)
        self._run(["req", "-new", "-key", key, "-subj", subject, "-out", request], env)
        dates = (["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired
                 else ["-days", "2"])
        self._run(["ca", "-batch", "-notext", "-name", "issuing", "-in", request, "-out", cert,
                   "-cert", self.cert, "-keyfile", self._key, "-extensions", extensions, *dates],
                  env)
        return Certificate(cert, key)

    def _make_key(self, label, rsa=False):
        path = os.path.join(self.directory, label + ".key")
        kind = (["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa
                else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        self._run(["genpkey", "-algorithm", *kind, "-out", path], config=False)
        return path

    def _run(self, arguments, extra_env=None, config=True):
        env = dict(os.environ, PKI=self.directory, SAN="DNS:unused")
        env.update(extra_env or {})
        command = [self._openssl, arguments[0]]
        if config:
            command += ["-config", self._config]
        sandbox.run(command + arguments[1:], env=env)
