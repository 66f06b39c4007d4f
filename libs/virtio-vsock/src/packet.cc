// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {
namespace {

std::uint64_t join(Le32 low, Le32 high) { return std::uint64_t{high.get()} << 32 | low.get(); }
Le32 low(std::uint64_t value) { return Le32(static_cast<std::uint32_t>(value)); }
Le32 high(std::uint64_t value) { return Le32(static_cast<std::uint32_t>(value >> 32)); }

}  // namespace

PacketHeader PacketHeader::parse(const WireHeader& wire) {
  return {.src_cid = join(wire.src_cid_low, wire.src_cid_high),
          .dst_cid = join(wire.dst_cid_low, wire.dst_cid_high),
          .src_port = wire.src_port.get(),
          .dst_port = wire.dst_port.get(),
          .len = wire.len.get(),
          .type = SocketType{wire.type.get()},
          .op = Op{wire.op.get()},
          .flags = wire.flags.get(),
          .buf_alloc = wire.buf_alloc.get(),
          .fwd_cnt = wire.fwd_cnt.get()};
}

WireHeader PacketHeader::wire() const {
  return {.src_cid_low = low(src_cid),
          .src_cid_high = high(src_cid),
          .dst_cid_low = low(dst_cid),
          .dst_cid_high = high(dst_cid),
          .src_port = Le32(src_port),
          .dst_port = Le32(dst_port),
          .len = Le32(len),
          .type = Le16(static_cast<std::uint16_t>(type)),
          .op = Le16(static_cast<std::uint16_t>(op)),
          .flags = Le32(flags),
          .buf_alloc = Le32(buf_alloc),
          .fwd_cnt = Le32(fwd_cnt)};
}

PacketHeader reset_for(const PacketHeader& packet) {
  return {.src_cid = packet.dst_cid,
          .dst_cid = packet.src_cid,
          .src_port = packet.dst_port,
          .dst_port = packet.src_port,
          .type = packet.type,
          .op = Op::kReset};
}

}  // namespace vmm::virtio_vsock
