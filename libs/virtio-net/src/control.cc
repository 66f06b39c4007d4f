// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/control.h"

#include <optional>

#include "vmm/base/endian.h"
#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {
namespace {

struct Header {
  std::uint8_t command_class;
  std::uint8_t command;
};

enum Class : std::uint8_t {
  kRx = 0,
  kMac = 1,
  kAnnouncement = 3,
  kMultiQueue = 4,
  kGuestOffloads = 5
};

constexpr std::uint8_t kLastRxCommand = 1;  // those after it are of VIRTIO_NET_F_CTRL_RX_EXTRA
constexpr std::uint8_t kMacTableSet = 0;
constexpr std::uint8_t kMacAddrSet = 1;
constexpr std::uint8_t kOnly = 0;  // of the other classes
constexpr std::uint8_t kOk = 0;
constexpr std::uint8_t kError = 1;

}  // namespace

Result<void> Control::start(event_manager::EventLoop& loop) {
  return runner_.start(loop, [this] {
    runner_.serve(chain_,
                  [this](virtio_queue::Chain& chain) { return std::optional(answer(chain)); });
  });
}

std::uint32_t Control::answer(virtio_queue::Chain& chain) {
  virtio_queue::Writer ack = chain.writer();
  if (ack.remaining() == 0) return 0;  // nowhere to answer: not obeyed
  virtio_queue::Reader command = chain.reader();
  (void)ack.write_obj(obey(command) ? kOk : kError);
  return sizeof(kOk);
}

// 5.1.6.5: what was not negotiated, or is not of the length that it should be, is refused.
bool Control::obey(virtio_queue::Reader& command) {
  const auto header = command.read_obj<Header>();
  if (!header) return false;
  switch (header->command_class) {
    case kRx:  // every packet is passed on, which the driver's filters allow
      return handler_.negotiated(NetFeature::kCtrlRx) && header->command <= kLastRxCommand &&
             command.remaining() == 1;
    case kMac:
      return set_addresses(header->command, command);
    case kAnnouncement:
      return header->command == kOnly && command.remaining() == 0 && handler_.end_announcement();
    case kMultiQueue: {
      const auto pairs = command.read_obj<Le16>();
      return header->command == kOnly && pairs && command.remaining() == 0 &&
             handler_.set_queue_pairs(pairs->get());
    }
    case kGuestOffloads: {
      const auto offloads = command.read_obj<Le64>();
      return header->command == kOnly && offloads && command.remaining() == 0 &&
             handler_.set_guest_offloads(offloads->get());
    }
    default:
      return false;
  }
}

bool Control::set_addresses(std::uint8_t command_code, virtio_queue::Reader& command) {
  if (command_code == kMacTableSet) {
    return handler_.negotiated(NetFeature::kCtrlRx) && set_mac_tables(command);
  }
  const auto mac = command.read_obj<MacAddress>();
  return command_code == kMacAddrSet && mac && command.remaining() == 0 && handler_.set_mac(*mac);
}

// Two tables, of unicast and of multicast addresses, each with a count before it. They filter
// nothing here, so only their form is looked at.
bool Control::set_mac_tables(virtio_queue::Reader& command) {
  for (int table = 0; table < 2; ++table) {
    const auto entries = command.read_obj<Le32>();
    if (!entries || entries->get() > command.remaining() / sizeof(MacAddress)) return false;
    if (!command.skip(entries->get() * static_cast<std::uint32_t>(sizeof(MacAddress)))) {
      return false;
    }
  }
  return command.remaining() == 0;
}

}  // namespace vmm::virtio_net
