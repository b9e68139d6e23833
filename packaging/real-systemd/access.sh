# shellcheck shell=bash
# Who can read what is published.

useradd --no-create-home --groups cdn-usaged billing

a_member_of_the_group_reads_every_file_and_the_database() {
    local paths path
    paths=$(runuser -u billing -- sqlite3 -readonly "$STATE/usage.db" 'SELECT path FROM files')
    [ "$(wc -l <<<"$paths")" -ge 5 ]
    while read -r path; do
        is "$(runuser -u billing -- sha256sum "$STATE/exports/$path" | cut -d ' ' -f 1)" \
            "$(runuser -u billing -- sqlite3 -readonly "$STATE/usage.db" "SELECT sha256 FROM files WHERE path = '$path'")"
        is "$(stat -c '%a %U:%G' "$STATE/exports/$path")" '640 cdn-usaged:cdn-usaged'
    done <<<"$paths"
}

a_member_of_the_group_changes_nothing() {
    local path
    path=$STATE/exports/$(as_service_user sqlite3 -readonly "$STATE/usage.db" 'SELECT path FROM files LIMIT 1')
    refused runuser -u billing -- touch "$path"
    refused runuser -u billing -- mv "$path" "$path.moved"
    refused runuser -u billing -- touch "$STATE/new"
    refused runuser -u billing -- sqlite3 "$STATE/usage.db" 'UPDATE listings SET total = 0'
    refused runuser -u billing -- touch "$KEYS/new"
}

nobody_else_reads_anything() {
    local path
    path=$(as_service_user sqlite3 -readonly "$STATE/usage.db" 'SELECT path FROM files LIMIT 1')
    test -f "$STATE/exports/$path"
    for path in "$STATE/exports/$path" "$STATE/usage.db" "$CONFIG" "$KEYS/main.id" "$KEYS/main.secret"; do
        refused runuser -u nobody -- cat "$path"
    done
    refused runuser -u nobody -- ls "$STATE"
    refused runuser -u nobody -- ls "$KEYS"
}

check a_member_of_the_group_reads_every_file_and_the_database
check a_member_of_the_group_changes_nothing
check nobody_else_reads_anything
