//! Imaging methods as pure functions: arrays in, arrays out; no files, no logs, no telemetry.
//!
//! Conventions of every function here: volumes are indexed `[[k, j, i]]`, shape `(nz, ny, nx)`, standard (C) layout, so
//! `i` (x) is contiguous, the order of NIfTI data on disk; series are `(nt, nz, ny, nx)`. Axes are RAS+: `i` grows to the
//! right, `j` to the front, `k` to the top. Voxel sizes are `[dz, dy, dx]` in millimetres. Masks are `u8`, 0 or 1.
