// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vnet_header.h"

#include <algorithm>

#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {
namespace {

constexpr std::uint32_t kChecksumBytes = 2;
constexpr std::uint32_t kLinkHeaderBytes = 14 + 4;  // Ethernet, with a VLAN tag

/// The features that each kind of packet needs, in one direction.
struct Needs {
  NetFeature csum, tso4, tso6, ecn, ufo;
  std::uint64_t uso;  // any of them
};
constexpr Needs kFromDriver{NetFeature::kCsum,    NetFeature::kHostTso4, NetFeature::kHostTso6,
                            NetFeature::kHostEcn, NetFeature::kHostUfo,  bit(NetFeature::kHostUso)};
constexpr Needs kFromHost{
    NetFeature::kGuestCsum, NetFeature::kGuestTso4,
    NetFeature::kGuestTso6, NetFeature::kGuestEcn,
    NetFeature::kGuestUfo,  bit(NetFeature::kGuestUso4) | bit(NetFeature::kGuestUso6)};

std::uint64_t needed_by(std::uint8_t gso_type, const Needs& needs) {
  switch (gso_type) {
    case kGsoTcp4:
      return bit(needs.tso4);
    case kGsoTcp6:
      return bit(needs.tso6);
    case kGsoUdp:
      return bit(needs.ufo);
    case kGsoUdpL4:
      return needs.uso;
    default:
      return 0;
  }
}

// Whether the header describes a large packet that the two sides agreed on. Such a packet always
// has a checksum to compute: 5.1.6.2.1 and 5.1.6.4.1.
bool gso_is_allowed(const VnetHeader& header, std::uint64_t features, const Needs& needs) {
  if ((header.flags & kNeedsCsum) == 0) return false;
  const auto kind = static_cast<std::uint8_t>(header.gso_type & ~kGsoEcn);
  const bool tcp = kind == kGsoTcp4 || kind == kGsoTcp6;
  if ((header.gso_type & kGsoEcn) != 0 && (!tcp || (features & bit(needs.ecn)) == 0)) return false;
  return (features & needed_by(kind, needs)) != 0 && header.gso_bytes.get() != 0;
}

bool accept(VnetHeader& header, std::uint32_t bytes, std::uint64_t features, const Needs& needs) {
  if (header.gso_type == kGsoNone) {
    header.gso_bytes = header.header_bytes = Le16(0);
  } else if (!gso_is_allowed(header, features, needs)) {
    return false;
  }
  if ((header.flags & kNeedsCsum) == 0) {
    header.csum_start = header.csum_offset = Le16(0);
  } else {
    const std::uint32_t end =
        std::uint32_t{header.csum_start.get()} + header.csum_offset.get() + kChecksumBytes;
    if ((features & bit(needs.csum)) == 0 || end > bytes) return false;
  }
  // A hint, which the host takes for more.
  header.header_bytes =
      Le16(static_cast<std::uint16_t>(std::min<std::uint32_t>(header.header_bytes.get(), bytes)));
  header.buffers = Le16(0);
  return true;
}

}  // namespace

bool accept_from_driver(VnetHeader& header, std::uint32_t bytes, std::uint64_t features) {
  header.flags &= kNeedsCsum;
  return accept(header, bytes, features, kFromDriver);
}

bool accept_from_host(VnetHeader& header, std::uint32_t bytes, std::uint64_t features,
                      std::uint16_t mtu) {
  header.flags &= kNeedsCsum | kDataValid;
  if (!accept(header, bytes, features, kFromHost)) return false;
  if ((features & bit(NetFeature::kGuestCsum)) == 0) header.flags = 0;
  return mtu == 0 || header.gso_type != kGsoNone || bytes <= mtu + kLinkHeaderBytes;
}

}  // namespace vmm::virtio_net
