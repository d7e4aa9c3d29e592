"""Writes the scans of a synthetic participant as a scanner would send them: DICOM files in one folder, a series for each scan.

Usage: write_dicom.py BIDS_DIR DICOM_DIR
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0])  # NIfTI has the other two directions.


def slices(image: nib.Nifti1Image, description: str, number: int, study: str):
    """A DICOM file of each slice of each volume."""
    data = np.asarray(image.dataobj, dtype=np.float64)
    data = data.reshape(*data.shape[:3], -1)
    scale = 4000.0 / data.max()
    steps = LPS @ image.affine[:3, :3]
    size = np.linalg.norm(steps, axis=0)
    series = generate_uid()
    seconds = float(image.header.get_zooms()[3]) if data.shape[3] > 1 else 2.3
    for t in range(data.shape[3]):
        for k in range(data.shape[2]):
            file = Dataset()
            file.SOPClassUID, file.SOPInstanceUID = MRImageStorage, generate_uid()
            file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID = study, series, study
            file.PatientName, file.PatientID, file.Modality = "Phantom", "phantom", "MR"
            file.Manufacturer, file.MagneticFieldStrength = "UNKNOWN", 3
            file.SeriesDescription = file.ProtocolName = description
            file.StudyDate = file.SeriesDate = file.AcquisitionDate = "20260101"
            file.StudyTime = file.SeriesTime = "100000"
            file.AcquisitionTime = f"{100000 + t * seconds:.3f}"  # runs are shorter than a minute
            file.SeriesNumber, file.AcquisitionNumber = number, t + 1
            file.InstanceNumber = t * data.shape[2] + k + 1
            file.TemporalPositionIdentifier, file.NumberOfTemporalPositions = t + 1, data.shape[3]
            file.ImageType = ["ORIGINAL", "PRIMARY", "M"]
            file.RepetitionTime = 1000 * seconds
            file.EchoTime = 30 if data.shape[3] > 1 else 3
            file.ImageOrientationPatient = [float(x) for x in np.concatenate([steps[:, 0] / size[0], steps[:, 1] / size[1]])]
            file.ImagePositionPatient = [round(float(x), 6) for x in LPS @ (image.affine @ [0, 0, k, 1])[:3]]
            file.PixelSpacing = [float(size[1]), float(size[0])]
            file.SliceThickness = file.SpacingBetweenSlices = float(size[2])
            file.Rows, file.Columns = data.shape[1], data.shape[0]
            file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
            file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
            file.PixelData = np.rint(np.clip(data[:, :, k, t], 0, None) * scale).astype("<u2").T.tobytes()
            file.file_meta = FileMetaDataset()
            file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            yield file


def main(bids: Path, out: Path) -> None:
    out.mkdir(parents=True)
    study = generate_uid()
    scans = [("anat/sub-01_T1w", "t1_mprage"), ("func/sub-01_task-rest_bold", "ep2d_rest")]
    for number, (name, description) in enumerate(scans, 1):
        image = nib.load(bids / "sub-01" / f"{name}.nii.gz")
        for at, file in enumerate(slices(image, description, number, study), 1):
            file.save_as(out / f"{number:02}-{at:05}.dcm", enforce_file_format=True)


main(Path(sys.argv[1]), Path(sys.argv[2]))
