# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call
# on request
# timeout: 3000
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh

# What comes and goes 200 times leaves nothing behind.

come_and_go 200 hurry
