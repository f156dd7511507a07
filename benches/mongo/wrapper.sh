#!/bin/bash
# What most write: mongosh to lock, the snapshot command, mongosh to unlock, whatever the command says.
#
# wrapper.sh MONGOSH URI COMMAND    with the address of one secondary
set -eu
mongosh=$1 uri=$2 command=$3

unlock() { "$mongosh" --quiet "$uri" --eval 'db.fsyncUnlock()' >/dev/null; }

"$mongosh" --quiet "$uri" --eval 'db.fsyncLock()' >/dev/null
trap unlock EXIT
"$command"
