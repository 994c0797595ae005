#!/bin/sh
# SPDX-License-Identifier: MIT
# The simulator takes the steps of the real vLLM scheduler:  steps_match_vllm.sh KVWARDEN TRACES.tar.gz
set -eu
kvwarden=$1 traces=$2
expected=60
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
tar -xzf "$traces" -C "$dir"
same=0
for steps in "$dir"/*.steps.jsonl; do
	name=${steps%.steps.jsonl}
	if "$kvwarden" sim steps "$name.json" > "$dir/ours" && cmp -s "$dir/ours" "$steps"; then
		same=$((same + 1))
	else
		echo "${name##*/}: differs from line $(cmp "$dir/ours" "$steps" 2>&1 | sed 's/.*line //')" >&2
	fi
done
echo "$same of $expected workloads step for step"
[ "$same" -eq "$expected" ]
