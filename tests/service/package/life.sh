# Installs the package, uses it as the unit does, upgrades it, and purges it. In /packages are folders with packages.
set -euo pipefail
is() {
    [ "$2" = "$3" ] || { echo "$1 is $2, want $3"; exit 1; }
}
has() {
    grep -q "$2" "$1" || { echo "no $2 in $1"; exit 1; }
}
export DEBIAN_FRONTEND=noninteractive
arch="$(dpkg --print-architecture)"
address="127.0.0.1:47813"
run=(setpriv --reuid couponry --regid couponry --init-groups env COUPONRY_CONFIG=/etc/couponry/couponry.toml COUPONRY_DATA=/var/lib/couponry)

# Starts the service as its unit does, tries it, and ends it.
served() {
    "${run[@]}" couponry serve --listen "$address" >/tmp/serve.log 2>&1 &
    service=$!
    for _ in $(seq 600); do
        couponry healthcheck --listen "$address" 2>/dev/null && break
        kill -0 "$service" || { cat /tmp/serve.log; exit 1; }
        sleep 0.1
    done
    "$@"
    kill -TERM "$service"
    wait "$service"
}
campaign() {
    "${run[@]}" couponry campaign create --campaign-id spring --stock 3 --expires-on 2031-12-31 >/dev/null
}
listed() {
    "${run[@]}" couponry campaign list | grep -q spring
}

dpkg --install "/packages/one/couponry_0.8.0_$arch.deb"
is version "$(dpkg-query -W -f '${Version}' couponry)" 0.8.0
is owner "$(stat -c '%U:%G %a' /var/lib/couponry)" "couponry:couponry 700"
is settings "$(stat -c '%U:%G %a' /etc/couponry/couponry.toml)" "root:couponry 640"
for name in couponry couponry-history couponry-kafka; do
    "$name" --version >/tmp/version
    has /tmp/version "^$name [0-9.]* ([0-9a-f]\{12\}\(-dirty\)\?)$"
done
for file in docs/operations.md deploy/prometheus/couponry.rules.yml deploy/grafana/operator.json; do
    [ -s "/usr/share/doc/couponry/$file" ] || { echo "no $file"; exit 1; }
done
zcat /usr/share/man/man1/couponry-serve.1.gz >/tmp/page
has /tmp/page "Run the service"
bash -c 'source /usr/share/bash-completion/completions/couponry && complete -p couponry' >/dev/null
served campaign
echo 'free_min_mib = 64' >>/etc/couponry/couponry.toml
dpkg --install "/packages/next/couponry_0.9.0_$arch.deb"
is version "$(dpkg-query -W -f '${Version}' couponry)" 0.9.0
has /etc/couponry/couponry.toml free_min_mib
served listed
dpkg --purge couponry
for gone in /usr/bin/couponry /etc/couponry /usr/lib/systemd/system/couponry.service; do
    [ ! -e "$gone" ] || { echo "$gone is left"; exit 1; }
done
ls /var/lib/couponry/keys >/dev/null
echo "the package is gone, and the coupons are there"
