#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: dev docs

Makes the site of the documentation, build/docs/html: the guide, the pages in docs/, one page for each
library, and all public headers. The messages are in build/docs/warnings.log.

Exit status: 1 when a public item is without a word, or something that is said is wrong (a parameter that is
not there, a link that leads nowhere).
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
out=$top/build/docs

say() { printf 'docs: %s\n' "$*" >&2; }

case ${1:-} in
  '') ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

# count PATTERN: how many lines of the log have it.
count() { grep -cE "$1" "$out/warnings.log" || true; }

mkdir -p "$out"
python3 "$top/docs/site/pages.py" "$out/pages"
rm -rf "$out/html"
mkdir -p "$out/pages/docs/performance"
cd "$top"
{
  cat docs/site/Doxyfile
  echo "STRIP_FROM_INC_PATH = $(find libs -type d -name include | sort | paste -sd' ')"
} | TOP=$top doxygen - >"$out/log" 2>&1 || {
  tail -n 20 "$out/log" >&2
  exit 1
}
undocumented=$(count 'is not documented')
mistakes='warning: (argument|found documented|The following parameter|unable to resolve reference|unexpected token)'
wrong=$(count "$mistakes")
say "build/docs/html: $(find "$out/html" -name '*.html' | wc -l) pages; $undocumented public items without a word"
if [[ $wrong -gt 0 || $undocumented -gt 0 ]]; then
  grep -E "$mistakes|is not documented" "$out/warnings.log" >&2 || true
  exit 1
fi
