# The workload of a job, with the moment it ended and its exit code.
. ./settings
if [ -n "$CPUS" ] && ! taskset -p "$CPUS" $$ >/dev/null 2>&1; then
    echo "cannot be pinned to the cores $CPUS"
    code=97
else
    # Only the command is limited: what follows must be written whatever it wrote.
    (
        ulimit -f "$FILE_BLOCKS" 2>/dev/null
        eval "$COMMAND"
    )
    code=$?
fi
read -r stamp rest <"$UPTIME"
echo "busy_end,$stamp" >>phases
echo "$code" >workload.new && mv -f workload.new workload.rc
