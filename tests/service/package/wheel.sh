# Installs the wheel $1 where nothing is installed, and redeems a coupon with it at the port $2. pipx and uvx, which
# are in $3, start it, too. Also there are wheel, which compares the checksums, and auditwheel, which says whether the
# binary keeps what the name promises.
set -euo pipefail
now() {
    date +%s%3N
}
python3 -m venv clean
begun="$(now)"
clean/bin/pip install --quiet --no-index --disable-pip-version-check "$1"
installed="$(now)"
export COUPONRY_DATA="$PWD/data" PATH="$PWD/clean/bin:$PATH"
couponry --version
couponry serve --listen "127.0.0.1:$2" >serve.log 2>&1 &
service=$!
for _ in $(seq 600); do
    couponry healthcheck --listen "127.0.0.1:$2" >/dev/null 2>&1 && break
    kill -0 "$service" || { cat serve.log; exit 1; }
    sleep 0.1
done
couponry campaign create --campaign-id spring --stock 3 --expires-on 2031-12-31 >/dev/null
code="$(couponry coupon issue --campaign spring --user ann | sed 's/.*"code":"\([^"]*\)".*/\1/')"
couponry coupon redeem --user ann --order 991 "$code" | grep -q '"order_ref":"991"'
echo "from the wheel to the first redeemed coupon: $(($(now) - begun)) ms, of which pip took $((installed - begun))" >&2
kill -TERM "$service"
wait "$service"
clean/bin/pip check --quiet --disable-pip-version-check
"$3/pipx" run --quiet --spec "$1" couponry --version
UV_OFFLINE=1 UV_PYTHON_DOWNLOADS=never "$3/uvx" --quiet --from "$1" couponry --version
"$3/wheel" unpack --dest unpacked "$1" >/dev/null
"$3/auditwheel" show "$1" >audited
grep -q '"manylinux' audited || { cat audited; exit 1; }
needed="$(grep -o 'GLIBC_2[.][0-9]*' audited | sed 's/.*[.]//' | sort -n | tail -1)" promised="${1##*manylinux_2_}"
[ "$needed" -le "${promised%%_*}" ] || { echo "$1 needs the C library 2.$needed"; exit 1; }
