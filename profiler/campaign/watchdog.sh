# Puts changed settings back when the host has not renewed its lease: the host may be gone for good.
# Started in the session's folder, which holds `lease` (whole seconds of the device's clock), `restore.sh`, and
# `uptime_file` (where that clock is).
trap '' HUP
cd "${0%/*}" || exit 1
read -r uptime <uptime_file
echo $$ >watchdog.new && mv -f watchdog.new watchdog.pid # whole, as whoever started it reads it now
while [ ! -e watchdog.stop ]; do
    read -r now rest <"$uptime"
    lease=
    { read -r lease <lease; } 2>/dev/null
    case "$lease" in '' | *[!0-9]*) lease=0 ;; esac
    if [ "${now%.*}" -ge "$lease" ]; then
        sh ./restore.sh >restored.new 2>&1
        mv -f restored.new restored
        exit 0
    fi
    sleep 5
done
