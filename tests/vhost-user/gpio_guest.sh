# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# What a guest does with a GPIO device of 8 lines that are wired in pairs; Linux' own driver.
set -e
chip=$(grep -l virtio /sys/class/gpio/gpiochip*/label | sed 's|/label||')
base=$(cat "$chip"/base)
echo "lines $(cat "$chip"/ngpio)"
cd /sys/class/gpio
in=gpio$base out=gpio$((base + 1))
echo "$base" >./export
echo $((base + 1)) >./export
echo in >"$in"/direction
echo high >"$out"/direction
echo "values $(cat "$in"/value)"
echo 0 >"$out"/value
echo "values $(cat "$in"/value)"
if [ -e "$in"/edge ]; then
  irqs() { sed -n 's/^ *[0-9]*: *\([0-9]*\) .*gpiolib.*/\1/p' /proc/interrupts; }
  # counts TOTAL: waits until so many have come.
  counts() {
    tenths=0
    while [ "$(irqs)" -lt "$1" ] && [ $tenths -lt 300 ]; do
      sleep 0.1
      tenths=$((tenths + 1))
    done
  }
  toggle() {
    wanted=$before
    for level in 1 0 1 0 1 0; do
      echo $level >"$out"/value
      case $edge$level in
        rising1 | falling0 | both*)
          wanted=$((wanted + 1))
          counts $wanted
          ;;
      esac
      sleep 0.2 # for those that should not come
    done
  }
  for edge in rising falling both; do
    echo $edge >"$in"/edge
    before=$(irqs)
    toggle
    echo "edge $edge $(($(irqs) - before))"
    echo none >"$in"/edge
  done
  echo rising >"$in"/edge
  echo 1 >"$out"/value
  counts 1
  sleep 0.2
  echo "again $(irqs)"
  echo none >"$in"/edge
else
  echo "no interrupts"
fi
echo "$base" >./unexport
echo $((base + 1)) >./unexport
dmesg | grep -v 'module verification' | grep -i 'gpio.*\(fail\|error\|timeout\)' && exit 1
true
