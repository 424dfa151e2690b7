#!/bin/sh
# Turns a plain PPM image clockwise: image_rotate.sh IMAGE DEGREES FOLDER
set -eu
image=$1 degrees=$(((($2 % 360) + 360) % 360)) folder=$3
echo "Rotating $image by $2 degrees"

if [ $((degrees % 90)) -ne 0 ]; then
    echo "only multiples of 90 degrees can be done, not $2" >&2
    exit 11
fi
if [ "$(head -c 2 "$image")" != P3 ]; then
    echo "$image is not a plain PPM image" >&2
    exit 10
fi

awk -v degrees="$degrees" '
    { sub(/#.*/, ""); for (i = 1; i <= NF; i++) token[n++] = $i }
    END {
        w = token[1]; h = token[2]
        if (n != 4 + 3 * w * h) { print "the image is cut off" > "/dev/stderr"; exit 10 }
        across = degrees % 180 ? h : w; down = degrees % 180 ? w : h
        print "P3"; print across, down; print token[3]
        for (y = 0; y < down; y++) for (x = 0; x < across; x++) {
            if (degrees == 0)   { from_x = x;         from_y = y }
            if (degrees == 90)  { from_x = y;         from_y = h - 1 - x }
            if (degrees == 180) { from_x = w - 1 - x; from_y = h - 1 - y }
            if (degrees == 270) { from_x = w - 1 - y; from_y = x }
            at = 4 + 3 * (from_y * w + from_x)
            print token[at], token[at + 1], token[at + 2]
        }
    }' "$image" >"$folder/ROTATED_${2}_$(basename "$image")"
echo "Done"
