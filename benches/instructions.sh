#!/usr/bin/env bash
# The instructions of a look-up, a redeem and an issue, counted by callgrind and compared with the committed numbers.
#
#   benches/instructions.sh           compares; exits with 1 if one has grown by more than 5 %
#   benches/instructions.sh --write   writes the new numbers
#
# Seconds depend on the other work of a machine, instructions hardly do. The count has the thread that
# reads the request, decides and answers, and the thread that writes. It does not have the checkpointer,
# which copies the log into the database by the clock. Each number is the difference of two runs, without
# the set-up. Another compiler gives other numbers: the file names the compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
committed=benches/instructions.txt
more=2000 less=500 runs=3 grown_percent=5

if ! command -v valgrind >/dev/null; then
    echo "instructions: needs valgrind (Debian: apt-get install valgrind)" >&2
    exit 1
fi
binary=$(cargo bench --package=api --bench=instructions --no-run --locked --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
if [ ! -x "$binary" ]; then
    cargo bench --package=api --bench=instructions --no-run --locked
    echo "instructions: the bench was not built" >&2
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The instructions of all threads but the checkpointer's: the fewest of some runs, since hash tables are
# seeded anew and wake-ups differ.
counted() { # WHAT COUNT
    local least= run file total
    for ((run = 0; run < runs; run++)); do
        rm -f "$folder"/counts*
        TMPDIR="$folder" valgrind --tool=callgrind --separate-threads=yes \
            --callgrind-out-file="$folder/counts" "$binary" "$1" "$2" >"$folder/log" 2>&1 ||
            { cat "$folder/log" >&2; exit 1; }
        total=0
        for file in "$folder"/counts-*; do
            grep -q 'CheckpointLoop::checkpoint' "$file" ||
                total=$((total + $(sed -n 's/^totals: //p' "$file")))
        done
        if [ -z "$least" ] || [ "$total" -lt "$least" ]; then least=$total; fi
    done
    echo "$least"
}

ended=0
printf '%-10s %12s %12s %8s\n' operation counted committed change
for what in look-up redeem issue; do
    many=$(counted "$what" "$more")
    few=$(counted "$what" "$less")
    each=$(((many - few) / (more - less)))
    echo "$what $each" >>"$folder/found"
    before=$(sed -n "s/^$what //p" "$committed" 2>/dev/null || true)
    if [ -z "$before" ]; then
        printf '%-10s %12s %12s\n' "$what" "$each" none
        continue
    fi
    printf '%-10s %12s %12s %+7.1f%%\n' "$what" "$each" "$before" \
        "$(awk "BEGIN { print ($each / $before - 1) * 100 }")"
    if [ $((each * 100)) -gt $((before * (100 + grown_percent))) ]; then
        echo "instructions: $what has grown by more than $grown_percent %: make it cheaper, or say why it is worth that and run benches/instructions.sh --write" >&2
        ended=1
    fi
done
if [ "${1:-}" = --write ]; then
    { cat "$folder/found" && echo "# $(rustc --version)"; } >"$committed"
    echo "kept in $committed"
    exit 0
fi
exit "$ended"
