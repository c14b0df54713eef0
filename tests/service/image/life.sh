# Does the steps of the image, and starts the service as a container does: as its user, without capabilities, with a
# volume at /data and everything else read-only. /packages has the binary, and image.sh, which has what the Dockerfile says.
set -euo pipefail
source /packages/image.sh
bash -euc "$steps"
install -m 755 /packages/couponry /usr/local/bin/couponry
[ "$(stat -c '%U:%G %a' /data /data/keys /data/cold | sort -u)" = "couponry:couponry 700" ] || { ls -ld /data /data/*; exit 1; }
# A new volume gets the folders of the image with their owners.
cp -a /data /tmp/volume
mount -t tmpfs tmpfs /data
cp -a /tmp/volume/. /data/
chown --reference=/tmp/volume /data
chmod 700 /data
mount -o remount,ro /
run=(setpriv --reuid "$user" --regid "$user" --init-groups --bounding-set=-all --inh-caps=-all --no-new-privs
    env -i PATH=/usr/local/bin:/usr/bin:/bin "${environment[@]}"
    # The network is that of this machine, where others may have the port.
    COUPONRY_LISTEN=127.0.0.1:47814)
"${run[@]}" sh -c '! touch /anything 2>/dev/null' || { echo "the file system can be written"; exit 1; }
"${run[@]}" "${start[@]}" >/data/serve.log 2>&1 &
service=$!
for _ in $(seq 600); do
    "${run[@]}" "${health[@]}" 2>/dev/null && break
    kill -0 "$service" || { cat /data/serve.log; exit 1; }
    sleep 0.1
done
"${run[@]}" "${health[@]}"
"${run[@]}" couponry campaign create --campaign-id spring --stock 3 --expires-on 2031-12-31 >/dev/null
kill -TERM "$service"
wait "$service"
ls /data/hot.db /data/keys/*.key >/dev/null
echo "it has stopped, and the data is in the volume"
