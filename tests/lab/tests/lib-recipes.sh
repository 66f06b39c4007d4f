# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154,SC2034  # what it shares with lib.sh
# For tests that start the VMM as other projects start cloud-hypervisor.

# ch_remote STATUS METHOD NAME [FILE]: a request in the bytes of ch-remote; the answer in `answer`.
ch_remote() {
  wanted=$1
  shift
  api-call "$api" "$@" >answer 2>&1
  [ "$(head -n 1 answer)" = "$wanted" ]
}

# fs_daemon FOLDER: Debian's virtiofsd at fs.sock.
fs_daemon() {
  rm -f fs.sock
  virtiofsd --socket-path="$PWD/fs.sock" -o source="$PWD/$1" -o sandbox=chroot 2>>fs.err &
  daemon_pid=$!
  until [ -S fs.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
}
