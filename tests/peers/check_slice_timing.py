"""A second opinion on slice timing: the courses of a run shifted by SciPy's Fourier transform, as AFNI's 3dTshift does it.

    check_slice_timing.py RAW PREPROC MASK MOMENT TIME...

RAW was taken along its third axis at these times, one for each slice; PREPROC is what was made of it, at MOMENT. The head has not
moved. Courses are freed from their mean and trend, and go on beyond their ends turned about the end points. Prints the root mean
square of the difference between both, and that of the difference between RAW and PREPROC, as shares of the size of the courses,
without two volumes at each end.
"""

import json
import sys

import nibabel as nib
import numpy as np
from scipy import fft, signal

raw, preproc, mask = (np.asarray(nib.load(file).dataobj, np.float64) for file in sys.argv[1:4])
moment, *times = map(float, sys.argv[4:])
repetition = float(nib.load(sys.argv[1]).header.get_zooms()[3])
volumes, around = raw.shape[3], 20


def relative(series):
    """Courses of the brain over their mean, without trend."""
    courses = series[mask > 0]
    return signal.detrend(courses / courses.mean(axis=1, keepdims=True), axis=1)


slices = np.broadcast_to(np.arange(raw.shape[2]), raw.shape[:3])[mask > 0]
scanned, ours = relative(raw), relative(preproc)
padded = np.pad(scanned, ((0, 0), (around, around)), mode="reflect", reflect_type="odd")
# No wrap from the end to the beginning: each course goes to and fro.
padded = np.concatenate([padded, padded[:, ::-1]], axis=1)
shift = (moment - np.array(times)[slices]) / repetition
frequency = fft.rfftfreq(padded.shape[1])
half = padded.shape[1] // 2
theirs = fft.irfft(fft.rfft(padded, axis=1) * np.exp(2j * np.pi * frequency * shift[:, None]), n=padded.shape[1], axis=1)
theirs = theirs[:, around : half - around]
inner = slice(2, volumes - 2)
size = scanned.std()
root = lambda apart: float(np.sqrt(np.mean(apart[:, inner] ** 2)) / size)
print(json.dumps({"apart from Fourier": root(ours - theirs), "apart from the scan": root(ours - scanned)}))
