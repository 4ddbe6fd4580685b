# The workload of a job, with the moment it ended and its exit code.
. ./settings
ulimit -f "$FILE_BLOCKS" 2>/dev/null
if [ -n "$CPUS" ] && command -v taskset >/dev/null 2>&1; then
    taskset -p "$CPUS" $$ >/dev/null 2>&1
fi
(eval "$COMMAND")
code=$?
read -r stamp rest <"$UPTIME"
echo "busy_end,$stamp" >>phases
echo "$code" >workload.new && mv -f workload.new workload.rc
