#!/bin/sh
# The job's program: put your own in its place. It is called as `command` in seed.manifest.json says, with the input files, a
# threshold, and the folder for what it makes. This one lists the sizes of its inputs, and counts those above the threshold.
set -eu

inputs=$(($# - 2))
eval "threshold=\${$(($# - 1))} folder=\${$#}"
count=0
: >"$folder/result.txt" || exit 20 # exit codes are those of `errors` in the manifest

for file; do
    [ "$inputs" -gt 0 ] || break
    inputs=$((inputs - 1))
    [ -r "$file" ] || { echo "$file cannot be read" >&2; exit 10; }
    size=$(wc -c <"$file")
    echo "$(basename "$file") $((size))" >>"$folder/result.txt"
    if [ "$size" -gt "$threshold" ]; then count=$((count + 1)); fi
done

# Values go into this file, by the keys of `outputs.json`.
echo "{\"resultCount\": $count}" >"$folder/seed.outputs.json"
echo "$count inputs are larger than $threshold bytes"
