# shellcheck shell=bash
# Keys that are rotated while the daemon runs.

keys_are_rotated_without_a_restart() {
    local pid id
    pid=$(property MainPID)
    cloud secret another-secret
    await logged credentials.rejected CDN_USAGED_CODE=SignatureDoesNotMatch PRIORITY=3
    id=$(cloud_task 5000)
    put_key main.secret another-secret
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    is "$(property MainPID)" "$pid"
    # And back, in the other order.
    put_key main.secret cloudsim-outside-secret
    cloud secret cloudsim-outside-secret
    id=$(cloud_task 5001)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    is "$(property MainPID)" "$pid"
}

no_key_is_in_the_journal() {
    journalctl --quiet --output cat --unit cdn-usaged --output verbose >"$TRY/unit-journal"
    # The journal of the rotation is there, else nothing could be found in it.
    grep -q CDN_USAGED_EVENT=credentials.rejected "$TRY/unit-journal"
    refused grep -e another-secret -e cloudsim-outside-secret -e Signature= "$TRY/unit-journal"
}

check keys_are_rotated_without_a_restart
check no_key_is_in_the_journal
