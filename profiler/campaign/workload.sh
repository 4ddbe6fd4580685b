# The workload of a job, with the moment it ended and its exit code.
. ./settings
if [ -n "$CPUS" ] && command -v taskset >/dev/null 2>&1; then
    taskset -p "$CPUS" $$ >/dev/null 2>&1
fi
# Only the command is limited: what follows must be written whatever it wrote.
(
    ulimit -f "$FILE_BLOCKS" 2>/dev/null
    eval "$COMMAND"
)
code=$?
read -r stamp rest <"$UPTIME"
echo "busy_end,$stamp" >>phases
echo "$code" >workload.new && mv -f workload.new workload.rc
