#!/bin/bash
# Proves the profiler's links against programs that are not ours, and says in its last line what ran and what did not.
# Installs and builds what is missing if it may: Debian's adb, Android's adbd from Debian's source package, adbkit, and
# what a namespaced phone is made of.
# Fails only if something that ran failed. Running it again is quick: what was built stays in the user's cache.
set -u -o pipefail
cd "$(dirname "$0")/../.."
BIN=${BIN:-.venv/bin}
HERE=tests/conformance
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/fedjoule/conformance
ADBD_VERSION=29.0.6-28
ADBKIT_VERSION=3.3.9
BUILD_NEEDS='clang make dpkg-dev android-libboringssl-dev android-libbase-dev android-libcutils-dev android-liblog-dev libcap-dev'
declare -A reason
mkdir -p "$CACHE"

say() { echo "conformance: $*" >&2; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
install() {
    apt-get -o DPkg::Lock::Timeout=300 update >>"$CACHE/apt.log" 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" >>"$CACHE/apt.log" 2>&1
}

get_adb() {
    command -v adb >/dev/null && return
    if ! may_install; then reason[debian_adb]='adb not found, and only root can install it'; return; fi
    say 'installing adb'
    install adb || reason[debian_adb]='adb could not be installed'
}

# The source comes from the mirror this machine uses already; lists and settings of its own, so that the machine's stay.
get_source() {
    local folder=$1 mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "bookworm" && $3 == "main" {print $1; exit}')
    [ -n "$mirror" ] || return
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$folder/sources.list"
    local options=(-o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=)
    apt-get "${options[@]}" update >>"$folder/log" 2>&1 &&
        (cd "$folder" && apt-get "${options[@]}" --download-only source "android-platform-tools=$ADBD_VERSION") >>"$folder/log" 2>&1 &&
        (cd "$folder" && dpkg-source -x android-platform-tools_*.dsc tree) >>"$folder/log" 2>&1
}

get_adbd() {
    local target=$CACHE/adbd-$ADBD_VERSION build
    [ -x "$target/adbd" ] && return
    # shellcheck source=/dev/null
    if [ "$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" != bookworm ]; then
        reason[aosp_adbd]='adbd is only built on Debian 12'
        return
    fi
    # shellcheck disable=SC2086
    if ! dpkg -s $BUILD_NEEDS >/dev/null 2>&1; then
        if ! may_install; then reason[aosp_adbd]="only root can install $BUILD_NEEDS"; return; fi
        say 'installing what adbd is built with'
        # shellcheck disable=SC2086
        install $BUILD_NEEDS || { reason[aosp_adbd]='its libraries could not be installed'; return; }
    fi
    build=$(mktemp -d "$CACHE/build.XXXXXX")
    say 'building adbd, about a minute'
    if get_source "$build" && make -s -j2 -f "$HERE/adbd.mk" SOURCE="$build/tree" OUT="$build/out" VERSION="$ADBD_VERSION" >>"$build/log" 2>&1; then
        mkdir -p "$target"
        mv "$build/out/adbd" "$target/adbd"
    else
        tail -5 "$build/log" >&2
        reason[aosp_adbd]='its source could not be fetched or built'
    fi
    rm -rf "$build"
}

get_adbkit() {
    [ -d "$CACHE/adbkit/node_modules/@devicefarmer/adbkit" ] && return
    if ! command -v npm >/dev/null; then reason[adbkit]='npm not found'; return; fi
    say 'installing adbkit'
    mkdir -p "$CACHE/adbkit"
    npm install --no-audit --no-fund --silent --prefix "$CACHE/adbkit" "@devicefarmer/adbkit@$ADBKIT_VERSION" >>"$CACHE/npm.log" 2>&1 ||
        reason[adbkit]='npm could not install it'
}

get_phone() {
    local program missing=
    for program in mksh toybox qemu-aarch64-static; do command -v $program >/dev/null || missing+=" $program"; done
    [ -n "$missing" ] || return
    if ! may_install; then reason[namespaced_phone]="${missing# } not found, and only root can install them"; return; fi
    say 'installing mksh, toybox and qemu'
    install mksh toybox qemu-user-static || reason[namespaced_phone]='mksh, toybox or qemu could not be installed'
}

get_adb
get_adbd
get_adbkit
get_phone
ran='' skipped='' failed=''
for part in emulator debian_adb aosp_adbd adbkit namespaced_phone; do
    log=$(mktemp)
    tests=$HERE/test_$part.py
    [ "$part" = namespaced_phone ] && tests=tests/namespaced
    FEDJOULE_CONFORMANCE=1 "$BIN/python" -m pytest -q -rs -n 0 -p no:cacheprovider "$tests" >"$log" 2>&1
    code=$?
    cat "$log" >&2
    if [ $code -ne 0 ]; then
        failed+=", $part"
    elif grep -qE '^[0-9]+ passed|, [0-9]+ passed' "$log"; then
        ran+=", $part"
    else
        why=${reason[$part]:-$(sed -n 's/^SKIPPED.*: //p' "$log" | head -1)}
        skipped+=", $part (${why:-nothing ran})"
    fi
    rm -f "$log"
done
line="conformance: ran ${ran:2}"
[ -n "$skipped" ] && line+="; skipped ${skipped:2}"
[ -n "$failed" ] && line+="; FAILED ${failed:2}"
echo "$line"
[ -z "$failed" ]
