#!/usr/bin/env bash
# Makes the pictures of the documentation again: docs/images/make.sh, after cargo build --release. Needs Node.js, tmux and
# a Chromium; the modules of tests/browser are installed into .cache/browser, as the tests do.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PATH="$root/target/release:$PATH"
work=$(mktemp -d)
trap 'tmux -L pictures kill-server 2>/dev/null || true; rm -rf "$work"' EXIT
bash "$root/tests/peers/install_browser.sh"
CHROMIUM=$(bash "$root/tests/peers/install_chromium.sh")
export CHROMIUM BROWSER_MODULES="$root/.cache/browser"
cd "$work"

# A dataset with a broken scan: the terminal while it is worked through, and the reports of it.
neuro-preprocess synth bids --participants 8 --voxel-size 2 --volumes 40 >/dev/null
truncate -s 20000 bids/sub-04/anat/sub-04_T1w.nii.gz
tmux -L pictures new-session -d -x 96 -y 30 -s t "env -u NO_COLOR TERM=xterm-256color bash --norc --noprofile"
tmux -L pictures send-keys -t t "PS1='\$ '; clear; neuro-preprocess bids out participant; echo \$? > ended" Enter
until [ "$(ls out/sub-*/sub-*_summary.json 2>/dev/null | wc -l)" -ge 5 ] || [ -e ended ]; do sleep 0.2; done
tmux -L pictures capture-pane -e -p -t t > running.txt
until [ -e ended ]; do sleep 0.5; done

picture() { node "$root/tests/browser/picture.mjs" "$@"; }
picture terminal running.txt "$here/terminal.png"
picture page out/index.html "$here/report-group.jpg"
picture page out/sub-01.html "$here/report-participant.jpg"
find "$here" -type f \( -name '*.png' -o -name '*.jpg' \) -size +200k -exec sh -c 'echo "larger than 200 kB: $*" >&2; exit 1' _ {} +
