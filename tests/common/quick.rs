//! Scans that are processed quickly.
//!
//! Finding a head, and bringing a template to it, takes several times as long as all else that is done to a small scan. Of
//! an image without a head the brain is all there is, and in a field of view of more than 1.2 m no head is looked for.

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// Slices of 6 mm in the new field of view, 1.22 m.
const SLICES: usize = 204;
/// Where NIfTI-1 has the number of slices, and where `synth` begins the voxels, of two bytes each.
const DIM_3: usize = 46;
const VOXELS: usize = 352;

/// Takes the head off every scan of a dataset that `synth` made with voxels of 6 mm, and adds black below. Each goes through
/// all stages, and has all derivatives, as before.
pub fn make_quick(bids: &Path) {
    let truth = bids.join("derivatives/ground-truth");
    let files = walkdir::WalkDir::new(&truth).into_iter().map(|file| file.unwrap().into_path());
    let mut made = 0;
    for mask in files {
        let below = mask.strip_prefix(&truth).unwrap().to_str().unwrap();
        let Some(name) = below.strip_suffix("_desc-brain_mask.nii.gz") else { continue };
        let kind = if below.contains("/anat/") { "T1w" } else { "bold" };
        let scan = bids.join(format!("{name}_{kind}.nii.gz"));
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&stripped(&unpacked(&scan), &unpacked(&mask)[VOXELS..])).unwrap();
        fs::write(&scan, packed.finish().unwrap()).unwrap();
        made += 1;
    }
    assert!(made > 0, "no scans in {}", bids.display());
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The image with its voxels of 0 in the mask set to 0, and below each volume so many slices more that there are [`SLICES`].
fn stripped(image: &[u8], mask: &[u8]) -> Vec<u8> {
    let dim = |at: usize| usize::from(u16::from_le_bytes([image[at], image[at + 1]]));
    let (slice, slices) = (dim(DIM_3 - 4) * dim(DIM_3 - 2), dim(DIM_3));
    assert_eq!(mask.len(), slice * slices);
    let mut out = image[..VOXELS].to_vec();
    out[DIM_3..DIM_3 + 2].copy_from_slice(&u16::try_from(SLICES).unwrap().to_le_bytes());
    for volume in image[VOXELS..].chunks_exact(2 * mask.len()) {
        out.resize(out.len() + 2 * slice * (SLICES - slices), 0);
        for (voxel, inside) in volume.chunks_exact(2).zip(mask) {
            out.extend(if *inside == 0 { &[0, 0] } else { voxel });
        }
    }
    out
}
