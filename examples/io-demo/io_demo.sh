#!/bin/sh
# Writes the same text under another name: io_demo.sh FILE FOLDER
set -eu
echo "Reading $1"
cp "$1" "$2/copy_of_$(basename "$1")"
echo "Wrote $(ls "$2")"
