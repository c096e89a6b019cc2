#!/usr/bin/env python3
"""Measures conduit beside the hyper peer: the same jobs, the same receiver, one core each, in turns.

Prints the CPU time (user + system) of a delivery and the median of the ratios round by round. README.md beside
this file says how to read it. Loopback only; needs two cores and Linux.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAYLOAD_BYTES = 1024
SENDER_CORE, SINK_CORE = 0, 1


def main():
    options = arguments()
    conduit, hyper = build(options)
    with tempfile.TemporaryDirectory(prefix="conduit-compare-") as scratch:
        sink, urls = start_sink(conduit, options.origins, options.delay)
        try:
            feed = pathlib.Path(scratch, "feed.ndjson")
            write_feed(feed, urls, options.jobs)
            senders = {
                "conduit": [conduit, "run", "--workers", "1",
                            "--allow-http", "--allow-net", "127.0.0.0/8"],
                "hyper": [hyper],
            }
            micros = compare(senders, feed, options, pathlib.Path(scratch, "results.ndjson"))
        finally:
            sink.send_signal(signal.SIGTERM)
            sink.communicate(timeout=10)
    report(micros)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs a run (%(default)s)")
    parser.add_argument("--origins", type=int, default=10, help="receivers (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each sender (%(default)s)")
    parser.add_argument("--delay", default="0", help="seconds until an answer, MIN[-MAX] (%(default)s)")
    parser.add_argument("--conduit", type=pathlib.Path, help="a built conduit, instead of building it")
    parser.add_argument("--hyper", type=pathlib.Path, help="a built peer, instead of building it")
    return parser.parse_args()


def build(options):
    """Builds what was not given; both with the flags of .cargo/config.toml."""
    return [str(given or cargo_build(folder, name)) for given, folder, name in (
        (options.conduit, ROOT, "conduit"), (options.hyper, HERE / "hyper", "peer-hyper"))]


def cargo_build(folder, name):
    done = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--message-format=json", "--bin", name],
        cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    sys.exit(f"cargo built no {name}")


def start_sink(conduit, origins, delay):
    """A sink with a listener for each origin; gives the process and the URLs it printed."""
    command = [conduit, "sink", "--delay", delay] + ["--listen", "127.0.0.1:0"] * origins
    sink = subprocess.Popen(pin(command, SINK_CORE), stdout=subprocess.PIPE, text=True)
    urls = []
    for _ in range(origins):
        line = sink.stdout.readline()
        found = re.fullmatch(r"listening on (http://\S+)\n", line)
        if not found:
            sink.kill()
            sys.exit(f"the sink said {line!r} instead of where it listens")
        urls.append(found[1])
    return sink, urls


def write_feed(path, urls, jobs):
    """`jobs` lines with a JSON payload of PAYLOAD_BYTES, the origins in turn."""
    with path.open("w") as feed:
        for number in range(jobs):
            payload = {"event": "order.paid", "number": number, "note": ""}
            payload["note"] = "x" * (PAYLOAD_BYTES - len(compact(payload)))
            job = {"url": f"{urls[number % len(urls)]}/hook", "id": f"job-{number}", "payload": payload}
            feed.write(compact(job) + "\n")


def compare(senders, feed, options, results):
    """CPU microseconds of a delivery: a list for each sender, the rounds in order."""
    micros = {name: [] for name in senders}
    for number in range(options.rounds):
        # Who goes first changes, so that neither always finds the machine as the other left it.
        order = list(senders) if number % 2 == 0 else list(reversed(senders))
        for name in order:
            seconds = measure(senders[name], feed, results)
            check(name, results, options.jobs)
            micros[name].append(seconds / options.jobs * 1e6)
        row = "  ".join(f"{name} {micros[name][-1]:6.2f}" for name in senders)
        print(f"round {number + 1}: {row}", flush=True)
    return micros


def measure(command, feed, results):
    """Runs a sender over the feed; gives the CPU seconds, user and system, of its process."""
    with feed.open() as jobs, results.open("w") as out:
        process = subprocess.Popen(pin(command, SENDER_CORE), stdin=jobs, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def check(name, results, jobs):
    """Every job has one result, and it is `delivered`."""
    ids = set()
    with results.open() as lines:
        for line in lines:
            result = json.loads(line)
            if result["outcome"] != "delivered":
                sys.exit(f"{name}: {line.strip()}")
            ids.add(result["id"])
    if len(ids) != jobs:
        sys.exit(f"{name}: {len(ids)} results for {jobs} jobs")


def report(micros):
    print("\nCPU microseconds a delivery (user + system)")
    print(f"{'':10}{'min':>8}{'median':>8}{'max':>8}")
    for name, all_rounds in micros.items():
        print(f"{name:10}{min(all_rounds):8.2f}{statistics.median(all_rounds):8.2f}{max(all_rounds):8.2f}")
    ratios = [hyper / conduit for conduit, hyper in zip(micros["conduit"], micros["hyper"])]
    print(f"hyper / conduit, median of the rounds: {statistics.median(ratios):.2f}")


def pin(command, core):
    return ["taskset", "-c", str(core), *map(str, command)]


def compact(value):
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    main()
