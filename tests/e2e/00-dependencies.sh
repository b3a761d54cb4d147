#!/usr/bin/env bash
# The finished binary links nothing that the [binary] section of the list of packages does not name, and is hardened:
# a packager takes that section as it is.
set -euo pipefail
binary=${1:-${MERLON:?}}
list=$MERLON_ROOT/packaging/dependencies/debian-12.txt
named=$(sed -n '/^\[binary\]/,/^\[build\]/s/^\([a-z][^ ]*\).*/\1/p' "$list")
failures=0

libraries=$(readelf -d "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[[ -n $libraries ]]
for library in $libraries; do
  package=$(dpkg -S "*/lib/$(uname -m)-linux-gnu/$library" | sed 's/:.*//' | sort -u | grep -v -- '-dev$' | head -n 1)
  case $package in
    libc6) ;;
    '')
      echo "$library is in no Debian package"
      failures=$((failures + 1))
      ;;
    *)
      if ! grep -qxF "$package" <<<"$named"; then
        echo "$library comes from $package, which [binary] in $list does not name"
        failures=$((failures + 1))
      fi
      ;;
  esac
done
echo "$(wc -w <<<"$libraries") libraries checked"

if ! readelf -lW "$binary" | grep -q GNU_RELRO || ! readelf -d "$binary" | grep -qE 'BIND_NOW|Flags:.*NOW'; then
  echo "the binary is linked without full RELRO"
  failures=$((failures + 1))
fi
if ! readelf -hW "$binary" | grep -q 'DYN (Position-Independent'; then
  echo "the binary is not position-independent"
  failures=$((failures + 1))
fi
if readelf -lW "$binary" | grep 'GNU_STACK' | grep -q 'RWE'; then
  echo "the binary has an executable stack"
  failures=$((failures + 1))
fi
[[ $failures -eq 0 ]]
