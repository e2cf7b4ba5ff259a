"""The image: its size by layer, and what a container costs before it does anything.

    python benchmarks/image.py [--image weighin:local] [--starts 5]

Needs a Docker engine and the image. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

STARTS = {
    "nothing": ["true"],
    "weighin --version": ["weighin", "--version"],
    "imports of predict": ["python3", "-c", "import weighin.model.predict, mlflow.pyfunc"],
    "imports of a judge": ["python3", "-c", "import pytest, weighin.suites.performance, weighin.suites.plugin"],
}


def docker(*arguments: str) -> str:
    """What the client says. Errors: `CalledProcessError`."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=300, check=True
    ).stdout.strip()


def seconds(image: str, command: list[str], starts: int) -> float:
    """Median of so many starts, without network, as in the gate."""
    taken = []
    for _ in range(starts):
        began = time.perf_counter()
        docker("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", image, *command)  # noqa: S108
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken), 2)


def main() -> int:
    """Print size, layers and starts; 1 where the image is over its budget of 1.4 GB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="weighin:local")
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    size = int(docker("image", "inspect", "--format", "{{.Size}}", given.image))
    listed = docker("history", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", given.image)
    layers = [line.split("\t", 1) for line in listed.splitlines()]
    for number, made in layers:
        if int(number):
            print(f"{int(number) / 1e6:8.1f} MB  {made[:90]}")
    print(f"{size / 1e6:8.1f} MB in all")
    started = {}
    for name, command in STARTS.items():
        started[name] = seconds(given.image, command, given.starts)
        print(f"{started[name]:8.2f} s   a container: {name}")
    print(
        json.dumps(
            {"megabytes": round(size / 1e6), "layers": sum(int(n) > 0 for n, _ in layers), "start_seconds": started}
        )
    )
    return 0 if size <= 1.4e9 else 1


if __name__ == "__main__":
    sys.exit(main())
