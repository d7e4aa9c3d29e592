"""Runs whole processes and says what they cost by the operating system's own accounting. Standard library only: a child
begins with the memory of its parent, so a large parent would show up as the child's peak."""
import os
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

THREADS = ["OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS",
           "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]


@dataclass
class Run:
    """One run: seconds of wall and processor time, MB at the peak, seconds of the step alone if the program tells."""
    wall: float
    cpu: float
    peak: float
    core: float | None
    error: str | None

    def scaled(self, scale):
        """The run as if its step had been `scale` times as long; what is around the step is counted once."""
        share = (self.core or 0) / self.wall
        longer = 1 + share * (scale - 1)
        return Run(self.wall * longer, self.cpu * longer, self.peak, self.core and self.core * scale, self.error)


@dataclass
class Tool:
    """A program in a table. `commands(case)` gives what to run one after the other for a case; `scale` is how many times
    the step the whole work would have been (a part of the volumes was done)."""
    name: str
    commands: object
    score: object = None
    scale: float = 1
    runs: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    spent: float = 0

    def median(self, what):
        """The median of its runs, or nothing if they failed or do not tell."""
        values = [getattr(run, what) for run in self.runs if not run.error]
        values = [v for v in values if v is not None]
        return statistics.median(values) if values else None

    def ratio(self, what, first):
        """How many times what `first` needs it needs: the median over the rounds that both had."""
        pairs = [(mine, its) for mine, its in zip(self.runs, first.runs) if not mine.error and not its.error]
        values = [getattr(mine, what) / getattr(its, what) for mine, its in pairs if getattr(its, what)]
        return statistics.median(values) if values else None


def environment(threads):
    return {**os.environ, **{name: str(threads) for name in THREADS}, "TQDM_DISABLE": "1"}


def run(command, threads=2):
    """Runs one command to its end. It speaks into a file, as in a batch job: for readers of a pipe our program stays for 60 ms
    after its last line (src/app/last_words.rs)."""
    with tempfile.TemporaryFile("w+") as spoken:
        start = time.perf_counter()
        child = subprocess.Popen([str(c) for c in command], stdout=spoken, stderr=subprocess.STDOUT, env=environment(threads))
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        spoken.seek(0)
        said = spoken.read()
    core = re.search(r"^core ([0-9.]+)$", said, re.M)
    error = None if child.returncode == 0 else (said.strip().splitlines() or [f"exit {child.returncode}"])[-1][:100]
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, float(core[1]) if core else None, error)


def run_all(commands, threads=2):
    """Several commands that do one piece of work one after the other, as one run."""
    runs = [run(c, threads) for c in commands]
    cores = [r.core for r in runs if r.core is not None]
    return Run(sum(r.wall for r in runs), sum(r.cpu for r in runs), max(r.peak for r in runs), sum(cores) or None,
               next((r.error for r in runs if r.error), None))


def alternate(tools, cases, rounds, budget, note, threads=2):
    """Runs every tool on the cases in turn (ours, peer, ours, ...): `rounds` rounds, each on the next case. A tool that
    has had `budget` seconds is done."""
    for number in range(rounds):
        case = cases[number % len(cases)]
        for tool in tools:
            if number and (tool.spent > budget or any(r.error for r in tool.runs)):
                continue
            done = run_all(tool.commands(case), threads)
            note(f"{tool.name}: {done.wall:.1f} s")
            tool.runs.append(done.scaled(tool.scale))
            tool.spent += done.wall
            if tool.score and number < len(cases) and not tool.runs[-1].error:
                tool.scores.append(tool.score(case))
