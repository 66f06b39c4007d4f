# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: kvm-tests
# timeout: 400
. ./lib.sh
# shellcheck source=lib-programs.sh
. ./lib-programs.sh

# The test programs of the libraries that need the kernel's vhost. They pass over what is not there.
modprobe -a tun vhost_net vhost_vsock
check 'there is vhost-net' [ -c /dev/vhost-net ]
check 'there is vhost-vsock' [ -c /dev/vhost-vsock ]
for file in ./vhost_test_on_kvm ./vhost_device_test_on_kvm; do run_program "$file"; done
