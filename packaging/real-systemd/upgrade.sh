# shellcheck shell=bash
# The package, when it is replaced and when it goes.

an_upgrade_restarts_a_running_daemon_which_resumes_its_transfer() {
    local pid id
    systemctl restart cdn-usaged
    pid=$(property MainPID)
    id=$(slow_task)
    await has_partial
    apt-get install --yes --option Dpkg::Options::=--force-confold "$TRY/cdn-usaged-newer.deb"
    await is_other_process_than "$pid"
    cloud pace 0
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    fields CDN_USAGED_RESUMED_BYTES download.stored "CDN_USAGED_TASK_ID=$id" | grep '^[1-9]'
    is "$(stat -c '%a %U:%G' "$CONFIG")" '640 root:cdn-usaged'
    grep -q '^min_free = "1MiB"' "$CONFIG"
}

an_upgrade_starts_nothing_that_did_not_run() {
    systemctl stop cdn-usaged
    dpkg --install --force-confold "$TRY/cdn-usaged.deb" "$TRY/cdn-usaged-newer.deb"
    is "$(property ActiveState)" inactive
}

digests() {
    (cd "$STATE/exports" && find . -type f -exec sha256sum {} + | sort -k 2)
}

to_remove_it_stops_the_daemon_and_keeps_the_state() {
    systemctl start cdn-usaged
    digests >"$TRY/digests"
    [ "$(wc -l <"$TRY/digests")" -ge 10 ]
    apt-get remove --yes cdn-usaged
    refused test -e /usr/bin/cdn-usaged
    is "$(property MainPID)" 0
    test -s "$STATE/usage.db"
    test -s "$CONFIG"
    is "$(digests | diff - "$TRY/digests")" ''
}

to_purge_it_removes_the_state_and_no_file_that_was_downloaded() {
    apt-get purge --yes cdn-usaged
    refused test -e "$STATE/usage.db"
    refused test -e "$CONFIG"
    is "$(digests | diff - "$TRY/digests")" ''
}

check an_upgrade_restarts_a_running_daemon_which_resumes_its_transfer
check an_upgrade_starts_nothing_that_did_not_run
check to_remove_it_stops_the_daemon_and_keeps_the_state
check to_purge_it_removes_the_state_and_no_file_that_was_downloaded
