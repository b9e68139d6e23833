# shellcheck shell=bash
# A process that hangs or dies.

a_process_that_hangs_is_killed_by_the_watchdog_and_started_again() {
    local pid id
    drop_in watchdog <<<'WatchdogSec=2s'
    systemctl restart cdn-usaged
    pid=$(property MainPID)
    kill -STOP "$pid"
    id=$(cloud_task 3000)
    await is_other_process_than "$pid"
    managed 'Watchdog timeout'
    is "$(property NRestarts)" 1
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    no_drop_ins
}

a_process_that_is_killed_is_started_again_and_resumes() {
    local pid id
    systemctl restart cdn-usaged
    pid=$(property MainPID)
    id=$(slow_task)
    await has_partial
    kill -KILL "$pid"
    cloud pace 0
    await is_other_process_than "$pid"
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    fields CDN_USAGED_RESUMED_BYTES download.stored "CDN_USAGED_TASK_ID=$id" | grep '^[1-9]'
}

check a_process_that_hangs_is_killed_by_the_watchdog_and_started_again
check a_process_that_is_killed_is_started_again_and_resumes
