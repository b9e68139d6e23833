# shellcheck shell=bash
# Starts that end at once and are not tried again, and commands by the wrong user.

ends_with_78_for_good() {
    refused systemctl start cdn-usaged
    # A unit that will be tried again is activating.
    await is_state failed
    is "$(property ExecMainStatus)" 78
    is "$(property NRestarts)" 0
    logged daemon.ready && return 1
    systemctl reset-failed cdn-usaged
}

a_configuration_that_is_not_valid_is_not_started_again() {
    configure <<<'no_such_key = 1'
    ends_with_78_for_good
}

a_key_that_is_open_to_others_is_not_started_again() {
    configure </dev/null
    put_key main.id LTAIcloudsimOutside
    put_key main.secret cloudsim-outside-secret
    chmod 0644 "$KEYS/main.secret"
    ends_with_78_for_good
    chmod 0640 "$KEYS/main.secret"
}

# The line is kept for the next check.
once_as_root_refuses_and_prints_the_line_to_run() {
    local status=0
    cdn-usaged once >"$TRY/once" 2>&1 || status=$?
    is "$status" 1
    is "$(find "$STATE" -mindepth 1 -not -user cdn-usaged)" ''
    sed -n 's/^ *\(sudo -u cdn-usaged .*\)/\1/p' "$TRY/once" >"$TRY/line"
    is "$(cat "$TRY/line")" "sudo -u cdn-usaged cdn-usaged --config $CONFIG once"
}

the_line_that_it_printed_does_the_job() {
    cloud_starts
    bash -eux "$TRY/line"
    is "$(as_service_user cdn-usaged files --json | wc -l)" 3
}

check a_configuration_that_is_not_valid_is_not_started_again
check a_key_that_is_open_to_others_is_not_started_again
check once_as_root_refuses_and_prints_the_line_to_run
check the_line_that_it_printed_does_the_job
