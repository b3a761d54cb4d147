#!/usr/bin/env bash
# The finished binary links and loads nothing that the [binary] section of the list of packages does not name, and is
# hardened: a packager takes that section as it is.
set -euo pipefail
binary=${1:-${MERLON:?}}
list=$MERLON_ROOT/packaging/dependencies/debian-12.txt
named=$(sed -n '/^\[binary\]/,/^\[build\]/s/^\([a-z][^ ]*\).*/\1/p' "$list")
failures=0

libraries=$(readelf -d "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[[ -n $libraries ]]
package_is_named() { # package_is_named LIBRARY: by [binary]
  local package
  package=$(dpkg -S "*/lib/$(uname -m)-linux-gnu/$1" | sed 's/:.*//' | sort -u | grep -v -- '-dev$' | head -n 1)
  case $package in
    libc6) ;;
    '')
      echo "$1 is in no Debian package"
      failures=$((failures + 1))
      ;;
    *)
      if ! grep -qxF "$package" <<<"$named"; then
        echo "$1 comes from $package, which [binary] in $list does not name"
        failures=$((failures + 1))
      fi
      ;;
  esac
}
for library in $libraries; do package_is_named "$library"; done
echo "$(wc -w <<<"$libraries") libraries checked"

# What is loaded when it is used (src/base/shared_library.h): named as well, and not linked besides.
used=$(grep -rhoE --include='*.h' 'SharedLibrary\(\{"[^"]+"' "$MERLON_ROOT/src" | sed 's/.*"\(.*\)"/\1/' | sort -u)
[[ $used == *libpq.so.5* ]]
for library in $used; do
  package_is_named "$library"
  if grep -qxF "$library" <<<"$libraries"; then
    echo "$library is linked, though it is loaded where it is used: every process pays for it"
    failures=$((failures + 1))
  fi
done
echo "$(wc -w <<<"$used") libraries that are loaded when used checked"

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
