# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: kvm-tests
# also aarch64: max gicv2
# timeout: 400
. ./lib.sh

# Every test program of the libraries that needs a real KVM.
for program in ./*_kvm_test; do
  name=${program#./}
  "$program" >"$name.out" 2>&1
  status=$?
  cases=$(sed -n 's/^All tests passed (.* in \([0-9]*\) test case.*/\1/p' "$name.out")
  if [ "$status" -eq 0 ] && [ -n "$cases" ]; then
    echo "ok - $name # count $cases"
  elif [ "$status" -eq 77 ]; then
    skip "$name" "$(tail -n 1 "$name.out")"
  else
    echo "not ok - $name # exit status $status"
    tail -n 60 "$name.out" | sed 's/^/    | /'
  fi
done
