#!/bin/sh
# Draws slanted bright lines over a plain PPM image: watermark.sh [-c [LON,LAT]] IMAGE FOLDER
# With a centre, it also says where the image was taken.
set -eu
centre=
if [ "$1" = -c ]; then
    centre=$2
    shift 2
fi
image=$1 folder=$2
name=$(basename "$image" .ppm)_watermark.ppm

if [ "$(head -c 2 "$image")" != P3 ]; then
    echo "$image is not a plain PPM image" >&2
    exit 1
fi
awk '
    { sub(/#.*/, ""); for (i = 1; i <= NF; i++) token[n++] = $i }
    function lighter(value) { return int((value + token[3]) / 2) }
    END {
        if (n != 4 + 3 * token[1] * token[2]) { print "the image is cut off" > "/dev/stderr"; exit 1 }
        print "P3"; print token[1], token[2]; print token[3]
        for (at = 4; at < n; at += 3) {
            pixel = (at - 4) / 3; x = pixel % token[1]; y = int(pixel / token[1])
            if ((x + y) % 4) print token[at], token[at + 1], token[at + 2]
            else print lighter(token[at]), lighter(token[at + 1]), lighter(token[at + 2])
        }
    }' "$image" >"$folder/$name"

if [ -n "$centre" ]; then
    feature='{"type": "Feature", "geometry": {"type": "Point", "coordinates": '$centre'}, "properties": '
    echo "$feature"'{"dataStarted": "2019-10-14T00:00:00Z", "dataEnded": "2019-10-14T00:01:00Z"}}' \
        >"$folder/$name.metadata.json"
    # Of the input itself, for jobs that are given it later.
    echo "$feature"'{"dataTypes": ["picture"]}}' >"$folder/INPUT_IMAGE.metadata.json"
fi
