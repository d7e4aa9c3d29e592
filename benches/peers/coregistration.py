"""Where bold runs end on the T1w image when their headers are wrong, and how near that is to the truth.

    benches/peers/coregistration.py PROGRAM WORK [--t1w FILE --bold FILE] [--starts 20]

Puts one run into many sessions, each time with a header turned by up to 10 degrees and moved by up to 10 mm, and lays all onto
one T1w image. With the headers' changes taken off, all answers should be one place; how far they lie apart is the root mean square
over a sphere of 80 mm about the brain's centre (Jenkinson 1999). Without files a synthetic participant is taken, of whom the true
place is known; its run is also laid with signal that is lost above the sinuses, and with its middle ten slices alone. SimpleITK's rigid registration by mutual information does the same for the first starts, timed. Needs nibabel,
numpy and SimpleITK.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

RADIUS, MOST_MM, MOST_DEGREES, OF_PEER = 80.0, 10.0, 10.0, 5

asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
asked.add_argument("program", type=Path)
asked.add_argument("work", type=Path)
asked.add_argument("--t1w", type=Path)
asked.add_argument("--bold", type=Path)
asked.add_argument("--starts", type=int, default=20)
asked = asked.parse_args()


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def turned(rng):
    """A rigid change of a header, about the centre of the image."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(rng.uniform(0.3, 1.0) * MOST_DEGREES)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    m = np.eye(4)
    m[:3, :3] = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    shift = rng.normal(size=3)
    return m, shift / np.linalg.norm(shift) * rng.uniform(0.3, 1.0) * MOST_MM


def about(m, shift, centre):
    moved = m.copy()
    moved[:3, 3] = centre + shift - m[:3, :3] @ centre
    return moved


def rms(a, b, centre):
    d = a @ np.linalg.inv(b) - np.eye(4)
    t = d[:3, 3] + d[:3, :3] @ centre
    return float(np.sqrt(t @ t + np.trace(d[:3, :3].T @ d[:3, :3]) * RADIUS**2 / 5))


def ras(transform):
    """An ITK affine as a matrix in RAS+."""
    affine = sitk.AffineTransform(transform)
    m, c, t = (np.array(v) for v in (affine.GetMatrix(), affine.GetCenter(), affine.GetTranslation()))
    whole = np.eye(4)
    whole[:3, :3] = m.reshape(3, 3)
    whole[:3, 3] = t + c - whole[:3, :3] @ c
    flip = np.diag([-1, -1, 1, 1])
    return flip @ whole @ flip


asked.work.mkdir(parents=True)
truth = None
if asked.t1w is None:
    made = asked.work / "synthetic"
    run(asked.program, "synth", made, "--participants", 1, "--voxel-size", 1, "--volumes", 20, "--seed", 5)
    asked.t1w = next(made.glob("sub-01/anat/*_T1w.nii.gz"))
    asked.bold = next(made.glob("sub-01/func/*_bold.nii.gz"))
    truth = json.loads(next(made.glob("derivatives/ground-truth/sub-01/func/*_desc-motion_timeseries.json")).read_text())
    anatomy = json.loads(next(made.glob("derivatives/ground-truth/sub-01/anat/*_desc-bias_T1w.json")).read_text())

bids, rng = asked.work / "bids", np.random.default_rng(7)
image = nib.load(asked.bold)
centre = (image.affine @ [*(np.array(image.shape[:3]) / 2 - 0.5), 1])[:3]
sidecar = asked.bold.with_name(asked.bold.name.replace(".nii.gz", ".json")).read_text()
voxels = np.asarray(image.dataobj)


def lost(values):
    """Signal that fades to a tenth within 25 mm of a place behind the forehead, low in the brain."""
    bright = np.argwhere(values[..., 0] > 0.3 * np.percentile(values[..., 0], 99))
    world = bright @ image.affine[:3, :3].T + image.affine[:3, 3]
    low, high = np.percentile(world, 2, axis=0), np.percentile(world, 98, axis=0)
    place = np.array([(low[0] + high[0]) / 2, high[1] - 25, low[2] + 0.4 * (high[2] - low[2])])
    at = np.stack(np.meshgrid(*map(np.arange, values.shape[:3]), indexing="ij"), -1) @ image.affine[:3, :3].T + image.affine[:3, 3]
    far = np.linalg.norm(at - place, axis=-1)
    return (values * (1 - 0.9 * np.exp(-((far / 25) ** 4)))[..., None]).astype(values.dtype)


def series(n):
    """The voxels of a session, and where its slices begin."""
    if n == "lost":
        return lost(voxels), 0
    if n == "slab":
        first = voxels.shape[2] // 2 - 5
        return voxels[:, :, first : first + 10], first
    return voxels, 0


def true_place(told):
    """Takes points of the T1w image to the reference volume of the run."""
    motion = np.array(truth["Matrices"][told["ReferenceVolume"]])
    return motion @ np.array(truth["HeadMatrix"]) @ np.linalg.inv(np.array(anatomy["HeadMatrix"]))


