# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# For the tests that run test programs of libraries.

# run_program PATH: the program has to pass; its cases are counted.
run_program() {
  program=${1#./}
  "$1" >"$program.out" 2>&1
  status=$?
  cases=$(sed -n 's/^All tests passed (.* in \([0-9]*\) test case.*/\1/p' "$program.out")
  if [ "$status" -eq 0 ] && [ -n "$cases" ]; then
    echo "ok - $program # count $cases"
  elif [ "$status" -eq 77 ]; then
    skip "$program" "$(tail -n 1 "$program.out")"
  else
    echo "not ok - $program # exit status $status"
    tail -n 60 "$program.out" | sed 's/^/    | /'
  fi
}
