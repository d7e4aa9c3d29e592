# Sourced by the scripts that install a peer into .cache: `once NAME RECIPE` makes $home, .cache/NAME, and fails where it was filled by
# the same recipe before; `installed RECIPE` says that it is filled now. One script at a time works on a folder, the others wait.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
once() {
    home=$root/.cache/$1
    mkdir -p "$home"
    exec 9>"$home.lock"
    flock 9
    [[ ! -f $home/installed.txt || $(<"$home/installed.txt") != "$2" ]]
}
installed() { printf '%s\n' "$1" >"$home/installed.txt"; }
