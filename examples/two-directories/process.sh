#!/bin/sh
# The handler: process.sh INPUT_FOLDER OUTPUT_FOLDER. Everything else comes by the environment.
# Every granule is a CSV file; its columns are added up.
set -eu
granules=0
for file in "$1"/*.csv; do
    [ -e "$file" ] || { echo "no granule in $1" >&2; exit 3; }
    granule=$(basename "$file" .csv)
    product=$2/$SHORT_NAME.$granule.sum.csv
    awk -F, 'NR == 1 { print; columns = NF; next }
             { for (i = 1; i <= NF; i++) sum[i] += $i }
             END { for (i = 1; i <= columns; i++) printf "%s%s", sum[i] + 0, i < columns ? "," : "\n" }' "$file" >"$product"
    echo "{\"granule_id\": \"$granule\", \"process\": \"$SHORT_NAME\", \"message\": \"done\"}"
    granules=$((granules + 1))
done
echo "{\"GRANULE_COUNT\": $granules}" >"$2/seed.outputs.json"
