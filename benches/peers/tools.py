"""One step of a Python peer as a whole process: tools.py STEP ARGUMENTS... Prints the seconds of the step itself, without
starting Python, importing, reading and writing."""
import sys
import time


class Timed:
    """Times what is between its braces and prints it."""

    def __enter__(self):
        self.start = time.perf_counter()

    def __exit__(self, *_):
        print(f"core {time.perf_counter() - self.start:.3f}")


def sitk_otsu(image, out):
    import SimpleITK as sitk

    scan = sitk.ReadImage(image, sitk.sitkFloat32)
    with Timed():
        head = sitk.OtsuThreshold(scan, 0, 1, 200)
        parts = sitk.ConnectedComponent(sitk.BinaryErode(head, [4] * 3))
        largest = sitk.RelabelComponent(parts, sortByObjectSize=True) == 1
        mask = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(sitk.BinaryDilate(largest, [4] * 3), [4] * 3))
    sitk.WriteImage(mask, out)


def ants_mask(image, out):
    import ants

    scan = ants.image_read(image)
    with Timed():
        mask = ants.get_mask(scan)
    ants.image_write(mask, out)


def dipy_otsu(image, out):
    import nibabel as nib
    import numpy as np
    from dipy.segment.mask import median_otsu

    scan = nib.load(image)
    data = scan.get_fdata(dtype=np.float32)
    with Timed():
        _, mask = median_otsu(data, median_radius=2, numpass=1)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), scan.affine), out)


def brainextractor(image, out):
    import nibabel as nib
    from brainextractor import BrainExtractor

    bet = BrainExtractor(img=nib.load(image))
    with Timed():
        bet.run()
    bet.save_mask(out)


def sitk_n4(image, mask, out):
    import SimpleITK as sitk

    scan = sitk.ReadImage(image, sitk.sitkFloat32)
    inside = sitk.ReadImage(mask, sitk.sitkUInt8)
    with Timed():
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.Execute(sitk.Shrink(scan, [4] * 3), sitk.Shrink(inside, [4] * 3))
        field = sitk.Exp(n4.GetLogBiasFieldAsImage(scan))
    sitk.WriteImage(sitk.Cast(scan / field, sitk.sitkInt16), out)


def ants_n4(image, mask, out):
    import ants

    scan = ants.image_read(image)
    inside = None if mask == "none" else ants.image_read(mask)
    with Timed():
        even = ants.n4_bias_field_correction(scan, mask=inside, rescale_intensities=False, shrink_factor=4)
    ants.image_write(even, out)


def ants_t1w(image, mask_out, out):
    """What the package's own documentation does with a T1w: N4, then a mask of the result."""
    import ants

    scan = ants.image_read(image)
    with Timed():
        even = ants.n4_bias_field_correction(scan)
        mask = ants.get_mask(even)
    ants.image_write(even, out)
    ants.image_write(mask, mask_out)


def sitk_motion(image, volumes, out, table):
    """Rigid registration of the first volumes with the first one; the table has one 3 x 4 matrix (LPS) per volume."""
    import SimpleITK as sitk

    series = sitk.ReadImage(image, sitk.sitkFloat32)
    volumes = min(int(volumes), series.GetSize()[3])
    rows, moved = [], []
    with Timed():
        first = series[:, :, :, 0]
        r = sitk.ImageRegistrationMethod()
        r.SetMetricAsMeanSquares()
        r.SetInterpolator(sitk.sitkLinear)
        r.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-4, 100)
        r.SetOptimizerScalesFromPhysicalShift()
        r.SetShrinkFactorsPerLevel([2, 1])
        r.SetSmoothingSigmasPerLevel([2.0, 0.0])
        for t in range(volumes):
            volume = series[:, :, :, t]
            start = sitk.CenteredTransformInitializer(first, first, sitk.Euler3DTransform())
            r.SetInitialTransform(start, inPlace=False)
            found = r.Execute(first, volume) if t else start
            moved.append(sitk.Cast(sitk.Resample(volume, first, found, sitk.sitkBSpline), sitk.sitkInt16))
            origin = found.TransformPoint((0.0, 0.0, 0.0))
            axes = [found.TransformPoint(tuple(float(a == b) for b in range(3))) for a in range(3)]
            rows.append([x for c in range(3) for x in [*(axes[a][c] - origin[c] for a in range(3)), origin[c]]])
    sitk.WriteImage(sitk.JoinSeries(moved), out)
    with open(table, "w") as file:
        file.writelines(" ".join(f"{x:.9f}" for x in row) + "\n" for row in rows)


