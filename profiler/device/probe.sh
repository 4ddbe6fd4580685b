# Says what this device is and what can be read on it. Changes nothing. POSIX sh, as old phones have it.
R="$FEDJOULE_ROOT"
section() { echo "@@fedjoule $1"; }
say() { [ -r "$1" ] && { cat "$1" 2>/dev/null || echo; }; }
# The first line, also of a file that does not end it, as some drivers' do not.
one() { value=; { IFS= read -r value <"$1" || [ -n "$value" ]; } && printf '%s' "$value"; }

section where
echo "root=$R"
for folder in "$R/data/local/tmp" "${TMPDIR:-/tmp}" /tmp; do
    [ -d "$folder" ] && [ -w "$folder" ] && break
done
case "$folder" in
    */data/local/tmp) workspace="$folder/fedjoule" ;;
    *) workspace="$folder/fedjoule-$(id -u)" ;;
esac
echo "workspace=$workspace"
df -k "$folder" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _; echo "free_kib=$free"; }
[ -r "$workspace/lock" ] && { printf 'lock='; one "$workspace/lock"; echo; }
sleep 0.01 2>/dev/null && echo "fine_sleep=1"
echo "user=$(id -u 2>/dev/null)"

section clock
say "$R/proc/uptime"
say "$R/proc/sys/kernel/random/boot_id"
say "$R/sys/power/suspend_stats/success"

section kernel
uname -srm 2>/dev/null

section properties
if command -v getprop >/dev/null 2>&1; then
    for name in ro.serialno ro.boot.serialno ro.product.manufacturer ro.product.brand ro.product.model ro.product.device ro.product.cpu.abi \
        ro.build.version.release ro.build.version.sdk ro.build.fingerprint ro.soc.manufacturer ro.soc.model \
        ro.board.platform ro.hardware ro.kernel.qemu ro.boot.qemu ro.fedjoule.emulated; do
        value="$(getprop "$name" 2>/dev/null)"
        [ -n "$value" ] && printf '%s=%s\n' "$name" "$value"
    done
elif [ -r /etc/os-release ]; then
    . /etc/os-release
    printf 'os=%s\n' "$PRETTY_NAME"
    grep -m 1 '^model name' "$R/proc/cpuinfo" 2>/dev/null | { IFS=: read -r _ value; printf 'cpu=%s\n' "$value"; }
fi

section soc
for name in family machine soc_id; do
    [ -r "$R/sys/devices/soc0/$name" ] && { printf '%s=' "$name"; one "$R/sys/devices/soc0/$name"; echo; }
done

section cpus
for cpu in "$R"/sys/devices/system/cpu/cpu[0-9]*; do
    [ -d "$cpu" ] || continue
    printf '%s' "${cpu##*/cpu}"
    for name in cpuinfo_max_freq scaling_cur_freq scaling_governor; do
        printf ','
        [ -r "$cpu/cpufreq/$name" ] && one "$cpu/cpufreq/$name" 2>/dev/null
    done
    echo
done

section supplies
for supply in "$R"/sys/class/power_supply/*; do
    [ -d "$supply" ] || continue
    echo "@supply ${supply##*/}"
    cat "$supply/uevent" 2>/dev/null
    for name in type present status online capacity current_now voltage_now charge_counter power_now temp; do
        if [ -r "$supply/$name" ]; then
            printf '@file %s=' "$name"
            one "$supply/$name" 2>/dev/null
            echo
        elif [ -e "$supply/$name" ]; then
            echo "@denied $name"
        fi
    done
done
for zone in "$R"/sys/class/powercap/*; do
    [ -r "$zone/energy_uj" ] && one "$zone/energy_uj" >/dev/null 2>&1 && {
        echo "@powercap ${zone##*/}"
        printf '@file name='; one "$zone/name"; echo
        printf '@file range='; one "$zone/max_energy_range_uj"; echo
    }
done

section accelerators
for path in /dev/adsprpc-smd /dev/adsprpc-smd-secure /dev/fastrpc-cdsp /dev/fastrpc-cdsp-secure /dev/fastrpc-adsp \
    /vendor/lib64/libcdsprpc.so /vendor/lib64/libadsprpc.so /vendor/lib/libcdsprpc.so \
    /vendor/dsp/cdsp/fastrpc_shell_unsigned_3 /vendor/lib/rfsa/adsp/libhexagon_nn_skel.so /dev/apusys /dev/edgetpu; do
    if [ -r "$R$path" ]; then echo "$path readable"; elif [ -e "$R$path" ]; then echo "$path present"; fi
done

section tools
for name in setsid taskset timeout nice sha256sum perfetto su settings dumpsys demo_trainer; do
    command -v "$name" >/dev/null 2>&1 && echo "$name"
done

section battery
command -v dumpsys >/dev/null 2>&1 && dumpsys battery 2>/dev/null

section thermal
command -v dumpsys >/dev/null 2>&1 && dumpsys thermalservice 2>/dev/null | head -n 200

section screen
command -v dumpsys >/dev/null 2>&1 && dumpsys power 2>/dev/null | grep -m 1 'mWakefulness='
command -v settings >/dev/null 2>&1 && echo "low_power=$(settings get global low_power 2>/dev/null)"

section end
