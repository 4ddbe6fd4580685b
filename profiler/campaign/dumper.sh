# The sampler of phones whose battery files are denied: one `dumpsys battery` every PERIOD_CS hundredths of a second.
# usage: sh dumper.sh DUMPS PERIOD_CS DEADLINE_CS UPTIME
dumps="$1" period="$2" deadline="$3" uptime="$4"
stop=
trap 'stop=1' TERM INT
trap '' HUP
clock() {
    read -r now rest <"$uptime"
    stamp="$now"
    hundredths="${now#*.}"
    now=$((${now%.*} * 100 + 1${hundredths} - 100))
}
rows=0
clock
first=$now next=$now
while [ -z "$stop" ] && [ ! -e "$dumps.stop" ] && [ "$now" -lt "$deadline" ]; do
    echo "@@fedjoule $stamp" >>"$dumps"
    dumpsys battery >>"$dumps" 2>/dev/null
    rows=$((rows + 1))
    next=$((next + period))
    clock
    pause=$((next - now))
    [ "$pause" -lt 10 ] && pause=10 next=$((now + 10))
    fraction=$((pause % 100))
    [ "$fraction" -lt 10 ] && fraction=0$fraction
    sleep "$((pause / 100)).$fraction"
    clock
done
{
    echo "rows $rows late 0 elapsed_cs $((now - first))"
    times
} >"$dumps.cost"
