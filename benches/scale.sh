#!/usr/bin/env bash
# Times each step of a coupon's life on stores of a growing number of coupons.
#
#   benches/scale.sh 100000 1000000 10000000
#
# prints one row for each size, as in docs/scale.md. Each store is in a folder below TMPDIR, which is
# deleted afterwards. A million coupons take about half a gigabyte there, a hundred million 20.
#
# For every size it makes as many live coupons, issued to as many users, which it reads over HTTP for
# SECONDS_EACH seconds (5 by default: more where the file does not fit into the page cache), and as many
# of one day that is over, a tenth of them redeemed, which `compact` archives: ten million at most, since
# a day is compacted by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || set -- 100000 1000000
for program in curl awk; do
    command -v "$program" >/dev/null || { echo "scale: needs $program" >&2; exit 1; }
done
cargo build --release --locked --quiet --package=couponry --package=loadtest
bin="${CARGO_TARGET_DIR:-target}/release"
url=http://127.0.0.1:9931
folder=$(mktemp -d)
served=
ended() {
    local status=$?
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    [ "$status" = 0 ] || tail -n 20 "$folder/serve.log" >&2 || true
    rm -rf "$folder"
}
trap ended EXIT

now() { date +%s%N; }
# per COUNT NANOSECONDS: how many a second.
per() { awk -v count="$1" -v ns="$2" 'BEGIN { printf "%d", count / (ns / 1e9) }'; }
# of COUNT BYTES: bytes each.
of() { awk -v count="$1" -v bytes="$2" 'BEGIN { printf "%.0f", bytes / count }'; }
bytes_in() { du -sb "$1" | cut -f1; }
status() { awk -v name="$1:" '$1 == name { printf "%d", $2 / 1024 }' "/proc/$served/status"; }

started() { # milliseconds until it is ready, into `ready`
    local begun
    begun=$(now)
    "$bin/couponry" serve --listen 127.0.0.1:9931 --compact-every 0 >>"$folder/serve.log" 2>&1 &
    served=$!
    until curl -sf "$url/readyz" >/dev/null 2>&1; do
        kill -0 "$served" 2>/dev/null || { cat "$folder/serve.log" >&2; exit 1; }
        sleep 0.005
    done
    ready=$((($(now) - begun) / 1000000))
}
stopped() {
    kill "$served"
    wait "$served" || true
    served=
}

# Coupons of one day in June that nobody can change any more, with codes and users at random, since
# neither compresses.
over() {
    awk -v count="$1" 'BEGIN {
        srand(7)
        letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        print "code,valid_from,expires_at,state,user_id,redeemed_at,order_ref"
        for (n = 0; n < count; n++) {
            code = ""
            for (at = 0; at < 12; at++) code = code substr(letters, 1 + int(rand() * 32), 1)
            if (n % 10) printf "%s,2026-06-01,2026-06-30,available,,,\n", code
            else printf "%s,2026-06-01,2026-06-30,redeemed,u%.0f,2026-06-%02dT%02d:%02d:%02dZ,%.0f\n",
                code, rand() * 1e9, 1 + rand() * 28, rand() * 24, rand() * 60, rand() * 60, rand() * 1e11
        }
    }'
}

echo "| coupons | import, lines/s | hot, bytes each | redeem/s | look-up/s | start, ms | memory idle, then under load, MiB | compact, rows/s | cold, bytes each | verify, coupons/s |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for count in "$@"; do
    archived=$((count < 10000000 ? count : 10000000))
    export COUPONRY_DATA="$folder/$count"
    started
    COUPONRY_TOKEN=$("$bin/couponry" token --role admin --ttl 1d)
    export COUPONRY_TOKEN
    load() { COUPONRY_URL=$url "$bin/couponry-load" "$@" --closed --seconds "${SECONDS_EACH:-5}" --coupons "$count" 2>&1; }
    rate() { sed -n 's/.* right answers in .*: \([0-9]*\) a second.*/\1/p' "$folder/run"; }
    load redeem >"$folder/run" || { cat "$folder/run" >&2; exit 1; }
    import=$(sed -n 's/.* coupons imported in .*: \([0-9]*\) lines a second.*/\1/p' "$folder/run")
    redeem=$(rate)
    load look-up --prepared >"$folder/run" || { cat "$folder/run" >&2; exit 1; }
    lookup=$(rate)
    under_load=$(status VmHWM)
    stopped
    hot=$(of "$count" "$(bytes_in "$COUPONRY_DATA/hot.db")")
    started
    idle=$(status VmRSS)
    stopped

    "$bin/couponry" campaign create --campaign-id over --stock 0 --expires-on 2027-12-31 >/dev/null
    over "$archived" >"$folder/over.csv"
    "$bin/couponry" import --campaign over --batch over "$folder/over.csv" >"$folder/run" 2>&1 ||
        { cat "$folder/run" >&2; exit 1; }
    rm "$folder/over.csv"
    begun=$(now)
    "$bin/couponry" compact >"$folder/run" 2>&1 || { cat "$folder/run" >&2; exit 1; }
    compact=$(per "$archived" $(($(now) - begun)))
    cold=$(of "$archived" "$(bytes_in "$COUPONRY_DATA/cold")")
    begun=$(now)
    "$bin/couponry" verify >"$folder/run" 2>&1 || { cat "$folder/run" >&2; exit 1; }
    verify=$(per $((count + archived)) $(($(now) - begun)))
    echo "| $count | $import | $hot | $redeem | $lookup | $ready | $idle, $under_load | $compact | $cold | $verify |"
    rm -rf "$COUPONRY_DATA"
done
