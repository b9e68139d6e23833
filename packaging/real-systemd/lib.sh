# shellcheck shell=bash
# What the checks are written with. Sourced by `checks`.

readonly CONFIG=/etc/cdn-usaged/config.toml
readonly KEYS=/etc/cdn-usaged/credentials
readonly STATE=/var/lib/cdn-usaged
readonly DROP_INS=/etc/systemd/system/cdn-usaged.service.d
readonly GATEWAY_PORT=8080 OSS_PORT=8081
# Whatever is waited for comes within this, on a busy machine too.
readonly PATIENCE_SECONDS=${PATIENCE_SECONDS:-60}

passed=0
failed=0

# Runs a check, a function whose name is a sentence. What it traced is shown when it fails.
check() {
    local name=${1//_/ } status
    mark=$(now)
    (
        set -eux
        "$1"
    ) >"$TRY/trace" 2>&1
    status=$?
    if ((status == 0)); then
        passed=$((passed + 1))
        printf 'PASS  %s\n' "$name" >>"$RESULTS"
    else
        failed=$((failed + 1))
        {
            printf 'FAIL  %s\n' "$name"
            tail -n 25 "$TRY/trace" | cut -c 1-300 | sed 's/^/          /'
        } >>"$RESULTS"
    fi
}

# Fails unless the two are the same.
is() {
    [ "$1" = "$2" ] && return
    printf "'%s' is not '%s'\n" "$1" "$2"
    return 1
}

# Fails if the command succeeds.
refused() {
    if "$@"; then
        printf 'was allowed: %s\n' "$*"
        return 1
    fi
}

# Waits until a command succeeds. Not traced: it asks often.
await() {
    { set +x; } 2>/dev/null
    local deadline=$((SECONDS + PATIENCE_SECONDS))
    until "$@"; do
        if ((SECONDS >= deadline)); then
            printf 'waited %s s in vain for: %s\n' "$PATIENCE_SECONDS" "$*"
            return 1
        fi
        sleep 0.05
    done
    set -x
}

# --- the unit ---

property() {
    systemctl show --value --property "$1" cdn-usaged
}

is_state() {
    [ "$(property ActiveState)" = "$1" ]
}

is_other_process_than() {
    local pid
    pid=$(property MainPID)
    [ "$pid" != 0 ] && [ "$pid" != "$1" ] && is_state active
}

# Changes the unit for the checks that follow: the lines of its [Service] section, on standard input.
drop_in() {
    mkdir -p "$DROP_INS"
    { echo '[Service]'; cat; } >"$DROP_INS/$1.conf"
    systemctl daemon-reload
}

# Installs one of the drop-ins that are shipped.
shipped_drop_in() {
    install -D -m 0644 "$TRY/drop-ins/$1.conf" "$DROP_INS/$1.conf"
    systemctl daemon-reload
}

no_drop_ins() {
    rm -rf "$DROP_INS"
    systemctl daemon-reload
}

# --- the journal ---

# A moment, as journalctl takes it. No cursor: journalctl skips the first match after one that does not match itself.
now() {
    date +@%s.%6N
}

# The values of a field in the lines of an event since the check began; further arguments are FIELD=VALUE.
fields() {
    local field=$1 event=$2
    shift 2
    journalctl --quiet --since "$mark" --unit cdn-usaged --output cat --output-fields "$field" \
        "CDN_USAGED_EVENT=$event" "$@"
}

logged() {
    [ -n "$(fields MESSAGE "$@")" ]
}

# What the service manager itself says of the unit.
managed() {
    journalctl --quiet --since "$mark" --output cat UNIT=cdn-usaged.service _PID=1 | grep -q -- "$1"
}

# --- the configuration ---

# A configuration for the simulated cloud; standard input is put before the account's keys.
configure() {
    cat >"$CONFIG" <<END
[storage]
min_free = "1MiB"
$(cat)
[poll]
interval = "200ms"
idle_interval = "200ms"
request_timeout = "1s"
[retry]
call_attempts = 2
base = "50ms"
max = "500ms"
[download]
allowed_networks = ["127.0.0.0/8"]
allow_http = true
[[account]]
name = "main"
endpoint = "${ENDPOINT:-http://127.0.0.1:$GATEWAY_PORT}"
[account.credentials]
source = "files"
access_key_id_file = "${KEY_PREFIX-$KEYS/}main.id"
access_key_secret_file = "${KEY_PREFIX-$KEYS/}main.secret"
END
}

# Puts a key in place as it is rotated: written beside, then moved.
put_key() {
    install -m 0640 -g cdn-usaged /dev/null "$KEYS/.new"
    printf '%s\n' "$2" >"$KEYS/.new"
    mv "$KEYS/.new" "$KEYS/$1"
}

as_service_user() {
    sudo -u cdn-usaged "$@"
}

# --- the simulated cloud ---

cloud_starts() {
    rm -f "$TRY/cloud.in" "$TRY/cloud.out"
    mkfifo "$TRY/cloud.in"
    # Opened both ways, the pipe neither waits for a writer nor ends with one.
    systemd-run --quiet --collect --unit cloud --setenv "TRY=$TRY" \
        sh -c "exec \"\$TRY/cloudsim\" 3 $GATEWAY_PORT $OSS_PORT <>\"\$TRY/cloud.in\" >\"\$TRY/cloud.out\""
    await test -s "$TRY/cloud.out"
}

cloud_has_answered() {
    [ "$(wc -l <"$TRY/cloud.out")" -gt "$1" ]
}

# Tells it something, and prints its answer.
cloud() {
    local before
    before=$(wc -l <"$TRY/cloud.out")
    printf '%s\n' "$*" >"$TRY/cloud.in"
    await cloud_has_answered "$before" >&2
    tail -n 1 "$TRY/cloud.out"
}

# Adds a finished task with a file of so many bytes, and prints its id.
cloud_task() {
    cloud task "$1" | grep -o '[0-9]\+'
}

# The same with a file that takes eight seconds, until `cloud pace 0`.
slow_task() {
    cloud pace 500000 >&2
    cloud_task 4000000
}

# --- files ---

partial_bytes() {
    find "$STATE/exports/.incoming" -type f -name '*.part' -printf '%s\n' | head -n 1
}

# More than a second of it, at the pace of `slow_task`: what object it belongs to is noted about every second.
has_partial() {
    [ "$(partial_bytes)" -gt 1500000 ] 2>/dev/null
}
