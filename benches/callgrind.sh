#!/usr/bin/env bash
# Counts the instructions of single steps on one thread, by function with all it calls. Unlike times, they do not depend on
# what else the machine does. Needs valgrind; phantoms of 1 mm and 40 volumes go to .cache/callgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --bin neuro-preprocess --example step
out=.cache/callgrind
if [ ! -d "$out/data" ]; then
    target/release/neuro-preprocess synth "$out/data" --participants 1 --voxel-size 1 --volumes 40
fi
scan="$out/data/sub-01" truth="$out/data/derivatives/ground-truth/sub-01"

count() {
    RAYON_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file="$out/$1.callgrind" target/release/examples/step "$@" \
        > "$out/$1.log" 2>&1
    echo "== $1"
    callgrind_annotate --auto=no --inclusive=yes "$out/$1.callgrind" > "$out/$1.txt"
    grep -m1 TOTALS "$out/$1.txt"
    # Closures have no name of their own here, and functions that are inlined from the library no file of ours.
    grep -oE '^ *[0-9,]+ \( *[0-9.]+%\) .*/src/(imaging|nifti)/.*' "$out/$1.txt" | grep neuro_preprocess:: |
        sed -E 's|/[^ ]*/src/[^ :]*:neuro_preprocess::||; s| \[.*||' | head -8
}

count brain "$scan/anat/sub-01_T1w.nii.gz" "$out/brain.nii.gz"
count bias "$scan/anat/sub-01_T1w.nii.gz" "$truth/anat/sub-01_desc-brain_mask.nii.gz" "$out/field.nii.gz"
count motion "$scan/func/sub-01_task-rest_bold.nii.gz" "$out/motion.nii.gz" "$out/motion.tsv"
