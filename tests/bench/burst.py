"""Many new domains at once: each of them has to be answered with its policy, and in time."""

import sys

import lab as laboratory
from parts import Row

CONNECTIONS = 100
AT_ONCE = 10  # questions on each connection
LOST = 0.05


def burst(lab, plan):
    for count in plan.bursts:
        internet = laboratory.Internet(lab.below(f"burst-{count}"), count)
        lossy = lossy_dns(internet)
        for lost, server in ((0, None), (LOST, lossy)):
            for at_once in (1, AT_ONCE):
                case = (f"{count} new domains, {CONNECTIONS} connections, {at_once} on each, "
                        f"{lost:.0%} of the DNS answers lost")
                result = answer_all(lab, internet, server, at_once, f"{count}-{lost}-{at_once}")
                for figure, key, scale in (("policies/s", "rate", 1), ("p99 ms", "p99_us", 1000),
                                           ("longest ms", "max_us", 1000)):
                    yield Row("burst", case, figure, result[key] / scale, None, None)
        lossy.stop()
        internet.stop()


def lossy_dns(internet):
    server = laboratory.dns.ScriptedDns("127.0.0.1", laboratory.free_port(), lost=LOST)
    for domain in internet.domains:
        server.set("_mta-sts." + domain, "TXT", "v=STSv1; id=20240101T000000")
        server.set("mta-sts." + domain, "A", "127.0.0.1")
    return server


def answer_all(lab, internet, dns_server, at_once, label):
    """Ends the run when a domain is not answered, not with its policy, or not in time."""
    settings = internet.settings()
    if dns_server is not None:
        settings["dns"] = {"servers": [f"127.0.0.1:{dns_server.port}"]}
    daemon = laboratory.Mtastsd(lab, "burst-" + label, lab.path("burst-" + label, "cache"), settings)
    result = laboratory.Load(lab, daemon, daemon.inet, internet.domain_file, "OK secure",
                             pinned=False, once=True, connections=CONNECTIONS,
                             pipeline=at_once).result()
    ended = daemon.stop()
    if ended["timed_out"] or ended["fetch_failures"] or \
            ended["resolutions"] != len(internet.domains):
        sys.exit(f"burst: {label}: late, failed or looked up twice: {ended}")
    return result
