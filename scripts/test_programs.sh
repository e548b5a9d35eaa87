#!/usr/bin/env bash
# Installs what a few tests need beside Python, where that can be done without asking: on Debian and its kin, as root.
# Elsewhere these tests are skipped and say so. Never fails. CI calls it; nobody else has to.
#   chromium: reports of evaluations; bubblewrap: the sandbox; postgresql: the store
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
wanted=()
command -v chromium >/dev/null || wanted+=(chromium)
command -v bwrap >/dev/null || wanted+=(bubblewrap)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || wanted+=(postgresql)
[ ${#wanted[@]} -eq 0 ] && exit 0
echo "installing ${wanted[*]} for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
{ timeout 60 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } \
    >/dev/null 2>&1 || echo "they could not be installed; the tests that need them are skipped" >&2
exit 0