changes = [np.eye(4)] + [about(*turned(rng), centre) for _ in range(asked.starts)]
sessions = {f"{n:02}": change for n, change in enumerate(changes)}
if truth is not None:
    sessions |= {"lost": np.eye(4), "slab": np.eye(4)}
for session, change in sessions.items():
    func = bids / f"sub-01/ses-{session}/func"
    func.mkdir(parents=True)
    values, first = series(session)
    shift = np.eye(4)
    shift[2, 3] = first
    nib.save(nib.Nifti1Image(values, change @ image.affine @ shift), func / f"sub-01_ses-{session}_task-rest_bold.nii.gz")
    (func / f"sub-01_ses-{session}_task-rest_bold.json").write_text(sidecar)
anat = bids / "sub-01/ses-anat/anat"
anat.mkdir(parents=True)
(anat / "sub-01_ses-anat_T1w.nii.gz").symlink_to(asked.t1w.resolve())
(bids / "dataset_description.json").write_text('{"Name": "starts", "BIDSVersion": "1.10.0"}')
out = asked.work / "out"
options = ["--output-spaces", "T1w", "--no-report", "--nprocs", "1", "--quiet", "--ignore", "slicetiming"]
done = subprocess.run([asked.program, bids, out, "participant", *options], stdout=subprocess.DEVNULL).returncode
if done not in (0, 1):
    sys.exit(f"the program ended with {done}")

places, seconds, refused = [], [], 0
for n, change in enumerate(changes):
    session = f"sub-01/ses-{n:02}"
    name = f"sub-01_ses-{n:02}_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    # From the T1w image to the run, with the change of its header taken off.
    places.append(np.linalg.inv(change) @ ras(sitk.ReadTransform(str(out / session / "func" / name))))
    scans = json.loads((out / "sub-01" / f"sub-01_ses-{n:02}_summary.json").read_text())["scans"]
    scan = next(scan for scan in scans if scan["modality"] == "bold")
    seconds.append(scan["stages"]["coregistration"])
    refused += not scan["coregistration"]["accepted"]
apart = [rms(place, places[0], centre) for place in places[1:]]
found = {
    "starts": asked.starts,
    "not accepted": refused,
    "within 0.05 mm": sum(a <= 0.05 for a in apart),
    "apart, mm, largest": max(apart),
    "apart, mm, median": float(np.median(apart)),
    # The first also reads the anatomy.
    "seconds, median": float(np.median(seconds[1:])),
}
if truth is not None:
    told = json.loads(next((out / "sub-01/ses-00/func").glob("*_desc-hmc_xfm.json")).read_text())
    true = true_place(told)
    found["from the truth, mm"] = rms(places[0], true, centre)
    for session, what in (("lost", "with signal lost in front"), ("slab", "middle ten slices")):
        func = out / f"sub-01/ses-{session}/func"
        maps, told = list(func.glob("*_desc-coreg_xfm.txt")), list(func.glob("*_desc-hmc_xfm.json"))
        if not maps:
            found[f"from the truth, mm, {what}"] = "the run failed"
            continue
        true = true_place(json.loads(told[0].read_text()))
        found[f"from the truth, mm, {what}"] = rms(ras(sitk.ReadTransform(str(maps[0]))), true, centre)
    true = true_place(json.loads(next((out / "sub-01/ses-00/func").glob("*_desc-hmc_xfm.json")).read_text()))

# The peer: the corrected T1w image inside its mask, as is usual, onto the mean of the run.
head = sitk.ReadImage(str(next((out / "sub-01/ses-anat/anat").glob("*_ses-anat_desc-preproc_T1w.nii.gz"))), sitk.sitkFloat32)
mask = sitk.ReadImage(str(next((out / "sub-01/ses-anat/anat").glob("*_ses-anat_desc-brain_mask.nii.gz"))), sitk.sitkUInt8)
head = sitk.Mask(head, mask)
theirs, spent = [], []
for n in range(min(OF_PEER, len(changes))):
    mean = sitk.ReadImage(str(next((out / f"sub-01/ses-{n:02}/func").glob("*_task-rest_boldref.nii.gz"))), sitk.sitkFloat32)
    begun = time.process_time()
    first = sitk.CenteredTransformInitializer(mean, head, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.5, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 300)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(first, inPlace=False)
    answer = method.Execute(mean, head)
    spent.append(time.process_time() - begun)
    # It takes points of the run to the T1w image.
    matrix = sitk.Euler3DTransform(answer.GetNthTransform(0)) if answer.GetName() == "CompositeTransform" else answer
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix.GetMatrix()), affine.SetCenter(matrix.GetCenter()), affine.SetTranslation(matrix.GetTranslation())
    theirs.append(np.linalg.inv(changes[n]) @ np.linalg.inv(ras(affine)))
found["SimpleITK: apart, mm, largest"] = max(rms(place, theirs[0], centre) for place in theirs[1:])
found["SimpleITK: CPU seconds, median"] = float(np.median(spent))
found["SimpleITK: from ours, mm"] = rms(theirs[0], places[0], centre)
if truth is not None:
    found["SimpleITK: from the truth, mm"] = rms(theirs[0], true, centre)
print(json.dumps(found, indent=2))
