"""``python -m tests.fuzz [TARGET …] [--runs N]``: each target in a process of its own, by atheris,
which looks at what the code does and keeps what leads somewhere new; without it, by `driver`.

What fails is left in ``tests/fuzz/found``: put it into the corpus when it is mended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.driver import run
from tests.fuzz.targets import CORPUS, TARGETS


def fuzz(name: str, runs: int) -> None:
    """One target, in this process, which does not return."""
    try:
        import atheris
    except ImportError:
        print(f"{name}: atheris is not installed; mutations by chance")
        run(name, runs)
        return
    with atheris.instrument_imports(include=["engine"]):
        for module in [m for m in sys.modules if m.startswith(("engine", "tests.fuzz.targets"))]:
            del sys.modules[module]
        from tests.fuzz.targets import TARGETS as instrumented

    found = Path(__file__).parent / "found"
    found.mkdir(exist_ok=True)
    # The first folder is where new inputs go: what is kept in the repository stays small.
    new = found / name
    new.mkdir(exist_ok=True)
    options = [f"-runs={runs}", "-max_len=4096", "-rss_limit_mb=2048", "-verbosity=0",
               "-print_final_stats=1", f"-artifact_prefix={found}/{name}-"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(new), str(CORPUS / name)], instrumented[name])
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", allow_abbrev=False)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all: " + ", ".join(TARGETS))
    parser.add_argument("--runs", type=int, default=20_000, help="of each (default: 20000)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        fuzz(asked.targets[0], asked.runs)
        return 0
    failed = []
    for name in asked.targets or TARGETS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--here", "--runs", str(asked.runs)]
        if subprocess.run(command).returncode:
            failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "all hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
