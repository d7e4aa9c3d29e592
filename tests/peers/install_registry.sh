#!/bin/sh
# Unpacks the container registry of the system's own packages below the folder $1, without installing it.
set -eu
cd "$1"
apt-get -q -o APT::Sandbox::User=root download docker-registry
dpkg -x docker-registry_*.deb root
rm docker-registry_*.deb
root/usr/bin/docker-registry --version
