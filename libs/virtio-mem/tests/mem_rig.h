// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_mem/mem.h"

namespace vmm::virtio_mem {

using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;

inline constexpr std::uint64_t kBlock = std::uint64_t{2} << 20;
inline constexpr GuestAddress kBase{std::uint64_t{1} << 33};
inline constexpr std::uint64_t kBlocks = 64;  // of the region

/// Writes down what it is asked for, and refuses when told to.
class RecordingBlocks final : public MemoryBlocks {
 public:
  struct Call {
    bool plug;
    std::uint64_t first;
    std::uint64_t count;

    friend bool operator==(const Call&, const Call&) = default;
  };

  Result<void> plug(const AddressRange& range) override { return record(true, range); }
  Result<void> unplug(const AddressRange& range) override { return record(false, range); }
  std::vector<Call> take() { return std::exchange(calls_, {}); }

  bool refuses = false;

 private:
  Result<void> record(bool plug, const AddressRange& range) {
    if (refuses) return fail(Error::os(ENOMEM, "blocks"));
    calls_.push_back({plug, (range.base.raw() - kBase.raw()) / kBlock, range.size / kBlock});
    return {};
  }

  std::vector<Call> calls_;
};

inline std::ostream& operator<<(std::ostream& out, const RecordingBlocks::Call& call) {
  return out << (call.plug ? "plug " : "unplug ") << call.first << "+" << call.count;
}

inline Mem::Options options_for(std::shared_ptr<MemoryBlocks> blocks, std::uint64_t requested) {
  return {.region = {kBase, kBlocks * kBlock},
          .block_bytes = kBlock,
          .requested = requested * kBlock,
          .headroom = 4 * kBlock,
          .node = 3,
          .blocks = std::move(blocks)};
}

// Types and answers as the specification numbers them.
inline constexpr std::uint16_t kPlug = 0;
inline constexpr std::uint16_t kUnplug = 1;
inline constexpr std::uint16_t kUnplugAll = 2;
inline constexpr std::uint16_t kState = 3;
inline constexpr std::uint16_t kAck = 0;
inline constexpr std::uint16_t kNack = 1;
inline constexpr std::uint16_t kBusy = 2;
inline constexpr std::uint16_t kError = 3;

/// A request of 24 bytes.
inline Bytes request(std::uint16_t type, std::uint64_t address = 0, std::uint16_t blocks = 0) {
  Bytes bytes(24, std::byte{0xee});  // padding is to be ignored
  store_le(bytes.data(), type);
  store_le(bytes.data() + 8, address);
  store_le(bytes.data() + 16, blocks);
  return bytes;
}
inline std::uint64_t address_of(std::uint64_t block) { return kBase.raw() + block * kBlock; }

}  // namespace vmm::virtio_mem
