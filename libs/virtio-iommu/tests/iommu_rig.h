// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/layout.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/virtio_iommu/memory_endpoint.h"

namespace vmm::virtio_iommu {

using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::RigOptions;
using vm_memory::Access;

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kRam = std::uint64_t{1} << 40;  // of the endpoints' memory
inline constexpr std::uint64_t kRamBytes = 64 * kPage;
inline constexpr std::uint64_t kFeatures = kFeatureInputRange | kFeatureDomainRange |
                                           kFeatureMapUnmap | kFeatureProbe | kFeatureMmio |
                                           kFeatureBypassConfig;
inline constexpr ReservedRange kMsi{.first = 0xfee0'0000, .last = 0xfeef'ffff, .msi = true};

/// Writes down what it is told, and refuses when told to.
class RecordingEndpoint final : public Endpoint {
 public:
  explicit RecordingEndpoint(std::vector<ReservedRange> own = {}) : own_(std::move(own)) {}

  [[nodiscard]] std::span<const ReservedRange> reserved() const override { return own_; }
  Result<void> enter(const Space& space) override {
    if (refusals > 0) {
      --refusals;
      reach = Reach::kNothing;
      mappings.clear();
      return fail(Error::os(error, "enter"));
    }
    reach = space.reach;
    mappings = space.mappings;
    return {};
  }
  Result<void> map(const Mapping& mapping, const vm_memory::RegionMap&) override {
    if (refusals > 0) {
      --refusals;
      return fail(Error::os(error, "map"));
    }
    mappings.emplace(mapping.first.raw(), mapping);
    return {};
  }
  Result<void> unmap(const Mapping& mapping) override {
    mappings.erase(mapping.first.raw());
    if (refusals == 0) return {};
    --refusals;
    return fail(Error::os(error, "unmap"));
  }
  void commit(const Space& space) override {
    ++commits;
    agreed = agreed && space.mappings == mappings;
  }

  int refusals = 0;
  int error = EIO;
  int commits = 0;
  bool agreed = true;
  Reach reach = Reach::kNothing;
  Mappings mappings;

 private:
  std::vector<ReservedRange> own_;
};

inline void add(Bytes& bytes, const auto& value) {
  const Bytes more = virtio_device::testing::bytes_of(value);
  bytes.insert(bytes.end(), more.begin(), more.end());
}
inline Bytes head(std::uint8_t type) {
  Bytes bytes(4, std::byte{0xee});  // what is reserved is to be ignored
  bytes[0] = std::byte{type};
  return bytes;
}
inline Bytes attach(std::uint32_t domain, std::uint32_t endpoint, std::uint32_t flags = 0,
                    std::uint32_t reserved = 0) {
  Bytes bytes = head(1);
  for (const std::uint32_t word : {domain, endpoint, flags, reserved}) add(bytes, Le32(word));
  return bytes;
}
inline Bytes detach(std::uint32_t domain, std::uint32_t endpoint) {
  Bytes bytes = head(2);
  add(bytes, Le32(domain));
  add(bytes, Le32(endpoint));
  add(bytes, Le64(~std::uint64_t{0}));  // to be ignored
  return bytes;
}
struct MapCall {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t target = kRam;
  std::uint32_t flags = kMapRead | kMapWrite;
};
inline Bytes map(std::uint32_t domain, const MapCall& call) {
  Bytes bytes = head(3);
  add(bytes, Le32(domain));
  for (const std::uint64_t word : {call.first, call.last, call.target}) add(bytes, Le64(word));
  add(bytes, Le32(call.flags));
  return bytes;
}
inline Bytes unmap(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                   std::uint32_t reserved = 0) {
  Bytes bytes = head(4);
  add(bytes, Le32(domain));
  add(bytes, Le64(first));
  add(bytes, Le64(last));
  add(bytes, Le32(reserved));
  return bytes;
}
inline Bytes probe(std::uint32_t endpoint) {
  Bytes bytes = head(5);
  add(bytes, Le32(endpoint));
  bytes.resize(bytes.size() + 64, std::byte{0xee});
  return bytes;
}

inline vm_memory::GuestMemory make_ram() {
  const vm_memory::RegionConfig ram{.base = GuestAddress(kRam), .bytes = kRamBytes};
  return *vm_memory::GuestMemory::create({&ram, 1});
}

/// An IOMMU, its driver, and guest memory for the endpoints.
struct IommuRig {
  explicit IommuRig(
      std::uint64_t features = kFeatures,
      const std::function<void(Iommu::Options&)>& change = [](auto&) {})
      : iommu(make(memory, change)), rig(iommu, RigOptions{.features = features}) {
    started = rig.start();
  }
  static std::shared_ptr<Iommu> make(const vm_memory::GuestMemory& memory,
                                     const std::function<void(Iommu::Options&)>& change) {
    Iommu::Options options{.memory = memory, .msi = kMsi};
    change(options);
    return *Iommu::create(options);
  }
  template <class T>
  std::shared_ptr<T> add(std::uint32_t id, std::shared_ptr<T> endpoint) {
    if (!iommu->add_endpoint(id, endpoint)) return nullptr;
    return endpoint;
  }
  /// The status; -1: the buffer came back unwritten, -2: not at all.
  int ask(const Bytes& request, std::uint32_t writable = 4) {
    const auto answer = rig.exchange(0, {.readable = {request}, .writable = {writable}});
    if (!answer) return -2;
    if (answer->written == 0) return -1;
    if (answer->written != writable) return -3;
    return answer->at<std::uint8_t>(writable - 4);
  }

  vm_memory::GuestMemory memory = make_ram();
  std::shared_ptr<Iommu> iommu;
  DeviceRig rig;
  bool started = false;
};

// Status values as the specification numbers them.
inline constexpr int kOk = 0;
inline constexpr int kUnsupp = 2;
inline constexpr int kDevErr = 3;
inline constexpr int kInval = 4;
inline constexpr int kOutOfRange = 5;
inline constexpr int kNoEnt = 6;
inline constexpr int kBadAddress = 7;
inline constexpr int kNoMem = 8;
inline constexpr int kUnwritten = -1;

}  // namespace vmm::virtio_iommu
