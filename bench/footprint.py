#!/usr/bin/env python3
"""What Motet itself costs, measured on this machine: memory and processor time with ten idle services, and how much longer
`motet up` takes to ready than the services themselves need.

    python3 bench/footprint.py [path of motet]        default: target/release/motet

Needs nothing but Python. Prints medians of five rounds. The services' own time is that of the same ten programs
started together by hand and waited for in the same way, in turns with Motet.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVICES, ROUNDS, OBSERVED = 10, 5, 20.0
SERVICE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def by_hand(folder: Path) -> float:
    """Seconds until all services, started together, accept connections."""
    ports = [free_port() for _ in range(SERVICES)]
    begun = time.monotonic()
    started = [
        subprocess.Popen([sys.executable, "service.py"], cwd=folder, env={**os.environ, "PORT": str(port)})
        for port in ports
    ]
    while not all(answers(port) for port in ports):
        time.sleep(0.005)
    took = time.monotonic() - begun
    for process in started:
        process.kill()
        process.wait()
    return took


def motet(folder: Path, *words: str) -> str:
    return subprocess.run([binary, "-C", folder, *words], check=True, capture_output=True, text=True).stdout


def by_motet(folder: Path) -> float:
    begun = time.monotonic()
    motet(folder, "up", "--detach", "--wait")
    return time.monotonic() - begun


def own_processes(folder: Path) -> list[int]:
    """The process that runs the system, and its children that are Motet too."""
    supervisor = json.loads(motet(folder, "ps", "--json"))["pid"]
    program = os.readlink(f"/proc/{supervisor}/exe")
    found = [supervisor]
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            if parent == supervisor and os.readlink(entry / "exe") == program:
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def memory_mib(pid: int) -> float:
    """Proportional set size: what processes share counts for each by its share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "service.py").write_text(SERVICE)
        services = {
            f"s{number}": {"path": ".", "process": {"command": [sys.executable, "service.py"]}}
            for number in range(SERVICES)
        }
        # JSON is YAML.
        (folder / "motet.yaml").write_text(json.dumps({"motet": 1, "system": "idle", "services": services}))
        hand, ours, memory, share = [], [], [], []
        for _ in range(ROUNDS):
            hand.append(by_hand(folder))
            ours.append(by_motet(folder))
            own = own_processes(folder)
            before, begun = sum(map(cpu_seconds, own)), time.monotonic()
            time.sleep(OBSERVED)
            share.append(100 * (sum(map(cpu_seconds, own)) - before) / (time.monotonic() - begun))
            memory.append(sum(map(memory_mib, own)))
            motet(folder, "down")
        print(f"{SERVICES} idle services, medians of {ROUNDS} rounds (min-max)")
        for what, values, unit in (
            ("started by hand, until all answer", hand, "s"),
            ("motet up, until all are ready", ours, "s"),
            ("memory of motet", memory, "MiB"),
            ("processor time of motet, share of a core", share, "%"),
        ):
            print(f"  {what:42} {statistics.median(values):7.2f} {unit}  ({min(values):.2f}-{max(values):.2f})")
        beyond = statistics.median(ours) - statistics.median(hand)
        print(f"  {'beyond what the services need':42} {beyond:7.2f} s")


if __name__ == "__main__":
    binary = str(Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/motet").resolve())
    main()
