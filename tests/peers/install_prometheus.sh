#!/bin/sh
# Unpacks Prometheus, promtool and Alertmanager of Debian sid below the folder $1, without installing anything. Their only library
# is glibc, of which Debian 12 has a new enough one.
set -eu
mkdir -p "$1/lists/partial" "$1/archives/partial" "$1/root"
cd "$1"
cat > sid.list <<END
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main
END
cat > apt.conf <<END
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
apt-get -qq update
apt-get -qq download prometheus promtool prometheus-alertmanager
for package in ./*.deb; do
    dpkg -x "$package" root
done
rm -rf lists archives ./*.deb ./*.bin
root/usr/bin/prometheus --version
root/usr/bin/promtool --version
root/usr/bin/prometheus-alertmanager --version
