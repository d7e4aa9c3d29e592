//! One step of the preprocessing as a whole process, file in and file out, so that it can be timed beside other programs
//! (`benches/peers`). Prints the seconds of the step itself, without reading and writing, as the peers' scripts do. Not part
//! of the release.
//!
//! ```text
//! step brain IN OUT              T1w volume to brain mask
//! step bias IN MASK OUT          T1w volume and mask to multiplicative field
//! step normalize IN MASK OUT     T1w volume and mask to volume with its white matter at 1000
//! step motion IN OUT PARAMS.tsv  bold series to motion-corrected series and six parameters per volume
//! step copy IN OUT               any image, read and written
//! ```

use imaging::bias::estimate_bias;
use imaging::brain::{Contrast, extract_brain};
use imaging::intensity::white_matter_reference;
use imaging::motion::{estimate_motion, resample_in_place};
use neuro_preprocess::templates;
use nifti::{Header, Image, Voxels};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use ndarray::{Array3, Axis};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: step brain IN OUT | bias IN MASK OUT | normalize IN MASK OUT | motion IN OUT PARAMS.tsv | \
                     copy IN OUT";

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["brain", image, out] => brain(image, out),
        ["bias", image, mask, out] => bias(image, mask, out),
        ["normalize", image, mask, out] => normalize(image, mask, out),
        ["motion", image, out, table] => motion(image, out, table),
        ["copy", image, out] => {
            let Image { header, data, .. } = nifti::read(Path::new(image))?;
            save(out, &header, Voxels::Scaled(data.view()))
        }
        _ => Err(USAGE.into()),
    }
}

fn brain(image: &str, out: &str) -> Result<()> {
    let Image { header, data, .. } = nifti::read(Path::new(image))?;
    let (image, template) = (data.index_axis(Axis(0), 0), templates::head());
    let found = timed(|| extract_brain(image, &header.grid().affine, Contrast::T1w, template))?;
    save(out, &header, Voxels::Mask(found.mask.view()))
}

fn bias(image: &str, mask: &str, out: &str) -> Result<()> {
    let Image { header, data, .. } = nifti::read(Path::new(image))?;
    let mask = read_mask(mask)?;
    let voxel_mm = header.grid().voxel_mm;
    let found = timed(|| estimate_bias(data.index_axis(Axis(0), 0), mask.view(), voxel_mm))?;
    save(out, &header, Voxels::Smooth(found.field.view().insert_axis(Axis(0))))
}

fn normalize(image: &str, mask: &str, out: &str) -> Result<()> {
    let Image { header, mut data, .. } = nifti::read(Path::new(image))?;
    let mask = read_mask(mask)?;
    timed(|| -> Result<()> {
        let reference = white_matter_reference(data.index_axis(Axis(0), 0), mask.view())?;
        data.par_mapv_inplace(|v| v * reference.scale as f32);
        Ok(())
    })?;
    save(out, &header, Voxels::Scaled(data.view()))
}

fn motion(image: &str, out: &str, table: &str) -> Result<()> {
    let Image { header, mut data, .. } = nifti::read(Path::new(image))?;
    let affine = header.grid().affine;
    let estimate = timed(|| -> Result<_> {
        let estimate = estimate_motion(data.view(), affine)?;
        resample_in_place(&mut data, affine, &estimate)?;
        Ok(estimate)
    })?;
    let mut text = String::from("trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z\n");
    for volume in &estimate.parameters {
        writeln!(text, "{}", volume.map(|v| format!("{v:.6}")).join("\t"))?;
    }
    fs::write(table, text)?;
    save(out, &header, Voxels::Scaled(data.view()))
}

/// Does `step` and prints how long it took.
fn timed<T>(step: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = step();
    println!("core {:.3}", start.elapsed().as_secs_f64());
    done
}

fn read_mask(path: &str) -> Result<Array3<u8>> {
    Ok(nifti::read(Path::new(path))?.data.index_axis(Axis(0), 0).mapv(|v| u8::from(v > 0.5)))
}

fn save(path: &str, header: &Header, voxels: Voxels<'_>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    nifti::write(&mut file, header, voxels)?;
    Ok(file.flush()?)
}
