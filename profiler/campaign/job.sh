# One measurement, on the device and without the host: idle, workload, idle, with a sampler beside it.
# Started in its folder, which holds `settings` (written by the host, every value quoted). Leaves: samples, phases,
# out.txt, state. It keeps the limits by itself, because the host may be gone.
trap '' HUP
cd "${0%/*}" || exit 1
. ./settings
mkdir started 2>/dev/null || exit 0 # a second start of the same job
echo $$ >job.pid
clock() {
    read -r now rest <"$UPTIME"
    hundredths="${now#*.}"
    stamp="$now"
    now=$((${now%.*} * 100 + 1${hundredths} - 100))
}
phase() {
    clock
    echo "$1,$stamp" >>phases
}
state() {
    echo "$*" >state.new && mv -f state.new state
}
# Sets `why` when a limit is passed: a stop file, the deadline, a hot or empty battery, a throttling phone.
check() {
    clock
    [ -e stop ] && why="stopped by the host"
    [ "$now" -ge "$DEADLINE_CS" ] && why="deadline passed: give the plan a busy_s of at least the time of the program"
    value=
    [ -n "$TEMPERATURE_FILE" ] && { read -r value <"$TEMPERATURE_FILE"; } 2>/dev/null
    limit temperature "$value"
    value=
    [ -n "$LEVEL_FILE" ] && { read -r value <"$LEVEL_FILE"; } 2>/dev/null
    limit level "$value"
    [ -n "$HAVE_DUMPSYS" ] && [ "$now" -ge "$next_dump" ] || return 0
    next_dump=$((now + 1000))
    dumpsys thermalservice 2>/dev/null >thermal.txt
    while read -r word kind value _; do
        [ "$word $kind" = "Thermal Status:" ] && limit status "$value" && break
    done <thermal.txt
    [ -n "$TEMPERATURE_FILE" ] && [ -n "$LEVEL_FILE" ] && return 0
    dumpsys battery 2>/dev/null >battery.txt
    while read -r word value _; do
        case "$word" in
            temperature:) limit temperature "$value" ;;
            level:) limit level "$value" ;;
        esac
    done <battery.txt
}
limit() {
    case "$2" in '' | - | *[!0-9-]* | ?*-* | ??????????*) return 0 ;; esac
    [ "$1" = temperature ] && [ "$2" -ge "$HOTTEST_DECI_C" ] && why="battery at $2 tenths of a degree C"
    [ "$1" = level ] && [ "$2" -le "$LOWEST_LEVEL" ] && why="battery at $2 %"
    [ "$1" = status ] && [ "$2" -ge "$WORST_STATUS" ] && why="thermal status $2"
    return 0
}
# Waits for $1 hundredths of a second, or until a limit is passed.
idle() {
    clock
    end=$((now + $1))
    while [ -z "$why" ] && [ "$now" -lt "$end" ]; do
        left=$((end - now))
        [ "$left" -gt 100 ] && left=100
        fraction=$((left % 100))
        [ "$fraction" -lt 10 ] && fraction=0$fraction
        sleep "$((left / 100)).$fraction"
        check
    done
}
finish() {
    : >samples.stop
    : >dumps.stop
    [ -n "$sampler" ] && wait "$sampler"
    [ -n "$dumps" ] && wait "$dumps"
    [ -n "$perfetto" ] && kill -TERM "$perfetto" 2>/dev/null && wait "$perfetto"
    phase end
    state "$@"
    exit 0
}
# Samples with the native program; with the shell's where there is none, or where it wrote nothing because it cannot.
# At normal priority: it takes next to nothing, and a lower one made rows late beside a busy workload.
sample() {
    if [ -n "$NATIVE_SAMPLER" ]; then
        echo "$SAMPLER" >samples.program
        set -- --period-ms "${PERIOD_CS}0" --deadline-ms "${DEADLINE_CS}0" --uptime "$UPTIME" ./samples "$SAMPLED_HEADER"
        eval "$NATIVE_SAMPLER \"\$@\" $SAMPLED_FILES" >samples.log 2>&1
        code=$?
        [ -s samples ] && return
        said=
        { read -r said <samples.log; } 2>/dev/null
        SAMPLER="shell: the native one ended with code $code ${said:+($said)}"
        rm -f samples
    fi
    echo "$SAMPLER" >samples.program
    eval "sh ./sampler.sh ./samples $PERIOD_CS $DEADLINE_CS \"\$UPTIME\" \"\$SAMPLED_HEADER\" $SAMPLED_FILES"
}
why='' sampler='' dumps='' perfetto='' next_dump=0
rm -f samples samples.* dumps dumps.* phases out.txt
phase start
state running idle_before
if [ -n "$SAMPLED_HEADER" ]; then
    sample &
    sampler=$!
fi
if [ -n "$DUMPS_PERIOD_CS" ]; then
    sh ./dumper.sh ./dumps "$DUMPS_PERIOD_CS" "$DEADLINE_CS" "$UPTIME" &
    dumps=$!
fi
if [ -n "$PERFETTO_TRACE" ]; then
    perfetto -c - --txt -o "$PERFETTO_TRACE" <./perfetto.cfg >perfetto.log 2>&1 &
    perfetto=$!
fi
check
idle "$IDLE_CS"
[ -n "$why" ] && finish aborted "$why"
if [ -n "$COMMAND" ]; then
    state running busy
    phase busy_start
    # In a session of its own, so that all of it can be stopped; a file larger than FILE_BLOCKS ends it.
    $SETSID sh ./workload.sh </dev/null >out.txt 2>&1 &
    workload=$!
    echo "$workload" >workload.pid
    while [ ! -e workload.rc ] && kill -0 "$workload" 2>/dev/null; do
        sleep 1
        [ -e workload.rc ] && break
        check
        [ -n "$why" ] && break
    done
    if [ -n "$why" ]; then
        kill -TERM -"$workload" 2>/dev/null || kill -TERM "$workload" 2>/dev/null
        sleep 1
        kill -KILL -"$workload" 2>/dev/null || kill -KILL "$workload" 2>/dev/null
        finish aborted "$why"
    fi
    wait "$workload"
    [ -e workload.rc ] || echo "busy_end,$stamp" >>phases
fi
state running idle_after
idle "$IDLE_CS"
[ -n "$why" ] && finish aborted "$why"
finish 'done'
