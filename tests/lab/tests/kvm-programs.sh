# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: kvm-tests
# also aarch64: max gicv2
# timeout: 400
. ./lib.sh
# shellcheck source=lib-programs.sh
. ./lib-programs.sh

modprobe tun 2>/dev/null || true # for tests of taps

# Every test program of the libraries that needs a real KVM, or another real thing of the kernel;
# those that need vhost have a test of their own.
for file in ./*_test_on_kvm; do
  case $file in
    ./vhost_test_on_kvm | ./vhost_device_test_on_kvm) ;;
    *) run_program "$file" ;;
  esac
done
