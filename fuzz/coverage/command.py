"""`fuzz/run coverage TARGET`: fuzzes one target from its kept corpus, or makes that corpus smaller.

`all` fuzzes every target, two at a time, and prints only how each ended (libFuzzer's output is in .fuzz/TARGET/log).
What is found goes to .fuzz/TARGET/ (new inputs to corpus/, faults beside it), never to the kept corpus in
fuzz/corpus/TARGET: `--keep` minimises both into that. Exit status 1 if there was a fault; the input that shows it is
saved, and `fuzz/run coverage TARGET --replay FILE` shows it again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from fuzz.coverage.seeds import SEEDS

ROOT = Path(__file__).parents[2]
TARGETS = ("text", "meta", "binary", "replies")
LONGEST_INPUT = 4096
MOST_KEPT = 300
"""Bytes of an input, and inputs of one target's kept corpus."""

MEMORY = 512
"""MiB that a target may grow to: Python with everything imported takes 50, libFuzzer's own corpus little more."""

STALLED = 10
"""Seconds for one input. Most take less than a millisecond."""


def run(target: str, *arguments: str, log: Path | None = None) -> int:
    """Run a target with arguments for libFuzzer. The script itself is started: to minimise, libFuzzer does so again."""
    script = ROOT / "fuzz" / "coverage" / f"{target}.py"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    bounds = [f"-max_len={LONGEST_INPUT}", f"-rss_limit_mb={MEMORY}", f"-timeout={STALLED}"]
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    with log.open("wb") if log else nullcontext() as output:
        command = [str(script), *bounds, *arguments]
        return subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode


def places(target: str) -> tuple[Path, Path, Path]:
    """Where the kept corpus of a target is, where faults go, and where what it finds goes."""
    kept, faults = ROOT / "fuzz" / "corpus" / target, ROOT / ".fuzz" / target
    found = faults / "corpus"
    for directory in (kept, found):
        directory.mkdir(parents=True, exist_ok=True)
    return kept, faults, found


def fuzz(target: str, seconds: int, log: bool = False) -> int:
    """Fuzz one target; returns 1 if there was a fault."""
    kept, faults, found = places(target)
    dictionary = ROOT / "fuzz" / "coverage" / f"{target}.dict"
    limits = [f"-max_total_time={seconds}", f"-dict={dictionary}", f"-artifact_prefix={faults}/"]
    wanted = [*limits, "-print_final_stats=1", str(found), str(kept)]
    return 1 if run(target, *wanted, log=faults / "log" if log else None) else 0


def fuzz_all(seconds: int) -> int:
    """Fuzz every target, two at a time; print how each ended, and the end of its log if there was a fault."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda target: fuzz(target, seconds, log=True), TARGETS))
    for target, status in zip(TARGETS, results, strict=True):
        lines = (places(target)[1] / "log").read_text(errors="replace").splitlines()
        last = [line for line in lines if line.startswith(("Done", "stat::average_exec", "stat::peak_rss"))]
        print(f"{target}: {'FAULT' if status else 'no fault'}; {'; '.join(last)}")
        if status:
            print("\n".join(lines[-60:]))
    return max(results)


def keep(target: str) -> int:
    """Replace the kept corpus by the smallest inputs of it, of what was found, and of the seeds, that cover as much."""
    kept, faults, found = places(target)
    before = set(faults.iterdir())
    with tempfile.TemporaryDirectory() as directory:
        seeds, merged = Path(directory, "seeds"), Path(directory, "merged")
        seeds.mkdir()
        merged.mkdir()
        for number, seed in enumerate(SEEDS[target]()):
            (seeds / f"{number:04}").write_bytes(seed)
        directories = [str(path) for path in (merged, seeds, found, kept)]
        # Merging goes on after an input that shows a fault, and leaves it out.
        if run(target, "-merge=1", f"-artifact_prefix={faults}/", *directories) or set(faults.iterdir()) != before:
            return 1
        inputs = sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name))
        for path in kept.iterdir():
            path.unlink()
        for path in inputs[:MOST_KEPT]:
            (kept / path.name).write_bytes(path.read_bytes())
    print(f"{min(len(inputs), MOST_KEPT)} of {len(inputs)} inputs kept in {kept.relative_to(ROOT)}")
    return 0


def main(arguments: list[str]) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="fuzz/run coverage", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="how long to fuzz each (default: 60)")
    parser.add_argument("--keep", action="store_true", help="minimise what was found into the kept corpus, and end")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input, and end")
    options = parser.parse_args(arguments)
    if options.target == "all":
        return max(map(keep, TARGETS)) if options.keep else fuzz_all(options.seconds)
    if options.replay:
        return run(options.target, str(options.replay))
    return keep(options.target) if options.keep else fuzz(options.target, options.seconds)
