# Writes one row of files' values every PERIOD_CS hundredths of a second, on an absolute schedule, until told to stop.
# usage: sh sampler.sh SAMPLES PERIOD_CS DEADLINE_CS UPTIME HEADER FILE...
# Values are read by the shell itself; where its `read` knows a timeout (mksh does), waiting costs no fork either.
# An emulated phone's clock is not ours, and only its `sleep` knows that. Stops at SIGTERM, when SAMPLES.stop appears,
# and at the deadline. SAMPLES.cost gets rows, late rows, and what the sampler itself took.
samples="$1" period="$2" deadline="$3" uptime="$4" header="$5"
shift 5
stop=
trap 'stop=1' TERM INT
trap '' HUP
clock() {
    read -r now rest <"$uptime"
    hundredths="${now#*.}"
    now=$((${now%.*} * 100 + 1${hundredths} - 100))
}
forkless=
if [ -z "$FEDJOULE_ROOT" ] && mkfifo "$samples.wait" 2>/dev/null; then
    exec 4<>"$samples.wait"
    (read -r -t 0.01 _ <&4) 2>/dev/null
    [ $? -gt 128 ] && forkless=1
fi
# Waits $1 hundredths of a second.
pause() {
    fraction=$(($1 % 100))
    [ "$fraction" -lt 10 ] && fraction=0$fraction
    if [ -n "$forkless" ]; then
        read -r -t "$(($1 / 100)).$fraction" _ <&4
    else
        sleep "$(($1 / 100)).$fraction"
    fi
}
exec 3>>"$samples"
echo "fedjoule-samples 1" >&3
echo "time_s,$header" >&3
rows=0 late=0
clock
first=$now next=$now
while [ -z "$stop" ] && [ ! -e "$samples.stop" ] && [ "$now" -lt "$deadline" ]; do
    fraction=$((now % 100))
    [ "$fraction" -lt 10 ] && fraction=0$fraction
    row="$((now / 100)).$fraction"
    for file; do
        value=
        { read -r value <"$file"; } 2>/dev/null
        row="$row,$value"
    done
    echo "$row" >&3
    rows=$((rows + 1))
    next=$((next + period))
    clock
    left=$((next - now))
    if [ "$left" -le 0 ]; then
        late=$((late + 1)) next=$now
        continue
    fi
    pause "$left"
    clock
done
{
    echo "rows $rows late $late elapsed_cs $((now - first))"
    times
} >"$samples.cost"
