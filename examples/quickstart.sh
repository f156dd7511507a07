#!/bin/sh
# From a fresh checkout to a running environment: sh examples/quickstart.sh
#
# Needs Rust (https://rustup.rs) and, for what is missing, root or sudo. Everything happens on this machine: the
# environment `local` is a PostgreSQL server that infra makes, listening on 127.0.0.1 only.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n%s\n' "== $*"; }
die() { printf '%s\n' "quickstart: $*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "this needs root or sudo: $*"
    fi
}

# install APT DNF BREW: the name of the package in each; `-` where there is none.
apt_updated=
install() {
    if command -v apt-get >/dev/null 2>&1; then
        if [ -z "$apt_updated" ]; then
            as_root apt-get update -qq || die "apt-get update failed"
            apt_updated=yes
        fi
        # $1 may be several packages.
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold $1 >/dev/null ||
            die "apt-get could not install $1"
    elif command -v dnf >/dev/null 2>&1 && [ "$2" != - ]; then
        as_root dnf install -y -q "$2" || die "dnf could not install $2"
    elif command -v brew >/dev/null 2>&1 && [ "$3" != - ]; then
        brew install --quiet "$3" || die "brew could not install $3"
    else
        die "install $1 by hand, then run this again"
    fi
}

has_postgres() {
    for initdb in "$(command -v initdb 2>/dev/null || :)" /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb \
        /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    return 1
}

command -v cargo >/dev/null 2>&1 || die "Rust is missing: install it from https://rustup.rs, then run this again"

if ! command -v cc >/dev/null 2>&1; then
    say "installing a C compiler, which some of the libraries need to build"
    install "gcc libc6-dev" gcc -
fi

if ! has_postgres; then
    say "installing PostgreSQL"
    # Debian's package makes and starts a server of its own on port 5432 unless told not to.
    if command -v apt-get >/dev/null 2>&1 && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    install postgresql postgresql-server postgresql@17
fi

say "building infra"
cargo build --locked
infra=${CARGO_TARGET_DIR:-target}/debug/infra
[ -x "$infra" ] || die "the build left no $infra"

run() {
    printf '\n$ infra %s\n' "$*"
    "$infra" "$@" || die "infra $1 ended with exit code $?"
}

run validate -e local
run plan -e local --summary
run apply -e local --auto-approve --summary
run plan -e local
run verify -e local

cat <<END

== done. What to try next ($infra is the program):

  psql -h 127.0.0.1 -p 54329 -U svc_orders_migrator orders -c 'create table item (id int)'
                                      as the service's migrations; the table is its owner's
  psql -h 127.0.0.1 -p 54329 -U svc_orders_app orders
                                      as the service; a local environment has no passwords
  psql -h 127.0.0.1 -p 54329 -U dev_ana orders
                                      as a developer
  edit environments/local/*.yaml      then: $infra plan -e local
  $infra destroy -e local
                                      takes everything away again
END
