# shellcheck shell=bash
# `systemctl reload`.

a_good_configuration_is_taken_without_a_restart() {
    local pid
    pid=$(property MainPID)
    configure </dev/null
    sed -i 's/^name = "main"$/&\nexports = ["usage-detail", "usage"]/' "$CONFIG"
    systemctl reload cdn-usaged
    await logged config.reloaded
    # The simulated cloud has three tasks in each of its listings.
    await logged poll.completed CDN_USAGED_EXPORT=usage CDN_USAGED_TASKS=3
    await says '^2 listings of 1 account; '
    is "$(property MainPID)" "$pid"
}

a_wrong_configuration_is_refused_and_the_old_one_stays() {
    local pid id
    pid=$(property MainPID)
    configure <<<'no_such_key = 1'
    systemctl reload cdn-usaged
    await logged config.rejected PRIORITY=3
    fields CDN_USAGED_ERROR config.rejected | grep -F "$CONFIG" | grep -w no_such_key
    is "$(property ActiveState)" active
    id=$(cloud_task 2000)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    await says '^2 listings of 1 account; '
    is "$(property MainPID)" "$pid"
    configure </dev/null
}

check a_good_configuration_is_taken_without_a_restart
check a_wrong_configuration_is_refused_and_the_old_one_stays
