# shellcheck shell=bash
# `systemctl stop`.

# What is promised, and less than the unit gives it.
stops_by_itself() {
    timeout 20 systemctl stop cdn-usaged
    is "$(property Result)" success
    is "$(property ExecMainStatus)" 0
    is "$(property ActiveState)" inactive
    logged daemon.stopped
}

a_stop_takes_less_than_20_seconds() {
    systemctl restart cdn-usaged
    stops_by_itself
    logged daemon.stopping CDN_USAGED_REASON=SIGTERM
}

a_stop_during_a_transfer_keeps_what_arrived() {
    local id bytes
    systemctl start cdn-usaged
    id=$(slow_task)
    await has_partial
    stops_by_itself
    bytes=$(partial_bytes)
    cloud pace 0
    systemctl start cdn-usaged
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    is "$(fields CDN_USAGED_RESUMED_BYTES download.stored "CDN_USAGED_TASK_ID=$id")" "$bytes"
}

check a_stop_takes_less_than_20_seconds
check a_stop_during_a_transfer_keeps_what_arrived