def normalize(method, image, mask, out):
    import nibabel as nib
    from intensity_normalization import normalize_image

    scan, inside = nib.load(image), nib.load(mask)
    with Timed():
        made = normalize_image(scan, method=method, mask=inside)
    made.save(out)


def nibabel_copy(image, out):
    import nibabel as nib
    import numpy as np

    scan = nib.load(image)
    data = scan.get_fdata(dtype=np.float32)
    copy = nib.Nifti1Image(data, scan.affine, scan.header)
    copy.set_data_dtype(np.int16)
    nib.save(copy, out)


def sitk_copy(image, out):
    import SimpleITK as sitk

    sitk.WriteImage(sitk.Cast(sitk.ReadImage(image, sitk.sitkFloat32), sitk.sitkInt16), out, useCompression=True)


def volumes(*files):
    import nibabel as nib
    import numpy as np

    images = [nib.load(file) for file in files]
    return images[0].affine, [np.asarray(image.dataobj, dtype=np.float32) for image in images]


def save(data, affine, out):
    import nibabel as nib
    import numpy as np

    nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine), out)


def romeo(phase, magnitude, mask, out):
    import warpkit

    affine, (angle, bright, head) = volumes(phase, magnitude, mask)
    with Timed():
        made = warpkit.romeo_unwrap3d(angle, "romeo", bright, head > 0)
    save(made, affine, out)


def skimage_unwrap(phase, magnitude, mask, out):
    import numpy as np
    from skimage.restoration import unwrap_phase

    affine, (angle, _, head) = volumes(phase, magnitude, mask)
    with Timed():
        made = unwrap_phase(np.ma.masked_array(angle, head == 0), rng=0).filled(0)
    save(made, affine, out)


def pyhysco(first, second, out, alpha):
    """The field of a pair whose phase encoding is along the second axis: mm on nodes between voxels, brought to Hz at the voxels."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import torch
    from EPI_MRI.EPIMRIDistortionCorrection import (DataObject, EPIMRIDistortionCorrection, InitializeOT, JacobiCG,
                                                    myAvg1D, myDiff1D, myLaplacian3D)
    from optimization.GaussNewton import GaussNewton

    torch.set_num_threads(1)
    affine, (one, other) = volumes(first, second)
    # It has no gain: equal sums, which distortion keeps.
    other = other * (one.sum(dtype=np.float64) / other.sum(dtype=np.float64))
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("one.nii.gz", "other.nii.gz")]
        for data, path in zip((one, other), paths):
            save(data, affine, path)
        data = DataObject(*paths, 2, device="cpu", dtype=torch.float32)
        with Timed():
            loss = EPIMRIDistortionCorrection(data, alpha=float(alpha), beta=1e-4, averaging_operator=myAvg1D,
                                              derivative_operator=myDiff1D, regularizer=myLaplacian3D, rho=0.0, PC=JacobiCG)
            found = GaussNewton(loss, max_iter=50, verbose=False, path=folder + "/")
            found.run_correction(loss.initialize(blur_result=True))
            nodes = found.Bc.detach().reshape([int(n) + (a == len(data.m) - 1) for a, n in enumerate(data.m)])
        field = nodes.permute(data.p).numpy()
    field = 0.5 * (field[:, 1:] + field[:, :-1])
    step = float(np.linalg.norm(affine[:3, 1]))
    save(field / step / 0.035, affine, out)


STEPS = {f.__name__: f for f in [romeo, skimage_unwrap, pyhysco, sitk_otsu, ants_mask, dipy_otsu, brainextractor, sitk_n4, ants_n4, ants_t1w, sitk_motion,
                                 normalize, nibabel_copy, sitk_copy]}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
