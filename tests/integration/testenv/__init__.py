"""A small internet on loopback for tests that run the real mtastsd.

sandbox    private network, mount and process namespaces; bounded waits; child processes
pki        throw-away certificate authority
dns        nsd with one root zone, and a scripted server for faults and counts
web        nginx as policy server, one server block a domain
case       what tests of the running daemon start from
daemon     runs mtastsd, collects its log, checks a clean end
socketmap  Postfix's side of the protocol, and a server with fixed answers
smtp       mail servers that record what reaches them
postfix    a Postfix instance of its own
tlsrpt     takes the reports that Postfix makes of its TLS connections
"""
