"""Times this program beside its peers on the same files and writes benches/README.md. run.sh installs them first."""
import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import alone
from measure import Tool, alternate, run
from tables import document, table

HERE = Path(__file__).resolve().parent
PARTS = ["whole", "brain", "bias", "motion", "normalize", "copy", "many", "seeds", "phantoms", "own"]
TOOLS = ["niimath", "SimpleITK", "antspyx", "dipy", "brainextractor", "intensity-normalization", "nibabel"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--root", type=Path, required=True)
    p.add_argument("--quick", action="store_true", help="one phantom, few runs, no document")
    p.add_argument("--t1w", type=Path, action="append", default=[], help="a T1w scan of one's own; may be repeated")
    p.add_argument("--bold", type=Path, action="append", default=[], help="a bold series of one's own; may be repeated")
    p.add_argument("--heads", type=int, help="heads in the run over many scans (100; 10 with --quick)")
    p.add_argument("--phantoms", type=Path, help="a BIDS dataset with derivatives/ground-truth, scored besides our own")
    p.add_argument("--only", choices=PARTS, action="append", help="this table only; may be repeated; prints, no document")
    return p.parse_args()


class Case:
    """A scan, its truth if it is a phantom, and where results go."""

    def __init__(self, name, scan, work, truth=None):
        self.name, self.scan, self.truth = name, scan, truth
        self.work = work / name
        self.work.mkdir(parents=True, exist_ok=True)
        # The brain that steps are given which need one.
        self.mask = truth / f"{name}_desc-brain_mask.nii.gz" if truth else self.work / "mask.nii.gz"

    def out(self, name):
        return self.work / name


class Bench:
    """The programs, the inputs, and one method per table."""

    def __init__(self, options):
        self.quick, self.root = options.quick, options.root
        self.cache = options.root / ".cache/bench"
        self.ours = options.root / "target/release/neuro-preprocess"
        self.step = options.root / "target/release/examples/step"
        self.python = [sys.executable, HERE / "tools.py"]
        library = Path(sys.executable).parent.parent
        self.niimath = next(library.glob("lib/python*/site-packages/niimath/bin/niimath"), Path("niimath"))
        self.strip = self.cache / "niimath-skullstrip/niimath/bin/niimath"
        self.rounds, self.budget = (3, 10) if self.quick else (3, 30)
        self.many_heads = options.heads or (10 if self.quick else 100)
        self.work = self.cache / ("quick" if self.quick else "full")
        self.heads, self.series, self.batch = self.inputs()
        self.own = [Case(self.stem(p), p.resolve(), self.work / "own") for p in options.t1w]
        self.own_runs = [Case(self.stem(p), p.resolve(), self.work / "own") for p in options.bold]
        for case in self.own:
            run([self.step, "brain", case.scan, case.mask])
        # No program should be the one that reads a file from the disk.
        for case in [*self.heads, self.series, *self.own, *self.own_runs]:
            subprocess.run(["cat", case.scan], check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def stem(path):
        return path.name.removesuffix(".gz").removesuffix(".nii")

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def synth(self, name, *settings):
        """A synthetic dataset; made once for each commit, because a later one may make other heads of the same settings."""
        version = subprocess.run([self.ours, "--version"], check=True, capture_output=True, text=True).stdout
        commit = version.split()[-1].rstrip(")")
        folder = self.work / f"{name}-{commit}"
        if not (folder / "done").exists():
            subprocess.run(["rm", "-rf", folder], check=True)
            subprocess.run([self.ours, "synth", folder, *map(str, settings)], check=True, stdout=subprocess.DEVNULL)
            (folder / "done").touch()
        return folder

    def inputs(self):
        heads = self.synth("heads", "--participants", 1 if self.quick else 3, "--voxel-size", 1, "--modalities", "T1w",
                           "--seed", 1)
        # The second participant of this seed moves as people usually do.
        runs = self.synth("runs", "--participants", 2, "--modalities", "bold", "--volumes", 200, "--seed", 1)
        batch = self.synth(f"batch-{self.many_heads}", "--participants", self.many_heads, "--voxel-size", 2,
                           "--modalities", "T1w", "--seed", 2)
        truth = "derivatives/ground-truth"
        t1w = [Case(f.parent.parent.name, f, self.work / "out", heads / truth / f.parent.parent.name / "anat")
               for f in sorted(heads.glob("sub-*/anat/*_T1w.nii.gz"))]
        name = "sub-02_task-rest"
        bold = Case(name, runs / f"sub-02/func/{name}_bold.nii.gz", self.work / "out", runs / truth / "sub-02/func")
        return t1w, bold, batch

    def score(self, *words):
        command = [sys.executable, HERE / "score.py", *map(str, words)]
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(made.stdout)

    def timed(self, title, tools, cases, rounds=None):
        self.note(f"-- {title}")
        alternate(tools, cases, rounds or self.rounds, self.budget, self.note)
        return table(title, tools)

    def brain_tools(self, scored):
        def tool(name, file, command):
            score = (lambda c: self.score("brain", c.out(file), c.mask)) if scored else None
            return Tool(name, lambda c: [[*command, c.scan, c.out(file)]], score)

        strip = Tool("niimath -skullstrip",
                     lambda c: [[self.strip, c.scan, "-skullstrip", c.out("strip.nii.gz"), "-odt", "short"]],
                     (lambda c: self.score("brain", c.out("strip.nii.gz"), c.mask)) if scored else None)
        named = [("SimpleITK Otsu, morphology", "sitk_otsu"), ("ants.get_mask", "ants_mask"),
                 ("dipy median_otsu(2, 1)", "dipy_otsu"), ("brainextractor", "brainextractor")]
        return [tool("neuro-preprocess", "brain.nii.gz", [self.step, "brain"]), strip,
                *(tool(name, f"{step}.nii.gz", [*self.python, step]) for name, step in named)]

    def brain(self):
        return self.timed("Brain extraction", self.brain_tools(True), self.heads)

    def bias_tools(self, scored):
        def tool(name, file, kind, commands):
            def score(c):
                truth = [c.truth / f"{c.name}_desc-brain_mask.nii.gz", c.truth / f"{c.name}_desc-bias_T1w.nii.gz",
                         c.truth / f"{c.name}_dseg.nii.gz"]
                return self.score("bias", c.scan, c.out(file), kind, *truth)
            return Tool(name, commands, score if scored else None)

        n4 = ["-n4", "-rescale", "0"]
        return [
            tool("neuro-preprocess", "field.nii.gz", "field",
                 lambda c: [[self.step, "bias", c.scan, c.mask, c.out("field.nii.gz")]]),
            tool("niimath -n4", "n4.nii.gz", "image",
                 lambda c: [[self.niimath, c.scan, *n4, "-mask", c.mask, c.out("n4.nii.gz"), "-odt", "short+"]]),
            tool("SimpleITK N4, shrink 4", "sitk_n4.nii.gz", "image",
                 lambda c: [[*self.python, "sitk_n4", c.scan, c.mask, c.out("sitk_n4.nii.gz")]]),
            tool("antspyx N4, shrink 4", "ants_n4.nii.gz", "image",
                 lambda c: [[*self.python, "ants_n4", c.scan, c.mask, c.out("ants_n4.nii.gz")]]),
        ]

    def bias(self):
        return self.timed("Bias field, given the true brain", self.bias_tools(True), self.heads)

    def motion_tools(self, scored, volumes, subset):
        def tool(name, file, kind, command, scale=1):
            table_file = {"tsv": "motion.tsv", "1D": "moco.1D", "matrix": "sitk.txt"}[kind]
            def score(c):
                truth = next(c.truth.glob(f"{c.name}_desc-motion_timeseries.json"))
                return self.score("motion", c.scan, c.out(table_file), kind, truth)
            return Tool(name, lambda c: [command(c, c.out(file), c.out(table_file))], score if scored else None, scale)

        return [
            tool("neuro-preprocess", "motion.nii.gz", "tsv", lambda c, out, t: [self.step, "motion", c.scan, out, t]),
            tool("niimath -moco", "moco.nii.gz", "1D",
                 lambda c, out, t: [self.niimath, c.scan, "-moco", "-1Dfile", t, out, "-odt", "short+"]),
            tool(f"SimpleITK rigid, {subset} volumes, step × {volumes / subset:g}", "sitk.nii.gz", "matrix",
                 lambda c, out, t: [*self.python, "sitk_motion", c.scan, subset, out, t], volumes / subset),
        ]

    def motion(self):
        tools = self.motion_tools(True, 200, 8 if self.quick else 20)
        return self.timed("Head motion, 200 volumes, resampled series written", tools, [self.series])

    def normalize(self):
        methods = ["whitestripe", "zscore"] + ([] if self.quick else ["fcm"])
        tools = [Tool("neuro-preprocess", lambda c: [[self.step, "normalize", c.scan, c.mask, c.out("normal.nii.gz")]])]
        for m in methods:
            command = lambda c, m=m: [[*self.python, "normalize", m, c.scan, c.mask, c.out(f"{m}.nii.gz")]]
            tools.append(Tool(f"intensity-normalization {m}", command))
        return self.timed("Intensity normalisation, given the true brain", tools, self.heads)

    def copy(self):
        tools = [
            Tool("neuro-preprocess", lambda c: [[self.step, "copy", c.scan, c.out("copy.nii.gz")]]),
            Tool("niimath", lambda c: [[self.niimath, c.scan, "-add", "0", c.out("copy_n.nii.gz"), "-odt", "short"]]),
            Tool("nibabel", lambda c: [[*self.python, "nibabel_copy", c.scan, c.out("copy_p.nii.gz")]]),
            Tool("SimpleITK", lambda c: [[*self.python, "sitk_copy", c.scan, c.out("copy_s.nii.gz")]]),
        ]
        return self.timed("Read and write .nii.gz, a T1w of 1 mm as int16", tools, self.heads, 5)

    def whole_tools(self):
        def niimath(c):
            strip, out = c.out("whole_strip.nii.gz"), c.out("whole_n4.nii.gz")
            return [[self.strip, c.scan, "-skullstrip", strip, "-odt", "short"],
                    [self.niimath, c.scan, "-n4", "-mask", strip, out, "-odt", "short+"]]

        def ants(c):
            return [[*self.python, "ants_t1w", c.scan, c.out("whole_mask.nii.gz"), c.out("whole_ants.nii.gz")]]

        def ours(c):
            return [[self.ours, "process", c.scan, "-o", c.out("derivatives"), "--nprocs", 2, "--force"]]

        tools = [Tool("neuro-preprocess, everything", ours), Tool("niimath: strip, then N4 in the mask", niimath)]
        return tools if self.quick else [*tools, Tool("antspyx: N4, then get_mask", ants)]

    def whole(self):
        return self.timed("A T1w of 1 mm as a whole", self.whole_tools(), self.heads)

    def own_scans(self):
        """The same on the scans that were named: times only, as their truth is not known."""
        made = []
        for c in self.own:
            for title, tools in [("as a whole", self.whole_tools()), ("brain extraction", self.brain_tools(False)),
                                 ("bias field in our mask", self.bias_tools(False))]:
                made.append(self.timed(f"{c.name}: {title}", tools, [c], 2))
        for c in self.own_runs:
            made.append(self.timed(f"{c.name}: head motion", self.motion_tools(False, 1, 1)[:2], [c], 2))
        return made


def setting(bench, options):
    """What the numbers were measured with."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    version = subprocess.run([bench.ours, "--version"], capture_output=True, text=True).stdout.strip()
    peers = []
    for name in TOOLS:
        try:
            peers.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            peers.append(f"{name} absent")
    own = "".join(f" --t1w {p.name}" for p in options.t1w) + "".join(f" --bold {p.name}" for p in options.bold)
    own += f" --heads {options.heads}" if options.heads else ""
    own += f" --phantoms {options.phantoms.name}" if options.phantoms else ""
    missing = (bench.cache / "missing.txt").read_text().splitlines() if (bench.cache / "missing.txt").exists() else []
    lines = [f"`benches/peers/run.sh{' --quick' if bench.quick else ''}{own}`: {version}; {', '.join(peers)}.",
             f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; 2 threads for every program."]
    return "\n".join([*lines, *(f"Not compared: {line}." for line in missing)])


def main():
    options = arguments()
    bench = Bench(options)
    head = setting(bench, options)
    steps = {
        "whole": bench.whole, "brain": bench.brain, "bias": bench.bias, "motion": bench.motion,
        "normalize": bench.normalize, "copy": bench.copy, "many": lambda: alone.many(bench),
        "seeds": lambda: alone.seeds(bench), "own": lambda: "\n\n".join(bench.own_scans()),
    }
    if options.phantoms:
        steps["phantoms"] = lambda: alone.phantoms(bench, options.phantoms.resolve())
    text = "\n\n".join(filter(None, [head, *(make() for name, make in steps.items() if name in (options.only or PARTS))]))
    print(text)
    if not bench.quick and not options.only:
        document(bench.root / "benches/README.md", text)


if __name__ == "__main__":
    main()
