# Builds the image of deploy/Dockerfile, and runs it as operators do: without capabilities, with a volume at /data and
# everything else read-only. `tests/engines/podman` says what `podman` and `debian` are; image.rs puts above this where the
# repository and the binaries of the tests are, which images the Dockerfile begins with, and a free port.

# Machines that are containers themselves may not raise limits.
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

podman import --quiet "$debian" "docker.io/library/$base" >/dev/null
# The image of the compiler is another Debian, whose cargo takes what the tests have built.
podman tag "docker.io/library/$base" "docker.io/library/$builder"
mkdir built
for name in couponry couponry-history couponry-kafka; do
    strip -o "built/$name" "$binaries/$name"
done
cat >built/cargo <<'CARGO'
#!/bin/sh
set -eu
[ "$*" = "build --profile dist --locked --package couponry --package history --package kafka --features " ] || {
    echo "cargo $*: not what was expected"
    exit 1
}
# It has the sources, and nothing that only takes time to copy.
[ -f Cargo.lock ] && [ ! -e .git ] && [ -z "$(ls target)" ] || { ls -a . target; exit 1; }
mkdir target/dist
ln -s /before/couponry* target/dist/
CARGO
chmod +x built/cargo
(cd "$repository" && podman build --quiet --format docker --pull=never --network host "${limits[@]}" \
    --volume "$OLDPWD/built:/before:ro" --volume "$OLDPWD/built/cargo:/usr/local/bin/cargo:ro" \
    --file deploy/Dockerfile --tag couponry .) >log 2>&1 || { cat log; exit 1; }

run=(podman run --network host --read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges
    --env "COUPONRY_LISTEN=127.0.0.1:$port" --volume coupons:/data --stop-timeout 60
    "${limits[@]}")
"${run[@]}" --rm couponry --version >version 2>&1 || {
    cat version
    # Built on a machine with a newer C library.
    grep -q GLIBC_ version && exit 69
    exit 1
}
"${run[@]}" --detach --name service couponry >/dev/null
for _ in $(seq 600); do
    podman healthcheck run service >/dev/null 2>&1 && break
    [ "$(podman inspect --format '{{.State.Status}}' service)" = running ] || { podman logs service; exit 1; }
    sleep 0.1
done
podman healthcheck run service
inside() {
    podman exec service "$@"
}
[ "$(inside id -u)" = 10001 ]
if inside touch /anything 2>/dev/null; then echo "the file system can be written"; exit 1; fi
inside couponry campaign create --campaign-id spring --stock 3 --expires-on 2031-12-31 >/dev/null
inside couponry console --address "http://127.0.0.1:$port" | grep -q "http://127.0.0.1:$port/console/welcome"
inside couponry-history --version
inside couponry-kafka --version
podman stop service >/dev/null
[ "$(podman inspect --format '{{.State.ExitCode}}' service)" = 0 ] || { podman logs service; exit 1; }
"${run[@]}" --rm couponry campaign list | grep -q spring
echo "it has stopped, and the data is in the volume"
