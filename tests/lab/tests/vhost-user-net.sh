# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio vhost-user-net with-socket
# l1: --smp 2
# timeout: 400
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

cat >script <<'EOF'
echo "features $(cat /sys/class/net/eth0/device/features)"
echo "queues $(ls -d /sys/class/net/eth0/queues/tx-* | wc -l)"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 3 -W 5 192.0.2.1 | grep received
ping -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
i=0
while [ $i -lt 24 ]; do # other flows, so that each pair has some
  wget -q -O /tmp/big http://192.0.2.1/small && cat /tmp/big
  i=$((i + 1))
done
taskset 1 ping -c 2 -W 5 192.0.2.1 >/dev/null && echo 'pinged from CPU 0'
taskset 2 ping -c 2 -W 5 192.0.2.1 >/dev/null && echo 'pinged from CPU 1'
sleep 1 # what is on its way
EOF
echo 'a small file' >www/small

# The back end has two pairs; the control queue, which the VMM serves, says how many are in use.
for transport in pci mmio; do
  what="a network of two pairs, $transport"
  rm -f net.sock
  vhost-user-net --socket-path=net.sock --tap=vmm0 --ip=192.0.2.1 --mask=255.255.255.0 \
    --queue-pairs=2 2>>net.err &
  daemon_pid=$!
  until [ -S net.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
  transfer "$what" --transport $transport --cpus boot=2 --memory size=512M,shared=on \
    --net vhost_user=on,socket=net.sock,num_queues=4
  check "$what: the driver has a control queue and several pairs" [ "$(features 17 18 22)" = 111 ]
  check "$what: and uses both" says '^queues 2' 1 0
  check "$what: no flow is lost" says '^a small file' 24 0
  check "$what: packets leave from both CPUs" says '^pinged from CPU' 2 0
  kill $daemon_pid
  wait $daemon_pid
done

# The back end connects, and may come late.
rm -f net.sock
sh -c 'sleep 2; exec with-socket net.sock vhost-user-net --fd=3 --tap=vmm0 --ip=192.0.2.1 \
  --mask=255.255.255.0' 2>>net.err &
daemon_pid=$!
transfer 'a network of a back end that connects' --memory size=512M,shared=on \
  --net vhost_user=on,socket=net.sock,vhost_mode=server
check 'a network of a back end that connects: one pair' says '^queues 1' 1 0
wait $daemon_pid
check 'a network of a back end that connects: the daemon ends with the connection' [ $? = 0 ]
