#!/usr/bin/env bash
# Prints the folder of Prometheus, promtool and Alertmanager of Debian sid, unpacked in .cache/prometheus without installing anything.
# Their only library is glibc, of which Debian 12 has a new enough one.
set -euo pipefail
. "$(dirname "$0")/once.sh"
recipe=$(cat "$0")
if once prometheus "$recipe"; then
    cd "$home"
    rm -rf root
    mkdir -p lists/partial archives/partial root
    cat >sid.list <<END
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main
END
    cat >apt.conf <<END
Dir::Etc::SourceList "$PWD/sid.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$PWD/lists";
Dir::Cache "$PWD";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "";
END
    export APT_CONFIG="$PWD/apt.conf"
    {
        apt-get -qq update
        apt-get -qq download prometheus promtool prometheus-alertmanager
        for package in ./*.deb; do
            dpkg -x "$package" root
        done
        rm -rf lists archives ./*.deb ./*.bin
        for program in prometheus promtool prometheus-alertmanager; do "root/usr/bin/$program" --version; done
    } >&2
    installed "$recipe"
fi
echo "$home/root/usr/bin"
