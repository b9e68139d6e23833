# shellcheck shell=bash
# The package, as it is after `apt-get install`.

the_package_installs_and_starts_nothing() {
    # What it depends on lies where apt looks before it asks the network.
    apt-get install --yes --no-install-recommends "$TRY/cdn-usaged.deb"
    is "$(property LoadState)" loaded
    is "$(property UnitFileState)" disabled
    is "$(property ActiveState)" inactive
}

configuration_and_keys_are_for_root_and_the_group() {
    is "$(stat -c '%a %U:%G' "$CONFIG")" '640 root:cdn-usaged'
    is "$(stat -c '%a %U:%G' "$KEYS")" '750 root:cdn-usaged'
    is "$(stat -c '%a %U:%G' "$STATE")" '750 cdn-usaged:cdn-usaged'
}

systemd_has_nothing_to_say_against_the_installed_unit() {
    # With the binary and the man pages in place.
    is "$(systemd-analyze verify cdn-usaged.service 2>&1)" ''
}

the_exposure_of_the_installed_unit_is_within_its_bound() {
    systemd-analyze security --no-pager --threshold=11 cdn-usaged.service
}

check the_package_installs_and_starts_nothing
# shellcheck disable=SC2154 # It is counted in lib.sh.
((failed == 0)) || finish
check configuration_and_keys_are_for_root_and_the_group
check systemd_has_nothing_to_say_against_the_installed_unit
check the_exposure_of_the_installed_unit_is_within_its_bound
