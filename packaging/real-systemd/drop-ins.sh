# shellcheck shell=bash
# The drop-ins, each installed as its first lines say.

# Everything works: a new task is found and its file stored.
stores_a_new_task() {
    local id
    id=$(cloud_task 6000)
    await logged download.stored "CDN_USAGED_TASK_ID=$id"
    test -s "$1/$(fields CDN_USAGED_PATH download.stored "CDN_USAGED_TASK_ID=$id")"
}

systemd_hands_the_keys_over() {
    shipped_drop_in credentials
    KEY_PREFIX='' configure </dev/null
    chown root:root "$KEYS"/main.*
    chmod 0600 "$KEYS"/main.*
    systemctl restart cdn-usaged
    stores_a_new_task "$STATE/exports"
    is "$(stat -c '%a' "/run/credentials/cdn-usaged.service/main.secret")" 400
    refused runuser -u billing -- cat /run/credentials/cdn-usaged.service/main.secret
    no_drop_ins
    chgrp cdn-usaged "$KEYS"/main.*
    chmod 0640 "$KEYS"/main.*
}

files_are_published_in_a_folder_elsewhere() {
    systemctl stop cdn-usaged
    shipped_drop_in download-folder
    install -d -o cdn-usaged -g cdn-usaged -m 0750 /srv/cdn-exports
    cp -a "$STATE/exports/." /srv/cdn-exports
    configure <<<'download_dir = "/srv/cdn-exports"'
    systemctl start cdn-usaged
    stores_a_new_task /srv/cdn-exports
    mounted /srv | grep -w ro
    mounted /srv/cdn-exports | grep -w rw | grep -w noexec
    runuser -u billing -- sh -c 'cat /srv/cdn-exports/main/usage-detail/*' >/dev/null
    refused runuser -u nobody -- ls /srv/cdn-exports
    as_service_user cdn-usaged verify
    systemctl stop cdn-usaged
    cp -a /srv/cdn-exports/. "$STATE/exports"
    no_drop_ins
    configure </dev/null
}

a_user_is_made_for_the_time_of_the_service() {
    local uid
    systemctl stop cdn-usaged
    shipped_drop_in dynamic-user
    systemctl start cdn-usaged
    stores_a_new_task /var/lib/private/cdn-usaged/exports
    # The range that systemd takes such users from.
    uid=$(stat -c %u "/proc/$(property MainPID)")
    ((uid >= 61184 && uid <= 65519))
    refused runuser -u billing -- ls "$STATE/"
    systemctl stop cdn-usaged
    refused grep cdn-usaged-dynamic /etc/passwd
}

without_it_the_static_user_has_everything_again() {
    no_drop_ins
    systemctl start cdn-usaged
    stores_a_new_task "$STATE/exports"
    is "$(find "$STATE/" -not -user cdn-usaged)" ''
    is "$(find "$STATE/exports/" -type f -not -group cdn-usaged)" ''
    runuser -u billing -- sh -c "cat $STATE/exports/main/usage-detail/*" >/dev/null
    as_service_user cdn-usaged verify
}

# In the proxy's place: it writes down what it is asked for, and refuses it.
a_proxy_listens() {
    cat >/run/systemd/system/proxy.socket <<'END'
[Socket]
ListenStream=127.0.0.1:3128
Accept=yes
END
    cat >/run/systemd/system/proxy@.service <<END
[Service]
ExecStart=/bin/sh -c 'read -r line; echo "\$\$line" >>$TRY/proxied; printf "HTTP/1.1 503 Closed\\r\\nContent-Length: 0\\r\\n\\r\\n"'
StandardInput=socket
StandardOutput=socket
END
    systemctl daemon-reload
    systemctl start proxy.socket
}

calls_go_through_the_local_proxy() {
    a_proxy_listens
    shipped_drop_in local-proxy
    ENDPOINT=https://cdn.aliyuncs.com configure </dev/null
    systemctl restart cdn-usaged
    await logged poll.failed
    grep '^CONNECT cdn.aliyuncs.com:443 ' "$TRY/proxied"
    is "$(property IPAddressDeny | tr ' ' '\n' | sort | xargs)" '0.0.0.0/0 ::/0'
    is "$(property IPAddressAllow | tr ' ' '\n' | sort | xargs)" '127.0.0.0/8 ::1/128'
    systemctl stop cdn-usaged proxy.socket
    no_drop_ins
    configure </dev/null
}

systemctl_waits_for_the_end_of_a_reload() {
    local pid
    shipped_drop_in notify-reload
    systemctl restart cdn-usaged
    pid=$(property MainPID)
    sed -i 's/^name = "main"$/&\nexports = ["usage-detail", "usage"]/' "$CONFIG"
    systemctl reload cdn-usaged
    # At once: this is what the drop-in is for.
    logged config.reloaded
    is "$(fields MESSAGE config.reloaded | wc -l)" 1
    configure <<<'no_such_key = 1'
    systemctl reload cdn-usaged
    logged config.rejected
    is "$(property ActiveState)" active
    is "$(property MainPID)" "$pid"
    no_drop_ins
    configure </dev/null
    systemctl restart cdn-usaged
}

check systemd_hands_the_keys_over
check files_are_published_in_a_folder_elsewhere
check a_user_is_made_for_the_time_of_the_service
check without_it_the_static_user_has_everything_again
check calls_go_through_the_local_proxy
if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 253 ]; then
    check systemctl_waits_for_the_end_of_a_reload
fi
