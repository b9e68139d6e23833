# shellcheck shell=bash
# When the unit counts as started, and what it runs in.

# Another process holds the database, as a backup does for a moment.
the_unit_is_active_only_when_the_database_is_open() {
    local holder released
    mkfifo "$TRY/hold"
    as_service_user sqlite3 "$STATE/usage.db" <>"$TRY/hold" >"$TRY/held" &
    holder=$!
    printf 'BEGIN EXCLUSIVE;\nSELECT 1;\n' >"$TRY/hold"
    await test -s "$TRY/held"
    systemctl start --no-block cdn-usaged
    await logged daemon.started
    is "$(property ActiveState)" activating
    is "$(property StatusText)" ''
    logged daemon.ready && return 1
    released=$(now)
    printf 'ROLLBACK;\n.quit\n' >"$TRY/hold"
    wait "$holder"
    await is_state active
    # shellcheck disable=SC2034 # `logged` looks from there on.
    mark=$released
    logged daemon.ready
}

the_status_is_a_sentence_for_people() {
    await says '^1 listing of 1 account; 0 transfers under way, 0 downloads waiting, 0 of them for a link$'
    systemctl status --no-pager cdn-usaged | grep 'Status: "1 listing of 1 account; '
}

says() {
    property StatusText | grep -q -- "$1"
}

the_process_has_no_rights_beyond_its_own_user() {
    local pid status
    pid=$(property MainPID)
    status=$(grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr '\t' ' ')
    is "$(stat -c '%U:%G' "/proc/$pid")" cdn-usaged:cdn-usaged
    is "$(sed -n 's/^Cap...: //p' <<<"$status" | sort -u)" 0000000000000000
    is "$(sed -n 's/^NoNewPrivs: //p' <<<"$status")" 1
    is "$(sed -n 's/^Seccomp: //p' <<<"$status")" 2
}

# The options of the mount that a path of the service's own view lies on.
mounted() {
    awk -v path="$1/" '
        index(path == "//" ? "/" : path, $5 == "/" ? "/" : $5 "/") == 1 && length($5) >= length(found) { found = $5; options = $6 }
        END { print options }' "/proc/$(property MainPID)/mountinfo"
}

nothing_but_the_state_can_be_written_and_nothing_but_the_program_run() {
    local path
    for path in / /etc /etc/cdn-usaged /usr/bin /var/lib /srv; do
        mounted "$path" | grep -w ro | grep -w noexec
    done
    for path in "$STATE" /tmp /var/tmp; do
        mounted "$path" | grep -w rw | grep -w noexec
    done
    mounted /usr/bin/cdn-usaged | grep -vw noexec
    mounted /usr/lib | grep -vw noexec
}

a_line_of_the_journal_has_its_fields_and_can_be_found_by_them() {
    local id path sha256
    id=$(cloud_task 100)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    path=$STATE/exports/$(fields CDN_USAGED_PATH download.stored "CDN_USAGED_TASK_ID=$id")
    sha256=$(sha256sum "$path" | cut -d ' ' -f 1)
    is "$(fields CDN_USAGED_ACCOUNT download.stored "CDN_USAGED_SHA256=$sha256" CDN_USAGED_EXPORT=usage-detail \
        CDN_USAGED_BYTES=100 CDN_USAGED_LEVEL=info PRIORITY=6 SYSLOG_IDENTIFIER=cdn-usaged)" main
}

# The package has brought the catalog, and the journal knows it.
a_line_of_the_journal_is_explained_by_its_id() {
    local id message
    id=$(cloud_task 100)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    message=$(fields MESSAGE_ID download.stored "CDN_USAGED_TASK_ID=$id")
    journalctl --catalog --quiet "MESSAGE_ID=$message" "CDN_USAGED_TASK_ID=$id" |
        grep -F "The file of task $id of account main"
}

a_second_instance_names_the_first_and_ends_with_75() {
    local status=0
    as_service_user cdn-usaged once >"$TRY/once" 2>&1 || status=$?
    is "$status" 75
    grep -w "$(property MainPID)" "$TRY/once"
}

# Nothing listens, as early in a boot. To take the address of the loopback interface away is of no use: starting a unit
# brings it back.
a_start_before_the_cloud_can_be_reached_catches_up_by_itself() {
    local id pid
    systemctl stop cdn-usaged
    systemctl stop cloud
    systemctl start cdn-usaged
    pid=$(property MainPID)
    await logged poll.failed
    is "$(property ActiveState)" active
    logged download.stored && return 1
    cloud_starts
    id=$(cloud_task 1000)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    is "$(property MainPID)" "$pid"
}

check the_unit_is_active_only_when_the_database_is_open
check the_status_is_a_sentence_for_people
check the_process_has_no_rights_beyond_its_own_user
check nothing_but_the_state_can_be_written_and_nothing_but_the_program_run
check a_line_of_the_journal_has_its_fields_and_can_be_found_by_them
check a_line_of_the_journal_is_explained_by_its_id
check a_second_instance_names_the_first_and_ends_with_75
check a_start_before_the_cloud_can_be_reached_catches_up_by_itself
